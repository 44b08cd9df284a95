package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Preparer is an [Authenticator] that may have to ask somebody before it knows a token.
type Preparer interface {
	// Prepare asks, unless the answer is here already. Its error's code is Unavailable
	// when there is no answer, and Unauthorized for a token that is not valid in any case.
	// What it has no question about is prepared.
	Prepare(ctx context.Context, bearer string) error
}

// PrepareCredential waits for what [API.CheckCredential] needs from the network.
func (a *API) PrepareCredential(ctx context.Context, header http.Header) error {
	bearer, err := bearerOf(header)
	if err != nil {
		return err
	}
	for _, authenticator := range a.Authenticators {
		if p, ok := authenticator.(Preparer); ok {
			if err := p.Prepare(ctx, bearer); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckCredential returns why a request's credential is good for nothing here: it is not
// valid, or no access rule is for its principal. GitHub gives every job of every
// repository there is a valid token.
func (a *API) CheckCredential(ctx context.Context, header http.Header) error {
	bearer, err := bearerOf(header)
	if err != nil {
		return err
	}
	caller, err := a.authenticate(ctx, bearer)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(gitops.Rights(), func(right gitops.Right) bool { return a.Access.AuthorizeAnywhere(caller.Principal, right) == nil }) {
		return gitops.Errorf(gitops.Forbidden, "no access rule is for this credential")
	}
	return nil
}
