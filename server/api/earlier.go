package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// past is what the branch had of the app that a rollback is of.
func (a *API) past(w http.ResponseWriter, r *http.Request, wish acts.RollbackWish, versions int) (History, error) {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(HistoryWithin + writeWithin)); err != nil {
		return History{}, err
	}
	endTurn(r.Context())
	h, err := a.Manifests.History(r.Context(), HistoryQuery{Environment: wish.Environment, App: wish.App, Limit: versions})
	if gitops.CodeOf(err) == gitops.Unavailable {
		err = (&gitops.Error{
			Code: gitops.Unavailable, Field: "tag",
			Message: "the branch cannot be read now, so name a tag that was written there (--to TAG; tallyman updates lists them): " + gitops.PublicOf(err),
		}).WithCause(err)
	}
	return h, err
}

// findPrevious finds the tag to go back to in the past of the branch, which has the present,
// too.
func (a *API) findPrevious(w http.ResponseWriter, r *http.Request, wish *acts.RollbackWish, seen *acts.Seen, s acts.State) error {
	h, err := a.past(w, r, *wish, usualVersions)
	if err != nil {
		return err
	}
	past := make([]acts.Past, len(h.Versions))
	for i, v := range h.Versions {
		past[i] = acts.Past{Tag: v.Tag, Problem: v.Problem}
	}
	if wish.Tag, err = acts.Previous(wish.Environment, wish.App, past, h.Complete, s); err == nil {
		seen.From = past[0].Tag
	}
	return err
}

// earlier is the digest by which a rollback writes its tag: the one that is named, or that
// of the last update to the tag, as it was ordered or found, if there is one. What was not there before is new, and not
// gone back to: it takes the rights of an order that passes what holds it. Found says that
// the branch's history has the tag.
func (a *API) earlier(w http.ResponseWriter, r *http.Request, wish acts.RollbackWish, found bool) (digest string, err error) {
	written, err := a.written(r.Context(), wish)
	if err != nil {
		return "", err
	}
	known := slices.ContainsFunc(written, func(u gitops.Update) bool { return wish.Digest == "" || wish.Digest == u.ImageDigest() })
	if wish.Digest == "" && len(written) > 0 {
		digest = written[0].ImageDigest()
	}
	if known || found && wish.Digest == "" {
		return cmp.Or(wish.Digest, digest), nil
	}
	right, refused := a.mayOrderPast(r, wish)
	if refused == nil {
		return wish.Digest, nil
	}
	if wish.Digest == "" {
		h, err := a.past(w, r, wish, maxPage)
		if err != nil || slices.ContainsFunc(h.Versions, func(v Version) bool { return v.Tag == wish.Tag }) {
			return "", err
		}
	}
	a.refuse(r, callerOf(r), asked{right: right, app: wish.App, environment: wish.Environment}, refused)
	return "", refused
}

// written are those of the last updates of the app that wrote the tag of a rollback, newest
// first.
func (a *API) written(ctx context.Context, w acts.RollbackWish) ([]gitops.Update, error) {
	found, _, err := a.Store.Updates(ctx, queue.UpdateFilter{Environment: w.Environment, App: w.App}, queue.Page{Limit: maxPage})
	return slices.DeleteFunc(found, func(u gitops.Update) bool { return u.Tag != w.Tag || !u.State.Written() }), err
}

// mayOrderPast returns why the caller may not order what a rollback writes, past what holds
// it, and the right that it lacks: nil where it may.
func (a *API) mayOrderPast(r *http.Request, w acts.RollbackWish) (lacks gitops.Right, err error) {
	what := w.Tag
	if w.Digest != "" {
		what += " with this digest"
	}
	for _, right := range []gitops.Right{gitops.RightOrder, gitops.RightOverride} {
		if _, err := a.Access.Authorize(callerOf(r).Principal, right, w.App, w.Environment); err != nil {
			return right, gitops.Errorf(gitops.Forbidden, "%s in %s did not have %s before, as far as is known, so a rollback to it takes the rights order and override, too: %s",
				w.App, w.Environment, what, gitops.PublicOf(err))
		}
	}
	return "", nil
}
