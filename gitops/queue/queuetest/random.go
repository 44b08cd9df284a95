package queuetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// random plays events in random order. The seed is logged, and is all it takes to
// play them again.
func random(s *script) { playRandom(s, rand.Uint64()) }

// Random plays random events of so many seeds, each on an instance of its own: what a
// store answers must be the model's answers, step by step.
func Random(t *testing.T, create func(t *testing.T) Instance, first, seeds int) {
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := begin(t, create(t))
			s.create = create
			defer s.end()
			playRandom(s, uint64(seed))
		})
	}
}

func playRandom(s *script, seed uint64) {
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
	ids  []string // of all updates that were ever accepted
}

func (r *player) step() {
	switch n := r.IntN(100); {
	case n < 23:
		r.send()
	case n < 26 && len(r.sent) > 0:
		r.accept(r.sent[r.IntN(len(r.sent))])
	case n < 28 && len(r.sent) > 0:
		r.settleSome()
	case n < 39:
		r.claim(fmt.Sprintf("holder-%d", r.IntN(3)), r.seconds(20), r.names()...)
	case n < 48:
		r.advance(r.seconds(12))
	case n < 49:
		r.advance(-r.seconds(60))
	case n < 51:
		r.reopen()
	case n < 53:
		r.crash()
	case n < 54:
		r.appendAudit(gitops.AuditEntry{Act: gitops.ActRefuse, Principal: r.one("token:ops", "job:1@x"), Actor: "token:ops", Environment: "dev", App: r.one("", "app-0"), Reason: "no rule"}, gitops.AuditEntry{Act: gitops.ActSecret})
	case n < 55:
		r.parse()
	case n < 56:
		r.recordSome()
	case n < 61:
		r.people()
	case n < 65 && len(r.ids) > 0:
		id := r.ids[r.IntN(len(r.ids))]
		r.decide(id, oneOf(r, gitops.ActionRetry, gitops.ActionDismiss, gitops.ActionCancel), r.one("", "a reason"))
	case n < 67:
		if r.IntN(10) == 0 {
			r.advance(oneOf(r, queue.UnacceptedFor, queue.MemoryFor))
		}
		r.prune(r.clock.Now().Add(-r.seconds(30)), 1+r.IntN(5))
	case n < 69:
		r.listed(queue.DeliveryFilter{Source: r.one("", "github", "eventbridge")}, 1+r.IntN(3))
		r.listedUpdates(queue.UpdateFilter{Environment: r.one("", r.environment()), App: r.one("", "app-0"), State: gitops.State(r.one("", "pending", "failed"))}, 1+r.IntN(3))
		within := r.scope()
		r.listed(queue.DeliveryFilter{Source: r.one("", "github"), Within: within}, 1+r.IntN(3))
		r.listedUpdates(queue.UpdateFilter{Environment: r.one("", r.environment()), App: r.one("", "app-0"), State: gitops.State(r.one("", "pending")), Within: within}, 1+r.IntN(3))
		r.listedAudit(queue.AuditFilter{App: r.one("", "app-0"), Act: gitops.Act(r.one("", "order", "retry")), Principal: r.one("", "", "token:ops"), Within: within}, 1+r.IntN(3))
	case n < 74:
		r.rollOutSome()
	case len(r.leases) > 0:
		r.work(r.leases[len(r.leases)-1-r.IntN(min(4, len(r.leases)))])
	}
}

// send brings in a new delivery: with or without a time, fetched or sent, of a version
// that may be lower than others, and by a receiver whose clock may differ.
func (r *player) send() {
	targets := r.targets()
	d := r.order(targets...)
	if r.IntN(2) == 0 {
		d = r.event(r.clock.Now().Add(time.Duration(r.IntN(40)-30)*time.Second), targets...)
	}
	if len(targets) == 0 {
		d.Outcome, d.Reason = gitops.OutcomeIgnored, "a reason"
	}
	d.Recovered = r.IntN(4) == 0
	switch r.IntN(8) {
	case 0:
		d.Outcome, d.Reason, d.Updates = oneOf(r, gitops.OutcomeIgnored, gitops.OutcomeRejected), "a reason", nil
		if d.Outcome == gitops.OutcomeRejected && r.IntN(2) == 0 {
			d.Environment, d.App = r.environment(), r.one("", "app-0", "App-1")
		}
	case 1:
		d.BodyDigest = digest(r.one("a", "b", "c"))
	case 2:
		d.Outcome, d.Reason, d.Updates, d.Event = gitops.OutcomeWaiting, "a reason", nil, []byte("an event")
		if r.IntN(2) == 0 {
			d.Environment, d.App, d.BodyDigest = r.environment(), r.one("", "app-0"), digest(r.one("a", "b", "c"))
		}
	}
	if r.IntN(10) == 0 {
		d.ReceivedAt = d.ReceivedAt.Add(time.Duration(r.IntN(20)-10) * time.Second)
	}
	if r.IntN(2) == 0 {
		r.version(d.Updates)
	}
	r.terms(d.Updates)
	r.tellImages(&d)
	r.sent = append(r.sent, d)
	for _, u := range r.accept(d).Updates {
		r.ids = append(r.ids, u.ID)
	}
}

// settleSome ends the wait of a delivery, which may be over or never have been.
func (r *player) settleSome() {
	d := r.sent[r.IntN(len(r.sent))]
	if waiting := r.model.waiting(); len(waiting) > 0 && r.IntN(4) > 0 {
		d = r.model.delivery(waiting[r.IntN(len(waiting))].delivery)
	}
	targets := r.targets()
	d.Outcome, d.Reason, d.Environment, d.App, d.Updates = gitops.OutcomeAccepted, "", "", "", r.order(targets...).Updates
	if len(targets) == 0 {
		d.Outcome, d.Reason = oneOf(r, gitops.OutcomeIgnored, gitops.OutcomeRejected), "a reason"
	}
	if r.IntN(2) == 0 {
		r.version(d.Updates)
	}
	for _, u := range r.settle(d).Updates {
		r.ids = append(r.ids, u.ID)
	}
}

// version gives the updates one of a few versions, as an order or as a push does.
func (r *player) version(updates []gitops.Update) {
	tag, pushed := r.one("", "v")+r.one("1.2.0", "1.10.0", "1.10.0-rc.1", "2.0.0"), r.IntN(3) > 0
	for i := range updates {
		updates[i].Tag, updates[i].OnlyUp = tag, pushed
	}
}

// work does something with a lease that may be long lost.
func (r *player) work(l lent) {
	switch n := r.IntN(10); {
	case n < 6:
		r.report(l, r.news(l.store.Name))
	case n < 8:
		o := queue.TakeOptions{Limit: 1 + r.IntN(4), NewestOnly: r.IntN(2) == 0, NewestHeld: r.IntN(2) == 0}
		if r.IntN(3) == 0 {
			o.Except = []string{r.one("api", "web", "db")}
		}
		for range min(r.IntN(4), len(r.ids)) {
			o.Unresolved = append(o.Unresolved, r.ids[r.IntN(len(r.ids))])
		}
		r.checkTake(l, o)
	case n < 9:
		r.extend(r.seconds(20), l)
	default:
		r.release(l, r.IntN(2) == 0)
	}
}

// news is a report of a few of the lane's updates, open or not, and now and then of
// others or of none. No update is in it twice.
func (r *player) news(environment string) (report queue.Report) {
	actions := []gitops.Action{gitops.ActionPropose, gitops.ActionPropose, gitops.ActionCommit, gitops.ActionCommit, gitops.ActionConfirm, gitops.ActionSupersede, gitops.ActionFail, gitops.ActionFail, gitops.ActionClose, gitops.ActionCancel}
	for _, id := range r.some(environment) {
		report.Proposals = append(report.Proposals, r.someProposals(id)...)
		if r.IntN(3) > 0 {
			report.Transitions = append(report.Transitions, r.foundSome(transition(id, oneOf(r, actions...))))
			continue
		}
		b := queue.Blocked{Update: id}
		for _, kind := range r.kinds() {
			block := gitops.Block{Kind: kind, Reason: reported + string(kind) + r.one("", " again")}
			if r.IntN(4) == 0 {
				block.Since = r.clock.Now().Add(r.seconds(20) - 10*time.Second)
			}
			if r.IntN(2) == 0 {
				block.Until = r.clock.Now().Add(r.seconds(20))
			}
			b.BlockedBy = append(b.BlockedBy, block)
		}
		report.Blocks = append(report.Blocks, b)
	}
	if r.IntN(4) == 0 {
		report.Outage = &queue.Outage{Repository: r.one("", "pay"), Code: gitops.Unavailable, Reason: reported + r.one("no answer", "too slow"), RetryAt: r.clock.Now().Add(time.Minute)}
	}
	return report
}

// some are ids for a report.
func (r *player) some(environment string) (ids []string) {
	open := r.model.open(environment)
	first := 0
	if len(open) > 0 {
		first = r.IntN(len(open))
	}
	for _, u := range open[first:min(len(open), first+1+r.IntN(3))] {
		ids = append(ids, u.ID)
	}
	switch r.IntN(10) {
	case 0:
		ids = append(ids, "missing")
	case 1, 2:
		if len(r.sent) > 0 {
			ids = nil
			d := r.sent[r.IntN(len(r.sent))]
			for _, u := range d.Updates {
				if u.Environment == environment || r.IntN(10) == 0 {
					ids = append(ids, gitops.UpdateID(d.Key(), u.Environment, u.App))
				}
			}
		}
	}
	return ids
}
