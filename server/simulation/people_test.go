package simulation

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What people do to the branch. Each is one push of theirs, on the branch as it
// is at that moment.

// byHand does one of them.
func (w *world) byHand(r *rand.Rand) {
	o := w.origin
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tip.IsZero() {
		return
	}
	environment, app := one(r, environments...), one(r, apps...)
	path := one(r, filesOf(environment, app)...)
	tree := o.all[o.tip].tree
	blob, there := o.all.files(tree)[path]
	say := func(what string) string { return fmt.Sprintf("%s, number %d", what, len(o.stood)) }
	var to hash
	var edited []release // tags by hand
	kind := r.IntN(20)
	switch {
	case kind < 5: // a note, which touches no values
		to = o.all.commit(o.all.with(tree, "NOTES.md", []byte(say("note"))), say("docs: a note"), time.Now(), o.tip)
	case kind < 8 && there: // another line of a file that we edit
		content := bytes.Replace(o.all[blob].data, []byte("replicas: "), []byte("replicas: 1"), 1)
		to = o.all.commit(o.all.with(tree, path, content), say("feat: more of "+app), time.Now(), o.tip)
	case kind < 10 && there: // the tag itself
		tag := fmt.Sprintf("main-%07x", r.IntN(20))
		if environment == "prod" {
			tag = inventVersion(r, r.IntN(50))
		}
		content, _, err := lineEditor{}.Apply(o.all[blob].data, vars(tag))
		if err != nil {
			return
		}
		to = o.all.commit(o.all.with(tree, path, content), say("fix: pin "+app), time.Now(), o.tip)
		edited = []release{{environment, app}}
	case kind < 12: // the file goes, or comes back
		var content []byte
		if !there {
			content = valuesOf(environment, app, "none")
		}
		to = o.all.commit(o.all.with(tree, path, content), say("chore: move "+app), time.Now(), o.tip)
	case kind < 14: // the last commit is taken back
		parents := o.all[o.tip].parents
		if len(parents) == 0 {
			return
		}
		to = o.all.commit(o.all[parents[0]].tree, say("Revert the last"), time.Now(), o.tip)
		for r, tag := range w.check.tags(to) {
			if w.check.tags(o.tip)[r] != tag {
				edited = append(edited, r)
			}
		}
	case kind < 16: // a merge of what branched off a little earlier
		from := o.back(1 + r.IntN(4))
		side := o.all.commit(o.all.with(o.all[from].tree, "SIDE.md", []byte(say("side"))), say("docs: aside"), time.Now(), from)
		to = o.all.commit(o.all.with(tree, "SIDE.md", []byte(say("side"))), say("Merge"), time.Now(), o.tip, side)
	case kind < 18 && r.IntN(3) == 0: // forced back
		to = o.back(1 + r.IntN(5))
		w.check.forced()
	case kind < 20 && r.IntN(2) == 0: // deleted, and put back later
		was, gone := o.tip, between(r, time.Second, 30*time.Second)
		w.tell("a person deletes the branch")
		o.move(hash{})
		w.background.Go(func() {
			time.Sleep(gone)
			o.mu.Lock()
			defer o.mu.Unlock()
			o.move(was)
			w.tell("a person puts the branch back")
		})
		return
	default:
		return
	}
	w.tell("a person moves the branch to %s: %s", to.String()[:7], o.all[to].subject)
	o.move(to)
	w.check.moved(to)
	w.check.handEdited(to, edited)
}

// decide has a person retry or dismiss a failed update, or cancel or retry an open
// one.
func (w *world) decide(r *rand.Rand) {
	state, action := gitops.Failed, one(r, gitops.ActionRetry, gitops.ActionRetry, gitops.ActionDismiss)
	if r.IntN(2) == 0 {
		state, action = gitops.Pending, one(r, gitops.ActionCancel, gitops.ActionCancel, gitops.ActionRetry)
	}
	found, _, err := w.store.Updates(context.Background(), queue.UpdateFilter{State: state}, queue.Page{Limit: 20})
	if err != nil || len(found) == 0 {
		return
	}
	u := found[r.IntN(len(found))]
	_, err = w.store.Decide(context.Background(), queue.Decision{Update: u.ID, Action: action, Actor: "ann"})
	w.tell("a person decides to %s %s: %v", action, u.ID, err)
	if err == nil {
		w.wake(nil, gitops.Delivery{Updates: []gitops.Update{u}})
	}
}

// back is the commit some first parents before the tip.
func (o *origin) back(n int) hash {
	at := o.tip
	for range n {
		if parents := o.all[at].parents; len(parents) > 0 {
			at = parents[0]
		}
	}
	return at
}
