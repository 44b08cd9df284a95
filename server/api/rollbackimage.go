package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// authorizeImage refuses a rollback to what the app never had there, unless the caller may
// order it: the right rollback would be the right to order any image otherwise.
func (a *API) authorizeImage(w http.ResponseWriter, r *http.Request, wish acts.RollbackWish) error {
	caller := callerOf(r)
	_, denied := a.Access.Authorize(caller.Principal, gitops.RightOrder, wish.App, wish.Environment)
	if denied == nil {
		return nil
	}
	if had, err := a.hadImage(w, r, wish); had || err != nil {
		return err
	}
	field, image := "tag", wish.Tag
	if wish.Digest != "" {
		field, image = "digest", wish.Tag+" with that digest"
	}
	err := gitops.Errorf(gitops.Forbidden, "as far as the branch and the updates were searched, %s in %s never had %s, and to go to it is an order. %s. "+
		"Or name a tag that it had: tallyman history %[1]s --env %[2]s", wish.App, wish.Environment, image, gitops.PublicOf(denied))
	err.Field = field
	a.refuse(r, caller, asked{right: gitops.RightOrder, app: wish.App, environment: wish.Environment}, err)
	return err
}

// hadImage reports whether an update wrote the image, or the branch had its tag. A digest
// is known of updates alone.
func (a *API) hadImage(w http.ResponseWriter, r *http.Request, wish acts.RollbackWish) (bool, error) {
	if had, err := a.wrote(r.Context(), wish); had || err != nil || wish.Digest != "" {
		return had, err
	}
	h, err := a.pastOf(w, r, wish, maxPage)
	return slices.ContainsFunc(h.Versions, func(v Version) bool { return v.Tag == wish.Tag }), err
}

// wrote reports whether an update wrote the image there, as far as it is among the last
// ones.
func (a *API) wrote(ctx context.Context, wish acts.RollbackWish) (bool, error) {
	for _, state := range []gitops.State{gitops.Committed, gitops.Unchanged} {
		found, _, err := a.Store.Updates(ctx, queue.UpdateFilter{Environment: wish.Environment, App: wish.App, State: state}, queue.Page{Limit: maxPage})
		if err != nil || slices.ContainsFunc(found, func(u gitops.Update) bool {
			return u.Tag == wish.Tag && (wish.Digest == "" || u.Digest == wish.Digest)
		}) {
			return err == nil, err
		}
	}
	return false, nil
}

// pastOf is what the branch had of an app there, newest first.
func (a *API) pastOf(w http.ResponseWriter, r *http.Request, wish acts.RollbackWish, limit int) (History, error) {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(HistoryWithin + writeWithin)); err != nil {
		return History{}, err
	}
	endTurn(r.Context())
	return a.Manifests.History(r.Context(), HistoryQuery{Environment: wish.Environment, App: wish.App, Limit: limit})
}
