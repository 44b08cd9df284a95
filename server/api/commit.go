package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// CommitWithin is how long the git server may take to send one commit. It leaves time
// for the answer.
const CommitWithin = 20 * time.Second

// Commit is the commit of an update: who made it, and what the update changed in it. It
// has nothing of the other updates in the commit, and of the file no more than what this
// update wrote and wrote over: who may see an app's tag may not see the whole file.
type Commit struct {
	Update string    `json:"update"` // its id
	Commit string    `json:"commit"`
	At     time.Time `json:"at"`              // when it was made, by its committer's clock
	Author string    `json:"author"`          // name <address>
	Proof  string    `json:"proof,omitempty"` // the key that proves that tallyman made it; not there for a claim

	Files []CommitFile `json:"files"`         // those of the update that the commit changes
	Now   *App         `json:"now,omitempty"` // what the branch has of the app, where its files do not agree now
}

// CommitFile is what an update changed in a file.
type CommitFile struct {
	File    string   `json:"file"`              // its path
	Diff    []string `json:"diff,omitempty"`    // changed lines: each begins with - or +, and what is left out of it is …
	Problem string   `json:"problem,omitempty"` // why there is no diff
}

// commit answers with the commit of an update that the caller may read, which may be one
// that it ordered.
func (a *API) commit(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	if err := queryOf(r).done(); err != nil {
		return 0, nil, err
	}
	u, err := a.readable(r)
	if err != nil {
		return 0, nil, err
	}
	if u.Commit == "" {
		return 0, nil, gitops.Errorf(gitops.NotFound, "update %s has no commit: it is %s", u.ID, u.State)
	}
	c, err := a.Manifests.Commit(r.Context(), u)
	if err != nil {
		return 0, nil, err
	}
	if a.viewOf(callerOf(r)).scope.Allows(u.App, u.Environment) { // who ordered it may not see more than that
		c.Now = a.disagreement(r.Context(), u)
	}
	return http.StatusOK, c, nil
}

// disagreement is what the branch has of an update's app, where its files do not have the
// same tag.
func (a *API) disagreement(ctx context.Context, u gitops.Update) *App {
	apps := a.Manifests.BranchTags(ctx, time.Time{}).Apps[u.Environment]
	at, found := slices.BinarySearchFunc(apps, u.App, func(app App, name string) int { return strings.Compare(app.App, name) })
	if !found || len(apps[at].Differs) == 0 {
		return nil
	}
	return &apps[at]
}
