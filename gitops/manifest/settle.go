package manifest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// settleLanded settles the items whose commits are on the branch already. It
// searches the history for those that may be there without our knowing.
func (w *Writer) settleLanded(ctx context.Context, items []*item) error {
	known := &w.snapshot.landed
	var since time.Time
	doubt := false
	for _, i := range items {
		if from := searchFrom(i.update); w.doubtful(i) && (!doubt || from.Before(since)) {
			since, doubt = from, true
		}
	}
	// What a search finds is used here at once: it may be more than is remembered.
	var found map[string]landing
	var tooLong error
	if doubt {
		var err error
		if found, err = w.search(ctx, since); errors.Is(err, errHistoryTooLong) {
			tooLong = err
		} else if err != nil {
			return err
		}
	}
	commitOf := func(update string) (git.Hash, bool) {
		l, ok := known.commits[update]
		if !ok {
			l, ok = found[update]
		}
		return l.commit, ok
	}
	for _, i := range items {
		if commit, ok := commitOf(i.update.ID); ok {
			w.settle(i, Settlement{State: gitops.Committed, Commit: commit.String()})
		} else if by, overtaken := i.overtaken(commitOf); overtaken {
			w.settle(i, Settlement{State: gitops.Superseded,
				Reason: fmt.Sprintf("%s, which was accepted later, is on the branch already (update %s)", by.Tag, by.ID)})
		} else if tooLong != nil && w.doubtful(i) {
			w.settle(i, Settlement{State: gitops.Failed, Code: gitops.Conflict,
				Reason: "it cannot be told whether this was written before: the branch has too many commits since; see what the manifest says, then retry"})
		}
	}
	return nil
}

// overtaken finds an update of the item's call that comes after it, is of the same
// app, and is on the branch although the item is not. An earlier process left the
// item out then, because its environment coalesces, and died before it could say
// so. To write it now would put the older release over the newer one.
func (i *item) overtaken(commitOf func(update string) (git.Hash, bool)) (by gitops.Update, found bool) {
	for _, u := range i.call.updates[i.at+1:] {
		if _, ok := commitOf(u.ID); ok && u.Environment == i.update.Environment && u.App == i.update.App {
			by, found = u, true
		}
	}
	return by, found
}

// doubtful reports whether the item may be on the branch without our knowing.
func (w *Writer) doubtful(i *item) bool {
	return w.snapshot.landed.doubtful(i.update, w.unsure[i.update.ID])
}

// maxUnsure bounds the updates that are remembered because nobody knows what
// became of their push. Most of them are given again, and known then.
const maxUnsure = 10_000

// doubt remembers the updates of a push whose fate is unknown. The branch will
// tell, but what it tells may have been forgotten again when they are given again.
func (w *Writer) doubt(p *plan) {
	for _, f := range p.fates {
		if f.settlement.State == gitops.Committed {
			w.unsure[f.item.update.ID] = true
		}
	}
	if len(w.unsure) > maxUnsure {
		clear(w.unsure)
		w.snapshot.landed.replaced = w.config.Now() // so that whatever waits now is looked for
	}
}
