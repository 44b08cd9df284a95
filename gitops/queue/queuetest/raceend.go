package queuetest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What must be true after a race.

// all are the lane's updates.
func (r *race) all(environment string) (all []gitops.Update) {
	for cursor := ""; ; {
		found, next, err := r.views[0].Updates(r.t.Context(), queue.UpdateFilter{Environment: environment}, queue.Page{Limit: 100, Cursor: cursor})
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, found...)
		if next == "" {
			return all
		}
		cursor = next
	}
}

// counts checks what the store has counted while everybody raced.
func (r *race) counts() {
	backlogs, err := r.views[0].Backlogs(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, b := range backlogs {
		open, inProposal := 0, make(map[string]bool) // apps
		for _, u := range r.all(b.Environment) {
			if !u.State.Final() {
				open++
			}
			if u.State == gitops.Proposed && inProposal[u.App] {
				r.t.Errorf("two updates of %s are proposed in %s", u.App, b.Environment)
			}
			inProposal[u.App] = inProposal[u.App] || u.State == gitops.Proposed
		}
		held := 0
		for _, n := range b.Held {
			held += n
		}
		if b.Pending+held+b.Proposed != open {
			r.t.Errorf("%s has %d open updates, and counts %d ready, %d blocked and %d proposed", b.Environment, open, b.Pending, held, b.Proposed)
		}
	}
	for id, n := range r.fresh {
		if n != 1 {
			r.t.Errorf("delivery %s was new %d times", id, n)
		}
	}
	if want := 2 * len(r.views) * raceDeliveries; len(r.fresh) != want {
		r.t.Errorf("%d deliveries were new, of %d", len(r.fresh), want)
	}
}

// order checks sequences against who was answered before whom.
func (r *race) order() {
	slices.SortFunc(r.answers, func(a, b raced) int { return int(a.sent - b.sent) })
	first := make(map[string]raced) // a delivery sent twice is as old as its first answer
	for _, s := range r.answers {
		if f, known := first[s.update.ID]; !known {
			first[s.update.ID] = s
		} else if f.answer > s.answer {
			f.answer = s.answer
			first[s.update.ID] = f
		}
	}
	for _, a := range first {
		for _, b := range first {
			if a.update.Environment == b.update.Environment && a.answer < b.sent && a.update.Sequence > b.update.Sequence {
				r.t.Errorf("%s was answered before %s was sent, and has sequence %d after %d", a.update.ID, b.update.ID, a.update.Sequence, b.update.Sequence)
			}
		}
	}
}

// resumed fails for an update that waits for a stop: all were lifted.
func (r *race) resumed(environment string) {
	for _, u := range r.all(environment) {
		if len(u.BlockedBy) > 0 && u.BlockedBy[0].Kind.Held() {
			r.t.Fatalf("update %s waits for what was lifted: %+v", u.ID, u.BlockedBy)
		}
	}
}

// drain works off what is left, and checks how all ended.
func (r *race) drain() {
	q := r.views[0]
	for n := range raceLanes {
		leases, err := q.Claim(r.t.Context(), "worker-0", []string{raceLane(n)}, time.Hour)
		for err == nil && len(leases) == 0 { // the last one runs out
			leases, err = q.Claim(r.t.Context(), "worker-0", []string{raceLane(n)}, time.Hour)
		}
		if err != nil {
			r.t.Fatal(err)
		}
		r.resumed(raceLane(n))
		chance := rand.New(rand.NewPCG(uint64(n), 2))
		for {
			ready, err := q.Ready(r.t.Context(), []string{raceLane(n)})
			if err != nil {
				r.t.Fatal(err)
			}
			if len(ready) == 0 && r.openIn(raceLane(n)) == 0 {
				break
			}
			r.round(q, leases[0], chance)
			r.merge(q, leases[0])
		}
		r.ended(raceLane(n))
	}
}

// merge has people merge all that is proposed in the lane.
func (r *race) merge(q queue.Queue, l queue.Lease) {
	var report queue.Report
	for _, u := range r.all(l.Name) {
		if u.State == gitops.Proposed {
			report.Transitions = append(report.Transitions, gitops.Transition{Update: u.ID, Action: gitops.ActionCommit, Commit: u.ID})
		}
	}
	if _, err := q.Report(r.t.Context(), l, report); err != nil {
		r.t.Fatal(err)
	}
}

func (r *race) openIn(environment string) (open int) {
	for _, u := range r.all(environment) {
		if !u.State.Final() {
			open++
		}
	}
	return open
}

// ended checks the final states of a lane's updates.
func (r *race) ended(environment string) {
	newest, decided := make(map[string]int64), make(map[string]int64) // committed, and also proposed, by app
	all := r.all(environment)
	for _, u := range all {
		if u.State == gitops.Committed {
			newest[u.App] = max(newest[u.App], u.Sequence)
		}
		if u.State == gitops.Committed || u.Proposal != nil {
			decided[u.App] = max(decided[u.App], u.Sequence)
		}
	}
	for _, u := range all {
		if u.State == gitops.Superseded && u.Sequence >= decided[u.App] {
			r.t.Errorf("update %s is superseded, and nothing later of its app was written or proposed", u.ID)
		}
	}
	r.rolledOut(all)
	for _, app := range slices.Sorted(maps.Keys(newest)) {
		head, err := r.views[0].Head(r.t.Context(), environment, app)
		if err != nil || head.Written != newest[app] {
			r.t.Errorf("the head of %s in %s was written with %d, and %d was: %v", app, environment, head.Written, newest[app], err)
		}
	}
}
