package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// newcomer is an app that the replicas come to know in the middle of some schedules, each
// at a time of its own. What was sent for it before waits.
const newcomer = "new"

// plansBefore plans for whoever does not know the newcomer.
var plansBefore = must(policy.New(beforeConfig()))

func beforeConfig() policy.Config {
	c := policyConfig()
	image := c.Apps[newcomer].Repository
	delete(c.Apps, newcomer)
	c.MayNameApp = func(name string) bool { return name == newcomer }
	c.MayNameImage = func(repository string) bool { return repository == image }
	return c
}

func drawNewcomers(r *rand.Rand) int {
	if r.IntN(4) > 0 {
		return 0
	}
	return 1 + r.IntN(10)
}

// appear has the newcomer found by whoever looks from now on.
func (w *world) appear(*rand.Rand) {
	w.tell("%s can be found", newcomer)
	w.appeared.Store(true)
}

// inventNewcomers sends an event for the newcomer.
func (w *world) inventNewcomers(r *rand.Rand) {
	n := len(w.sent)
	id, environment := fmt.Sprintf("newcomer-%d", n), one(r, environments...)
	tag := fmt.Sprintf("main-%07x", n)
	if environment == "prod" {
		tag = inventVersion(r, n)
	}
	var d *dispatch
	switch r.IntN(4) {
	case 0:
		d = w.push(r, id, newcomer, tag, time.Now().Add(-one(r, 0, 5*time.Second, time.Minute)))
	default:
		d = order(id, one(r, "", id), ourRepository, []string{environment}, []string{newcomer}, tag)
	}
	w.sent = append(w.sent, d)
	w.send(r, d)
}

// Plan is the replica's planner.
func (r *replica) Plan(e gitops.Event) (gitops.Delivery, error) {
	if r.knows.Load() {
		return plans.Plan(e)
	}
	return plansBefore.Plan(e)
}

// look looks for the newcomer from time to time, and decides what waits. The times are drawn:
// replicas that start together would look at one moment.
func (r *replica) look() {
	pauses := r.chance.of(r.name + "/look")
	for r.wait(context.Background(), between(pauses, 4*time.Second, 6*time.Second)) {
		r.knows.Store(r.appeared.Load())
		_ = r.intake.Reconsider(context.Background()) // what a fault leaves is decided the next time
	}
}

// waits takes down what waits, and that it was decided. The lock is held.
func (c *checker) waits(d gitops.Delivery) {
	switch {
	case d.Outcome == gitops.OutcomeWaiting:
		c.waiting[d.Key()] = true
		met.meet("a delivery waited for its app")
	case d.DecidedAt.IsZero():
	case !c.waiting[d.Key()]:
		c.wrong("delivery %s was decided, and did not wait", d.Key())
	default:
		delete(c.waiting, d.Key())
		if len(d.Updates) > 0 {
			met.meet("a waiting delivery became an update")
		}
	}
}

type waitingPage struct {
	found []gitops.Delivery
	next  string
}

func (l *storeLink) WaitingDeliveries(ctx context.Context, p queue.Page) ([]gitops.Delivery, string, error) {
	a, err := over(ctx, l, "WaitingDeliveries", func() (a waitingPage, err error) {
		a.found, a.next, err = l.store.WaitingDeliveries(context.Background(), p)
		return a, err
	})
	return a.found, a.next, err
}

func (l *storeLink) Settle(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	a, err := over(ctx, l, "Settle", func() (acceptance, error) {
		stored, settled, err := l.store.Settle(context.Background(), d)
		switch {
		case err == nil && settled:
			l.world.wake(l.replica, stored)
		case err == nil:
			met.meet("two replicas decided one delivery")
		}
		return acceptance{stored, !settled}, err
	})
	return a.stored, err == nil && !a.duplicate, err
}

func (p *process) WaitingDeliveries(_ context.Context, at queue.Page) ([]gitops.Delivery, string, error) {
	a, err := ask(p, "WaitingDeliveries", func(ctx context.Context, s *postgres.Store) (a waitingPage, err error) {
		a.found, a.next, err = s.WaitingDeliveries(ctx, at)
		return a, err
	}, nil)
	return a.found, a.next, err
}

func (p *process) Settle(_ context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	stored, known, err := p.take("Settle", func(ctx context.Context, s *postgres.Store) (a acceptance, err error) {
		var settled bool
		a.stored, settled, err = s.Settle(ctx, d)
		a.duplicate = !settled
		return a, err
	})
	return stored, err == nil && !known, err
}
