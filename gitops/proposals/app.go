package proposals

import (
	"reflect"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// appOf is an app in an environment.
type appOf struct{ environment, app string }

func (of appOf) branch() string { return Branch(of.environment, of.app) }

// app is what the room's goroutine knows of one app that something is wished of.
type app struct {
	of   appOf
	term int // of its environment: see [board]
	wish wish
	seen seen
	at   git.Hash // the base branch's tip that seen is of; zero for none

	due     bool      // its next step is to be found out
	retryAt time.Time // when it is, by itself; zero for never
	stale   bool      // the next look is to be taken up, whatever it says
	pending *step     // a write to the forge that waits for its turn
	asked   time.Time // when its pull request was asked for last
	parked  bool      // it waits for the forge to answer again

	failures int       // in a row
	stuck    action    // that failed last
	stuckFor time.Time // until when it is not tried again
	kept     string    // why the gate kept back the last step, as it was logged; "" where it did not
	left     bool      // the app is another repository's by now: no lane waits for results
	gated    func()    // tells the gate that the forge does not merge it any more; nil where it does not
}

// olderMost is how many updates before the wished one are remembered.
const olderMost = 10

// want takes up a wish in the place of the one before, and reports whether it says anything
// new.
func (a *app) want(next gitops.ProposalWish) bool {
	was := a.wish.ProposalWish
	if was.Update.ID == next.Update.ID {
		told := a.wish.Update.Proposal
		again := next.Update.RetriedAt.After(was.Update.RetriedAt)
		a.wish.ProposalWish = next
		a.wish.reported = a.wish.reported || next.Update.State == gitops.Proposed
		if told != nil {
			a.wish.Update.Proposal = told
		}
		if same(was, next) {
			return false
		}
		if again {
			a.unstick()
		}
	} else {
		a.wish.forget(next.Update.ID)
		older := a.wish.older
		if was.Update.ID != "" {
			older = append(older, was)
		}
		a.wish = wish{
			ProposalWish: next, reported: next.Update.State == gitops.Proposed,
			sent: a.wish.sent, disarmed: a.wish.disarmed, remarked: a.wish.remarked, armed: a.wish.armed, older: older[max(0, len(older)-olderMost):],
		}
		a.unstick()
	}
	a.seen.built, a.pending, a.due, a.left = nil, nil, true, false
	return true
}

// same reports whether two wishes of one update want the same. What the lane only read
// otherwise, such as the update's state, is no other wish.
func same(a, b gitops.ProposalWish) bool {
	return a.Expected == b.Expected && a.Close == b.Close && a.Update.RetriedAt.Equal(b.Update.RetriedAt) &&
		reflect.DeepEqual(a.Update.CancelRequest, b.Update.CancelRequest) &&
		slices.EqualFunc(a.Held, b.Held, func(x, y gitops.Block) bool { return x.Kind == y.Kind && x.Reason == y.Reason })
}

// expectMerged expects the tag of an older update on the base branch, where that was merged and
// the lane does not know it yet: a squash has no proof, and would be taken for an edit by hand.
func (w *wish) expectMerged(id string) {
	for _, o := range w.older {
		if o.Update.ID == id && w.Expected != "" {
			w.Expected = o.Update.Tag
		}
	}
}

// forget forgets an update that was wished for before.
func (w *wish) forget(id string) {
	w.older = slices.DeleteFunc(w.older, func(o gitops.ProposalWish) bool { return o.Update.ID == id })
}

func (a *app) unstick() {
	a.failures, a.stuck, a.stuckFor, a.seen.note = 0, rest, time.Time{}, ""
}

// unstickAfter forgets failures once what failed has worked.
func (a *app) unstickAfter(did action) {
	if a.stuck == did {
		a.unstick()
	}
}

// moved forgets what depends on the base branch's tip and on where the topic is.
func (a *app) moved() {
	a.at = git.Hash{}
	a.seen.origin, a.seen.landed, a.seen.built, a.seen.rules = nil, nil, nil, nil
	a.seen.current = false
	a.pending, a.due, a.stale = nil, true, false
}

// take takes up what the forge says of the branch's pull requests.
func (a *app) take(p *Pull, fresh bool) {
	if was := a.seen.pull; was != nil && p != nil && was.Number == p.Number {
		if !fresh { // a list does not tell
			p.WaitsFor, p.Queued, p.ArmedByUs = was.WaitsFor, was.Queued, was.ArmedByUs && p.Armed
		}
	} else {
		a.wish.sent = Text{}
	}
	if was := a.seen.pull; p == nil || p.State == PullOpen {
		a.seen.over = time.Time{}
	} else if was == nil || was.Number != p.Number || was.State == PullOpen {
		a.seen.over = a.seen.now // by the clock that is waited by, and not the forge's
	}
	a.seen.found, a.seen.pull, a.seen.unsure, a.seen.landed = true, p, false, nil
	a.seen.fresh, a.seen.current = fresh, fresh
	a.pending, a.due = nil, true
}

// otherThan reports whether a list has a pull request otherwise than it is known.
func (p Pull) otherThan(q Pull) bool {
	return p.Number != q.Number || p.Head != q.Head || p.State != q.State || p.Armed != q.Armed || !p.Text.sameAs(q.Text)
}

// newest is the pull request that counts of a branch's: the open one, or else the newest.
func newest(all []Pull) *Pull {
	for i := range all {
		if all[i].State == PullOpen {
			return &all[i]
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &all[0]
}
