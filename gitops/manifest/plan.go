package manifest

import (
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// plan is what a push would do to the tip it was made on.
type plan struct {
	draft   *git.Draft
	tip     git.Hash
	head    git.Commit
	fates   []fate         // of the items in it
	byID    map[string]int // where an update's fate is in fates
	commits int
	updates int  // that are in the commits
	full    bool // what is left waits for the next push
}

// fate is how an item ends once the tip that the plan was made on is confirmed.
type fate struct {
	item       *item
	settlement Settlement
	landing    landing // when it is Committed
}

// plan makes the commits of the items on the snapshot's tip, as many as fit into
// one push. Of what is left, no item comes before one of its lane that is in the
// plan. An error means that the snapshot is not complete.
func (w *Writer) plan(items []*item) (*plan, error) {
	p := &plan{draft: git.NewDraft(w.snapshot), tip: w.snapshot.tip, head: w.snapshot.head, byID: make(map[string]int)}
	squashed := make(map[string]bool)
	for n, i := range items {
		together := items[n : n+1]
		if environment := i.update.Environment; w.config.Squash(environment) {
			if squashed[environment] {
				continue
			}
			squashed[environment] = true
			together = ofEnvironment(items[n:], environment)
		}
		if err := w.commit(p, together); err != nil {
			return nil, err
		}
		if p.full = p.full || p.draft.Size > maxPushBytes; p.full {
			break
		}
	}
	return p, nil
}

func ofEnvironment(items []*item, environment string) (its []*item) {
	for _, i := range items {
		if i.update.Environment == environment {
			its = append(its, i)
		}
	}
	return its
}

// commit makes one commit of the items, on top of the plan. Those that change
// nothing, or cannot be, are not in it; when that is all of them there is none.
//
// Where several items set the same value, the commit has what the last of them
// says and the trailers of them all: each was written, in its turn, and a search
// for any of them finds this commit. When they end where they began the commit
// changes no file, and is made all the same.
func (w *Writer) commit(p *plan, items []*item) error {
	e := &edits{draft: p.draft, root: p.head.Tree, files: make(map[string]*edited)}
	first := len(p.fates)
	var written []gitops.Update
	for _, i := range items {
		if p.full = e.size > maxPushBytes; p.full {
			break
		}
		at, again := p.byID[i.update.ID] // two callers that both believe to hold the lane
		if again {
			f := p.fates[at]
			f.item = i
			p.fates = append(p.fates, f)
			continue
		}
		changed, err := w.edit(e, i.update)
		s, err := w.settlementOf(i.update, changed, err)
		if err != nil {
			return err
		}
		if changed {
			written = append(written, i.update)
		}
		p.byID[i.update.ID] = len(p.fates)
		p.fates = append(p.fates, fate{item: i, settlement: s})
	}
	if len(written) == 0 {
		return nil
	}
	tree, err := e.tree()
	if err != nil {
		return err
	}
	now := w.config.Now()
	o, err := git.SignCommit(commitOf(written, w.config, now, tree, p.tip), w.signer, now)
	if err != nil {
		return err
	}
	head, err := git.ParseCommit(o.Data)
	if err != nil {
		return err
	}
	p.tip, p.head = p.draft.Put(o, git.Hash{}), head
	p.commits++
	p.updates += len(written)
	for n := first; n < len(p.fates); n++ {
		f := &p.fates[n]
		if f.settlement.State == gitops.Committed && f.settlement.Commit == "" {
			f.settlement.Commit, f.settlement.Reason = p.tip.String(), replacedIn(written, f.item.update)
			f.landing = landing{update: f.item.update.ID, commit: p.tip, made: now}
		}
	}
	return nil
}

// replacedIn says which update of the same commit took an update's place, or
// nothing when it is the last of its app.
func replacedIn(written []gitops.Update, u gitops.Update) string {
	last := u
	for _, w := range written {
		if w.App == u.App {
			last = w
		}
	}
	if last.ID == u.ID {
		return ""
	}
	return fmt.Sprintf("it was written together with %s (update %s), which is what the commit says", last.Tag, last.ID)
}

// settlementOf says how an update ends whose edit went so. An error means that
// the snapshot is not complete.
func (w *Writer) settlementOf(u gitops.Update, changed bool, err error) (Settlement, error) {
	var refused *gitops.Error
	switch {
	case errors.As(err, &refused):
		if refused.Code == gitops.Internal {
			w.config.Logger.Error("an update failed by an internal error", "update", u.ID, "environment", u.Environment, "app", u.App, "err", err)
		}
		return Settlement{State: gitops.Failed, Code: refused.Code, Reason: refused.Public()}, nil
	case err != nil:
		return Settlement{}, err
	case !changed:
		return Settlement{State: gitops.Unchanged, Reason: "the manifest already says so"}, nil
	}
	return Settlement{State: gitops.Committed}, nil
}
