package queuetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Race lets goroutines on several processes' views of one store accept, claim, take, judge,
// report, decide, stop lanes and resume them all at once, under leases that run out while
// they work. Who does what when is not drawn: it proves what holds in every order of the
// transactions.
//
//   - Of a delivery that is sent several times at once one is new, and all answers
//     have its updates.
//   - What was answered before another was sent has the smaller sequence.
//   - No token is given twice, and nothing is reported under one that was older than
//     another when the report began.
//   - Nothing waits for a stop that was lifted, whenever it was judged.
//   - Counts are what there is to count, and in the end every update is final and
//     nothing was superseded but by a later one of its app that was written or proposed.
//   - Of an app one update at most is proposed.
//   - Each update has one verdict of how its rollout ended, whoever said so, and the head has
//     the newest that runs.
func Race(t *testing.T, views []queue.Queue) {
	r := &race{
		t: t, views: views, tokens: make(map[string]int64), given: make(map[queue.Lease]bool), fresh: make(map[string]int),
		stopped: make(map[string]chan raceStop), sent: make(chan struct{}),
	}
	for n := range raceLanes {
		r.stopped[raceLane(n)] = make(chan raceStop)
	}
	var senders, people, workers sync.WaitGroup
	for n := range 2 * len(views) {
		senders.Go(func() { r.send(n) })
	}
	done := make(chan struct{})
	for n := range 2 * len(views) {
		workers.Go(func() { r.work(n, 50*time.Millisecond, done) })
	}
	for n, q := range views {
		people.Go(func() { r.stopAndResume(q, raceLane(n%raceLanes)) })
	}
	senders.Wait()
	close(r.sent)
	people.Wait()
	close(done)
	workers.Wait()
	r.counts()
	r.order()
	r.drain()
}

const (
	raceDeliveries = 12 // of each sender
	raceLanes      = 2
	raceApps       = 3
)

type race struct {
	t     *testing.T
	views []queue.Queue

	stopped map[string]chan raceStop // by lane: a stop of it, for whoever judges by it
	sent    chan struct{}            // closed when all deliveries are

	mu      sync.Mutex
	clock   int64
	tokens  map[string]int64 // the newest token that was seen, by lane
	given   map[queue.Lease]bool
	fresh   map[string]int // how often a delivery was new
	answers []raced
}

// raced is an answered update.
type raced struct {
	update       gitops.Update
	sent, answer int64
}

func (r *race) tick() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	return r.clock
}

func raceLane(n int) string { return fmt.Sprintf("lane-%d", n) }

// send sends deliveries, each through two views at once.
func (r *race) send(sender int) {
	chance := rand.New(rand.NewPCG(uint64(sender), 0))
	for n := range raceDeliveries {
		d := gitops.Delivery{Source: "github", ID: fmt.Sprintf("%d-%d", sender, n), ReceivedAt: time.Now().UTC(), Outcome: gitops.OutcomeAccepted}
		for lane := range raceLanes {
			d.Updates = append(d.Updates, gitops.Update{Environment: raceLane(lane), App: fmt.Sprint(chance.IntN(raceApps)), Tag: d.ID})
		}
		var both sync.WaitGroup
		for view := range 2 {
			both.Go(func() { r.accept(r.views[(sender+view)%len(r.views)], d) })
		}
		both.Wait()
	}
}

func (r *race) accept(q queue.Queue, d gitops.Delivery) {
	sent := r.tick()
	stored, duplicate, err := q.Accept(context.Background(), d)
	answer := r.tick()
	if err != nil {
		r.t.Errorf("Accept: %v", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !duplicate {
		r.fresh[d.ID]++
	}
	for i, u := range stored.Updates {
		if want := gitops.UpdateID(d.Key(), d.Updates[i].Environment, d.Updates[i].App); u.ID != want {
			r.t.Errorf("delivery %s was answered with update %s, not %s", d.ID, u.ID, want)
		}
		r.answers = append(r.answers, raced{u, sent, answer})
	}
}

// work claims a lane, takes, and reports, until all is sent and there is nothing left
// to take, or only until all is sent where the lease runs out.
func (r *race) work(worker int, ttl time.Duration, done <-chan struct{}) {
	q, chance := r.views[worker%len(r.views)], rand.New(rand.NewPCG(uint64(worker), 1))
	for {
		select {
		case <-done:
			return
		default:
		}
		leases, err := q.Claim(context.Background(), fmt.Sprintf("worker-%d", worker), []string{raceLane(chance.IntN(raceLanes))}, ttl)
		if err != nil {
			r.t.Errorf("Claim: %v", err)
			return
		}
		for _, l := range leases {
			r.claimed(l)
			for range 1 + chance.IntN(20) {
				if !r.round(q, l, chance) {
					break
				}
			}
			if chance.IntN(2) == 0 {
				_ = q.Release(context.Background(), l, false) // whoever claims next has a newer token
			}
		}
	}
}

func (r *race) claimed(l queue.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := queue.Lease{Name: l.Name, Token: l.Token}
	if r.given[key] {
		r.t.Errorf("token %d of %s was given twice", l.Token, l.Name)
	}
	r.given[key] = true
	r.tokens[l.Name] = max(r.tokens[l.Name], l.Token)
}

// round takes and reports once, and reports whether the lease is still good.
func (r *race) round(q queue.Queue, l queue.Lease, chance *rand.Rand) bool {
	taken, err := q.Take(context.Background(), l, queue.TakeOptions{Limit: 1 + chance.IntN(5), NewestOnly: chance.IntN(3) == 0, NewestHeld: chance.IntN(2) == 0})
	if err != nil {
		return r.lost("Take", err)
	}
	var stop []gitops.Block
	over := ""
	if len(taken) > 0 {
		stop, over = r.judge(q, l.Name, chance.IntN(2) == 0)
	}
	var report queue.Report
	for _, u := range taken {
		switch n := chance.IntN(10); {
		case u.CancelRequest != nil:
			report.Transitions = append(report.Transitions, gitops.Transition{Update: u.ID, Action: gitops.ActionCancel})
		case stop != nil:
			report.Blocks = append(report.Blocks, queue.Blocked{Update: u.ID, BlockedBy: stop})
		case n == 0:
			report.Blocks = append(report.Blocks, queue.Blocked{Update: u.ID, BlockedBy: []gitops.Block{{Kind: gitops.BlockRefused, Reason: "refused", Until: time.Now().Add(time.Millisecond)}}})
		case n == 1:
			_, err := q.Decide(context.Background(), queue.Decision{Update: u.ID, Action: gitops.ActionCancel, Actor: "ann"})
			if code := gitops.CodeOf(err); err != nil && code != gitops.Conflict {
				r.t.Errorf("Decide: %v", err)
			}
		case n == 2:
			report.Transitions = append(report.Transitions, proposed(u))
			report.Proposals = append(report.Proposals, queue.Proposed{Update: u.ID, Proposal: gitops.Proposal{Number: 1, OpenedAt: time.Now()}})
		default:
			report.Transitions = append(report.Transitions, gitops.Transition{Update: u.ID, Action: gitops.ActionCommit, Commit: u.ID})
		}
	}
	r.mu.Lock()
	old := r.tokens[l.Name] > l.Token
	r.mu.Unlock()
	if _, err := q.Report(context.Background(), l, report); err != nil {
		return r.lost("Report", err)
	}
	r.rollOut(report.Transitions)
	if over != "" {
		r.notHeld(q, taken, over)
	}
	if old {
		r.t.Errorf("a report under token %d of %s was taken, although a newer one had been given", l.Token, l.Name)
	}
	return true
}

func (r *race) lost(call string, err error) bool {
	if gitops.CodeOf(err) != gitops.Conflict {
		r.t.Errorf("%s: %v", call, err)
	}
	return false
}
