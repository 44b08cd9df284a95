package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/landing"
)

// plan is what a push would do to the tip it was made on.
type plan struct {
	draft   *git.Draft
	next    *branch.Snapshot // the tip afterwards
	edits   *edit.Edits
	results []planned        // of the items in it
	byID    map[string]int   // where an update's result is in results
	passed  map[appOf]bool   // apps of which an update was planned: later ones replace that
	asked   []*edit.OtherTag // tags of which it is not known who put them there; their apps wait
	commits int
	updates int       // that are in the commits
	full    bool      // what is left waits for the next push
	ends    time.Time // zero until the first edit is made
	sentAt  time.Time // zero until the push begins
	outcome PushOutcome
}

// planned is how an item ends once the tip that the plan was made on is confirmed.
type planned struct {
	item       *item
	transition gitops.Transition // without an action for one that was only looked for
	landing    landing.Landing   // with a commit
}

// plan makes the commits of the items on the snapshot's tip, as many as fit into one
// push and into the time for one. Of what is left, no item comes before one of its
// lane that is in the plan.
func (a *actor) plan(ctx context.Context, items []*item) (*plan, error) {
	oneByOne := make(map[string]bool)
	for {
		p, err := a.planOnce(ctx, items, oneByOne)
		if err != nil {
			return nil, err
		}
		// A file that many updates change is read again once, after the last of them.
		// If that finds a fault it is not known whose it is: then each is verified.
		unverified := p.edits.Verify()
		if len(unverified) == 0 {
			return p, nil
		}
		for _, path := range unverified {
			oneByOne[path] = true
		}
	}
}

func (a *actor) planOnce(ctx context.Context, items []*item, oneByOne map[string]bool) (*plan, error) {
	p := &plan{
		draft: git.NewDraft(), next: a.snapshot, edits: a.edits.On(a.snapshot, gitops.ParsedFile, oneByOne),
		byID: make(map[string]int), passed: make(map[appOf]bool),
	}
	squashed := make(map[string]bool)
	for n, i := range items {
		together := items[n : n+1]
		switch environment := i.update.Environment; {
		case i.stays():
			p.results = append(p.results, planned{item: i})
			continue
		case a.config.Squash(environment):
			if squashed[environment] {
				continue
			}
			squashed[environment] = true
			together = slices.DeleteFunc(slices.Clone(items[n:]), func(i *item) bool { return i.stays() || i.update.Environment != environment })
		}
		if err := a.commit(ctx, p, together); err != nil {
			p.edits.Close()
			return nil, err
		}
		if p.full = p.full || p.draft.Size() > a.config.Limits.PushBytes || p.commits > 0 && p.late(); p.full {
			break
		}
	}
	return p, nil
}

// commit makes one commit of the items, on top of the plan. Those that change
// nothing, or cannot be made, are not in it; when that is all of them no commit is made.
//
// Where several items set the same value, the commit has what the last of them
// says and the trailers of them all: each was written, in its turn, and a search
// for any of them finds this commit. When they end where they began the commit
// changes no file, and is made all the same.
func (a *actor) commit(ctx context.Context, p *plan, items []*item) error {
	first := len(p.results)
	var written []gitops.Update
	for _, i := range items {
		if ctx.Err() != nil {
			return errClosed
		}
		if p.full = len(written) > 0 && p.late() || p.edits.Size() > a.config.Limits.PushBytes; p.full {
			break
		}
		if at, again := p.byID[i.update.ID]; again { // two callers that both take the lane for theirs
			r := p.results[at]
			i.edit, r.item = r.item.edit, i
			p.results = append(p.results, r)
			continue
		}
		t, waits, err := a.edit(ctx, p, i)
		if err != nil {
			return err
		}
		if waits {
			continue
		}
		if t.Action == gitops.ActionCommit {
			written = append(written, i.update)
		}
		if p.ends.IsZero() {
			p.ends = time.Now().Add(a.config.Limits.PlanTime)
		}
		p.byID[i.update.ID] = len(p.results)
		p.results = append(p.results, planned{item: i, transition: t})
		a.clock.step()
	}
	if len(written) == 0 {
		return nil
	}
	if err := a.seal(p, written); err != nil {
		return err
	}
	for n := first; n < len(p.results); n++ {
		r := &p.results[n]
		if r.transition.Action == gitops.ActionCommit && r.transition.Commit == "" {
			r.transition.Commit, r.transition.Reason = p.next.Tip.String(), replacedIn(written, r.item.update)
			r.landing = landing.Landing{UpdateTrailer: gitops.ParseTrailers([]byte(r.item.update.Trailers()))[0], Commit: p.next.Tip, Made: p.next.Head.Made}
		}
	}
	return nil
}

// seal makes the commit of what was edited since the one before.
func (a *actor) seal(p *plan, written []gitops.Update) error {
	next, err := a.commits.Commit(p.next, p.edits.Changes(), p.draft, written, a.config.Now())
	if err != nil {
		return err
	}
	p.next = next
	p.commits++
	p.updates += len(written)
	return nil
}

// late reports whether the time for the plan is over. It runs from the first edit on:
// on a busy machine, reading a large file may take all of it, and then each push would
// have one update and read the file again.
func (p *plan) late() bool { return !p.ends.IsZero() && time.Now().After(p.ends) }

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
	return fmt.Sprintf("replaced in the same commit by %s (update %s)", last.Tag, last.ID)
}

// edit makes the item's edit on top of those that are there, and says how its update ends;
// without an action, when a person's edit stays. It waits when that is not known yet, also
// of an earlier update of its app. An error is not the update's fault.
func (a *actor) edit(ctx context.Context, p *plan, i *item) (t gitops.Transition, waits bool, err error) {
	u, of, expected := i.update, appOfUpdate(i.update), i.expected
	i.edit = gitops.HandEdit{}
	if slices.ContainsFunc(p.asked, func(q *edit.OtherTag) bool { return appOfTag(q) == of }) {
		return t, true, nil
	}
	var tags []string
	if expected != "" && !p.passed[of] {
		tags = []string{expected, a.wrote[of]}
	}
	t.Update = u.ID
	t.Action, t.Reason, err = p.edits.Apply(ctx, u, tags...)
	var other *edit.OtherTag
	if errors.As(err, &other) {
		found, known := a.origins[tagAt{of, other.Path, other.Object}]
		switch {
		case !known:
			p.asked = append(p.asked, other)
			return t, true, nil
		case found.ByHand:
			i.edit = found.Edit
			i.edit.Update = u.ID
			return gitops.Transition{}, false, nil
		}
		t.Action, t.Reason, err = p.edits.Apply(ctx, u)
	}
	if t.Action == gitops.ActionCommit || t.Action == gitops.ActionConfirm {
		p.passed[of], t.Found = true, u.Found
	}
	if failed, own := a.edits.Fault(u, err); own {
		return failed, false, nil
	}
	return t, false, err
}

// pathsOf lists the files that the items' edits are for.
func (a *actor) pathsOf(items []*item) []string {
	paths := make([]string, 0, len(items))
	for _, i := range items {
		if i.search {
			continue
		}
		if target, err := a.config.Target(i.update.Environment, i.update.App); err == nil {
			paths = target.AppendPaths(paths)
		}
	}
	return paths
}
