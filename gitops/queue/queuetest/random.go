package queuetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// random plays events in random order against the model. The seed is logged, and
// is all it takes to play them again.
func random(s *script) {
	seed := rand.Uint64()
	s.t.Logf("seed %d", seed)
	r := player{script: s, Rand: rand.New(rand.NewPCG(seed, 0))}
	for range 80 {
		r.step()
	}
}

type player struct {
	*script
	*rand.Rand
	sent []gitops.Delivery
}

func (r *player) step() {
	switch n := r.IntN(100); {
	case n < 25:
		d := r.order(r.targets()...)
		if r.IntN(2) == 0 {
			d = r.event(r.clock.now().Add(time.Duration(r.IntN(40)-30)*time.Second), r.targets()...)
		}
		r.sent = append(r.sent, d)
		r.accept(d)
	case n < 30 && len(r.sent) > 0:
		r.accept(r.sent[r.IntN(len(r.sent))])
	case n < 45:
		r.claim(r.environment(), fmt.Sprintf("holder-%d", r.IntN(3)), time.Duration(1+r.IntN(20))*time.Second)
	case n < 55:
		r.advance(time.Duration(r.IntN(12)) * time.Second)
	case n < 57:
		r.reopen()
	case n < 59:
		r.crash()
	case n < 63 && len(r.sent) > 0:
		if updates := r.sent[r.IntN(len(r.sent))].Updates; len(updates) > 0 {
			r.retry(updates[r.IntN(len(updates))].ID, "ann")
		}
	case n < 65:
		r.prune(r.clock.now().Add(-time.Duration(r.IntN(30))*time.Second), 1+r.IntN(5))
	case n < 67:
		r.listed(queue.DeliveryFilter{Source: r.one("", "github", "eventbridge")}, 1+r.IntN(3))
		r.listedUpdates(queue.UpdateFilter{Environment: r.one("", r.environment()), App: r.one("", "app-0"), State: gitops.State(r.one("", "pending", "failed"))}, 1+r.IntN(3))
	case len(r.leases) > 0:
		r.use(r.leases[len(r.leases)-1-r.IntN(min(4, len(r.leases)))], n)
	}
}

// use does something with a lease that may be long lost.
func (r *player) use(l queue.Lease, n int) {
	updates := r.some(l.Environment)
	switch {
	case n < 75:
		var settlements []gitops.Settlement
		for _, u := range updates {
			settlements = append(settlements, gitops.Settlement{
				Update: u, State: gitops.States()[1+r.IntN(4)], Code: gitops.Rejected, Reason: fmt.Sprintf("reason %d", n), Commit: "abc",
			})
		}
		r.settle(l, settlements...)
	case n < 85:
		r.postpone(l, fmt.Sprintf("waiting %d", n), updates...)
	case n < 92:
		r.extend(l, time.Duration(1+r.IntN(20))*time.Second)
	default:
		r.release(l, r.IntN(2) == 0)
	}
}

func (r *player) one(of ...string) string { return of[r.IntN(len(of))] }

func (r *player) environment() string { return r.one("dev", "staging", "prod") }

func (r *player) targets() (targets []string) {
	for range r.IntN(4) {
		targets = append(targets, fmt.Sprintf("%s/app-%d", r.environment(), r.IntN(3)))
	}
	return targets
}

// some returns ids of a few of the lane's updates, pending or not, and now and
// then of another's or of none.
func (r *player) some(environment string) (ids []string) {
	pending := r.model.pending(environment)
	for i := range min(len(pending), 1+r.IntN(3)) {
		ids = append(ids, pending[i].ID)
	}
	switch r.IntN(10) {
	case 0:
		ids = append(ids, "nobody")
	case 1, 2:
		if len(r.sent) > 0 {
			for _, u := range r.sent[r.IntN(len(r.sent))].Updates {
				ids = append(ids, u.ID)
			}
		}
	}
	return ids
}
