package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Authorizer decides who may do what; see access.List.
type Authorizer interface {
	// Authorize returns the rule that allows it. The error's code is Forbidden.
	Authorize(p gitops.Principal, right gitops.Right, app, environment string) (rule string, err error)
	// Scope returns all that Authorize would allow a principal with the right.
	Scope(p gitops.Principal, right gitops.Right) access.Scope
	// AuthorizeAnywhere returns why the scope is nothing, nil where it is something.
	AuthorizeAnywhere(p gitops.Principal, right gitops.Right) error
}

// Caller is the sender of a request, once its credential is authenticated.
type Caller struct {
	Principal  gitops.Principal
	Credential string // for people, never the secret: "token ci"

	// Revision is the commit that it orders for, where the credential says it; see
	// [gitops.Update]. An order may name another.
	Revision string

	// UseOnce is set for a credential that counts for one order only.
	UseOnce func(ctx context.Context, order gitops.DeliveryKey) error
}

// Authenticator knows bearer tokens of one kind. Safe for concurrent use.
type Authenticator interface {
	// Authenticate returns whose token it is. The error's code is Unauthorized for a
	// token that it does not know, and Unavailable when it cannot decide now. With an
	// error the caller has what is known of whoever asks, for the log.
	Authenticate(ctx context.Context, bearer string) (Caller, error)
}

// caller authenticates a request.
func (a *API) caller(r *http.Request) (Caller, error) {
	bearer, err := bearerOf(r.Header)
	if err != nil {
		return Caller{}, err
	}
	c, err := a.authenticate(r.Context(), bearer)
	return c, err
}

// authenticated is whose request it is, with a right to something. A long answer asks
// again while it is written: a token may be replaced, and expires.
func (a *API) authenticated(r *http.Request, right gitops.Right) (Caller, error) {
	caller, err := a.caller(r)
	if err == nil {
		err = a.can(caller, right)
	}
	return caller, err
}

// authenticate finds whose token it is. When no authenticator knows it, the error is the
// last one's: it knows the most special kind.
func (a *API) authenticate(ctx context.Context, bearer string) (c Caller, err error) {
	for _, authenticator := range a.Authenticators {
		if c, err = authenticator.Authenticate(ctx, bearer); err == nil || c.Credential != "" {
			break
		}
	}
	return c, err
}

func bearerOf(header http.Header) (string, error) {
	scheme, bearer, _ := strings.Cut(header.Get("Authorization"), " ")
	bearer = strings.TrimSpace(bearer)
	if !strings.EqualFold(scheme, "Bearer") || bearer == "" {
		return "", gitops.Errorf(gitops.Unauthorized, `the header Authorization must be "Bearer" and a token`)
	}
	return bearer, nil
}

type callerKey struct{}

// callerOf is the caller of a request that allow let through.
func callerOf(r *http.Request) Caller { return r.Context().Value(callerKey{}).(Caller) }

// allow handles a request when its caller has the right to something. A caller
// without it leaves what a refused delivery leaves: a count and a line, and an entry
// of the audit. Its answer takes a turn.
func (a *API) allow(right gitops.Right, handle Handler) Handler {
	return a.authorized(right, func(w http.ResponseWriter, r *http.Request) (int, any, error) {
		done, err := a.Shared.turns.take(r.Context(), callerOf(r).Principal.ID())
		if err != nil {
			return 0, nil, err
		}
		whenAnswered(r.Context(), done)
		return handle(w, r)
	})
}

// authorized is allow for what takes no turn: its answer is small, and must not wait until
// somebody has read another one.
func (a *API) authorized(right gitops.Right, handle Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) (int, any, error) {
		caller, err := a.authenticated(r, right)
		noteCaller(r.Context(), caller)
		if err != nil {
			challenge(w, err)
			a.refuse(r, caller, asked{right: right}, err)
			return 0, nil, err
		}
		return handle(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	}
}

// can returns why the caller has a right to nothing at all. Whoever may order may
// read, too: what it ordered itself.
func (a *API) can(c Caller, right gitops.Right) error {
	err := a.Access.AuthorizeAnywhere(c.Principal, right)
	if err != nil && right == gitops.RightRead && a.Access.AuthorizeAnywhere(c.Principal, gitops.RightOrder) == nil {
		return nil
	}
	return err
}

// asked is what a caller asked for, as far as it is known.
type asked struct {
	right            gitops.Right
	app, environment string
	update           string
	delivery         gitops.DeliveryKey
}

// refuse counts, logs and records a request that was refused. Only who is
// authenticated gets an entry of the audit: anybody could fill it otherwise.
func (a *API) refuse(r *http.Request, c Caller, q asked, err error) {
	a.recordRefusal(r, q, err)
	a.auditRefusal(r, c, q, err)
}

func (a *API) recordRefusal(r *http.Request, q asked, err error) {
	a.Intake.RecordRejection(r.Context(), gitops.DeliveryKey{Source: Source, ID: q.delivery.ID}, webhook.ClientIP(r.RemoteAddr), err)
}

func (a *API) auditRefusal(r *http.Request, c Caller, q asked, err error) {
	if a.Refused == nil || gitops.CodeOf(err) != gitops.Forbidden {
		return
	}
	entry := gitops.AuditEntry{
		Principal: c.Principal.ID(), Actor: c.Principal.Actor(), Credential: c.Credential, Remote: webhook.ClientIP(r.RemoteAddr), Right: q.right,
		Environment: q.environment, App: q.app, Update: q.update, Reason: fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, gitops.PublicOf(err)),
	}
	if q.delivery.ID != "" {
		entry.Delivery = q.delivery.String()
	}
	a.Refused(entry)
}

// challenge says how to authenticate, as RFC 6750 section 3 asks.
func challenge(w http.ResponseWriter, err error) {
	if gitops.CodeOf(err) == gitops.Unauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
}
