package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Caller is the sender of a request, once its credential is authenticated.
type Caller struct {
	Principal  gitops.Principal
	Credential string // for people, never the secret: "token ci"

	// UseOnce is set for a credential that counts for one order only.
	UseOnce func(ctx context.Context, order gitops.DeliveryKey) error
}

// authorize returns why the caller may not do something to an app in an
// environment.
func (a *API) authorize(c Caller, right gitops.Right, app, environment string) error {
	_, err := a.Access.Authorize(c.Principal, right, app, environment)
	return err
}

// Authenticator knows bearer tokens of one kind. Safe for concurrent use.
type Authenticator interface {
	// Authenticate returns whose token it is. The error's code is Unauthorized for a
	// token that it does not know, and Unavailable when it cannot decide now.
	Authenticate(ctx context.Context, bearer string) (Caller, error)
}

// caller authenticates a request. When no authenticator knows the token, the error
// is the last one's: it knows the most special kind.
func (a *API) caller(r *http.Request) (c Caller, err error) {
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	bearer = strings.TrimSpace(bearer)
	if !strings.EqualFold(scheme, "Bearer") || bearer == "" {
		return c, gitops.Errorf(gitops.Unauthorized, `the header Authorization must be "Bearer" and a token`)
	}
	for _, authenticator := range a.Authenticators {
		if c, err = authenticator.Authenticate(r.Context(), bearer); err == nil {
			return c, nil
		}
	}
	return c, err
}

type callerKey struct{}

// allow handles a request when its caller has the right. A caller without it
// leaves what a refused delivery leaves: a count and a line.
func (a *API) allow(right gitops.Right, handle Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) (int, any, error) {
		caller, err := a.callerWith(right, r)
		if err != nil {
			challenge(w, err)
			a.refuse(r, err)
			a.refused(r, caller, right, "", "", "", err)
			return 0, nil, err
		}
		return handle(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	}
}

func (a *API) callerWith(right gitops.Right, r *http.Request) (Caller, error) {
	caller, err := a.caller(r)
	if err == nil {
		err = a.Access.AuthorizeAnywhere(caller.Principal, right)
	}
	return caller, err
}

func (a *API) refuse(r *http.Request, err error) {
	a.Intake.RecordRejection(r.Context(), gitops.DeliveryKey{Source: Source}, webhook.ClientIP(r.RemoteAddr), err)
}

// callerOf is the caller of a request that allow let through.
func callerOf(r *http.Request) Caller { return r.Context().Value(callerKey{}).(Caller) }

// challenge says how to authenticate, as RFC 6750 section 3 asks.
func challenge(w http.ResponseWriter, err error) {
	if gitops.CodeOf(err) == gitops.Unauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
}
