package manifest

import (
	"context"
	"errors"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/landing"
)

// verdict is what is known of a claim.
type verdict struct {
	known bool
	exact bool
	tries int // to find out
}

// judgeClaims finds out which claims of the updates in hand are true. It asks the git
// server only for those of updates that may have been pushed: any other was not, so a
// commit without a proof that carries it is somebody else's. So is one from before the
// update was retried.
func (a *actor) judgeClaims(ctx context.Context, items []*item, h *landing.History) error {
	open := make(map[string]gitops.Update)
	for u := range openOf(items) {
		open[u.ID] = u
	}
	asked := 0
	for u := range openOf(items) {
		if !a.landings.MaybePushed(u, a.unknown) {
			continue
		}
		for _, l := range h.Claims(u.ID) {
			v := a.verdicts[l.Commit]
			if l.Made.Before(landing.SearchFrom(u)) || !v.known && asked == a.config.Limits.Claims {
				continue // no proof: the file decides, as for any other update
			}
			if !v.known {
				asked++
				var err error
				if v, err = a.judgeClaim(ctx, l, v, open); err != nil {
					return err
				}
			}
			if v.exact {
				h.Confirm(l)
				break
			}
		}
	}
	return nil
}

// judgeClaim finds out whether a commit does exactly what its updates ask, and remembers
// it. What the git server does not have, or cannot send after a few tries, is no proof.
func (a *actor) judgeClaim(ctx context.Context, l landing.Landing, v verdict, open map[string]gitops.Update) (verdict, error) {
	if len(a.verdicts) > a.config.Limits.Landings {
		clear(a.verdicts)
	}
	var updates []gitops.Update
	for _, id := range l.Claim.Updates {
		if u, here := open[id]; here {
			updates = append(updates, u)
		}
	}
	var err error
	if len(updates) == len(l.Claim.Updates) {
		v.exact, err = a.editsExactly(ctx, l.Claim, updates)
	}
	gone := git.UnknownToServer(err) || errors.Is(err, git.ErrMissingObject) || gitops.CodeOf(git.PublicError(err)) == gitops.TooLarge
	v.tries++
	if v.known = err == nil || gone || v.tries == branch.MaxTries; v.known {
		err = nil
	}
	a.verdicts[l.Commit] = v
	return v, err
}

// editsExactly reports whether a commit's tree is what the updates' edits make of its
// first parent's: the same bytes in their files, and nothing else touched.
func (a *actor) editsExactly(ctx context.Context, c *landing.Claim, updates []gitops.Update) (bool, error) {
	if c.Parent.IsZero() {
		return false, nil
	}
	before, err := a.At(ctx, c.Parent)
	if err != nil {
		return false, err
	}
	var paths []string
	for _, u := range updates {
		target, err := a.config.Target(u.Environment, u.App)
		if err != nil {
			return false, nil
		}
		paths = target.AppendPaths(paths)
	}
	if err := a.FetchFiles(ctx, before, paths); err != nil {
		return false, err
	}
	edits := a.edits.On(before, gitops.ParsedPast, nil)
	defer edits.Close()
	for _, u := range updates {
		ends, _, err := edits.Apply(ctx, u)
		var later *edit.NotNow
		if errors.As(err, &later) {
			return false, later.Why
		}
		if ends != gitops.ActionCommit || err != nil {
			return false, nil
		}
	}
	if len(edits.Verify()) > 0 {
		return false, nil
	}
	root, err := before.Root.Replace(edits.Changes(), git.NewDraft())
	return err == nil && root.Name == c.Tree, nil
}
