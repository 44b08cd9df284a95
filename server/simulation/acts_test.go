package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What people place, lift and order while everything else happens, through whatever
// replica answers. What an act means package acts decides, as for the API.

var (
	ann    = acts.By{Principal: gitops.Principal{Token: "ann"}, Rule: "access[9]"}
	limits = acts.Limits{PinFor: time.Minute, PinAtMost: time.Hour}
)

const rollbackReason = "it crashes"

// errand is one act of a person's, drawn in advance.
type errand struct {
	key     string
	of      release
	tag     string
	lasts   time.Duration
	repeats bool          // the request is sent again although it was answered
	rest    time.Duration // between two tries
	order   []int         // of replicas
	r       *rand.Rand
}

// act draws what a person does.
func (w *world) act(r *rand.Rand) {
	w.errands++
	e := errand{
		key: fmt.Sprintf("act-%d", w.errands), of: release{one(r, environments...), one(r, apps...)}, lasts: between(r, 3*time.Second, 3*time.Minute),
		repeats: r.IntN(3) == 0, rest: between(r, 10*time.Millisecond, 3*time.Second), order: r.Perm(len(w.places)), r: r,
	}
	e.tag = w.tagFor(r, e.of)
	w.senders.Go(func() {
		switch kind := r.IntN(14); {
		case kind < 3:
			w.tryOn(e, w.orderByName)
		case kind < 5:
			w.tryOn(e, w.rollBack)
		case kind < 9:
			w.tryOn(e, w.hold(e, one(r, gitops.HoldPin, gitops.HoldFreeze, gitops.HoldStop, gitops.HoldBad)))
		default:
			w.tryOn(e, w.liftOne)
		}
	})
}

// tagFor is a tag for an app: one that the branch has said, or a new one.
func (w *world) tagFor(r *rand.Rand, of release) string {
	if tags := w.check.tagsOnce(of); len(tags) > 0 && r.IntN(2) == 0 {
		return one(r, tags...)
	}
	if of.environment == "prod" {
		return fmt.Sprintf("1.%d.0", 2*r.IntN(30))
	}
	return fmt.Sprintf("main-%07x", 2*r.IntN(30))
}

// tagsOnce are the tags that the branch has said of an app, the last one first.
func (c *checker) tagsOnce(of release) (tags []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range slices.Backward(c.said[of]) {
		if s.tag != "" && s.tag != "none" && !strings.Contains(s.tag, " ") {
			tags = append(tags, s.tag)
		}
	}
	return tags
}

// tryOn sends a request to one replica after the other until one answers, and perhaps once
// more.
func (w *world) tryOn(e errand, send func(context.Context, errand, *replica) error) {
	answered := 0
	for try := range 4 {
		to := w.places[e.order[try%len(e.order)]].Load()
		ctx, cancel := context.WithTimeout(calledBy(context.Background(), e.key), 20*time.Second)
		err := send(ctx, e, to)
		cancel()
		time.Sleep(e.rest / 1000) // several may be answered at one moment, in any order
		w.tell("%s is answered by %s: %v", e.key, to.name, err)
		if err == nil || gitops.CodeOf(err) != gitops.Unavailable {
			answered++
		}
		if answered == 2 || answered == 1 && !e.repeats {
			return
		}
		time.Sleep(w.chance.alone(e.rest))
	}
}

// state is what holds now, as the replica knows.
func (r *replica) state(ctx context.Context) (acts.State, error) {
	held, err := r.store.HoldsInForce(ctx)
	return acts.State{InForce: held, Freezes: r.freezes.Load()}, err
}

// delivery is a person's order, as the API makes it.
func (e errand) delivery(updates ...gitops.Update) *gitops.Delivery {
	return &gitops.Delivery{
		Source: "api", ID: e.key, Principal: ann.Principal.ID(), Actor: ann.Principal.Actor(), Outcome: gitops.OutcomeAccepted,
		ReceivedAt: time.Now().UTC(), Updates: updates,
	}
}

func (e errand) update(tag string) gitops.Update {
	return gitops.Update{Environment: e.of.environment, App: e.of.app, Tag: tag, Repository: repositoryOf(e.of.app), Rule: ann.Rule}
}

// orderByName orders a tag, past what holds it or not.
func (w *world) orderByName(ctx context.Context, e errand, to *replica) error {
	s, err := to.state(ctx)
	if err != nil {
		return err
	}
	wishes := one(e.r, acts.Wishes{}, acts.Wishes{OrHold: true}, acts.Wishes{Override: "hotfix"}, acts.Wishes{ThroughStop: "hotfix"})
	u := e.update(e.tag)
	if e.r.IntN(3) == 0 {
		u.Digest = w.registries.now(e.of.app, e.tag)
	}
	decided, err := acts.Order([]gitops.Update{u}, wishes, ann, s)
	if err != nil {
		met.meet("a person's order was refused for what holds it")
		return err
	}
	decided[0].BlockedBy = nil
	if decided[0].Passes() != nil {
		met.meet("a person's order passed what held it")
	}
	_, err = to.store.Place(ctx, queue.Placement{Order: e.delivery(decided...)})
	return err
}

// rollBack goes back to an earlier tag.
func (w *world) rollBack(ctx context.Context, e errand, to *replica) error {
	s, err := to.state(ctx)
	if err != nil {
		return err
	}
	tags := w.check.tagsOnce(e.of)
	past := make([]acts.Past, len(tags))
	for i, tag := range tags {
		past[i].Tag = tag
	}
	wish := acts.RollbackWish{Environment: e.of.environment, App: e.of.app, Reason: rollbackReason, For: e.lasts, Keep: e.r.IntN(4) == 0, ThroughStop: one(e.r, "", "hotfix")}
	if wish.Tag, err = acts.Previous(e.of.environment, e.of.app, past, true, s); err != nil {
		return err
	}
	back, err := acts.PlanRollback(wish, acts.Seen{From: tags[0]}, ann, limits, s)
	if err != nil {
		return err
	}
	u := e.update(back.To)
	u.Terms = &back.Terms
	d := e.delivery(u)
	if _, err = to.store.Place(ctx, back.Placement(wish, d, "", ann, d.Key(), ann.Rule)); err == nil {
		met.meet("a person rolled back")
	}
	return err
}

// hold places a hold of a kind, and waits until the replica is quiet.
func (w *world) hold(e errand, kind gitops.HoldKind) func(context.Context, errand, *replica) error {
	wish := acts.HoldWish{Kind: kind, Environments: []string{e.of.environment}, Apps: []string{e.of.app}, Reason: "incident"}
	switch kind {
	case gitops.HoldPin:
		wish.Tag, wish.For = e.tag, e.lasts
	case gitops.HoldBad:
		wish.Tag, wish.Environments = e.tag, one(e.r, wish.Environments, nil)
	default:
		wish.Apps = one(e.r, wish.Apps, nil)
		if kind == gitops.HoldFreeze {
			wish.For = e.lasts
		} else if e.r.IntN(4) == 0 {
			wish.Environments = nil
		}
	}
	return func(ctx context.Context, e errand, to *replica) error {
		s, err := to.state(ctx)
		if err != nil {
			return err
		}
		h, err := acts.Hold(wish, ann, limits, s)
		if err != nil {
			return err
		}
		var order *gitops.Delivery
		if kind == gitops.HoldPin {
			order = e.delivery(e.update(h.Tag))
		}
		placed, err := to.store.Place(ctx, acts.Placement(h, order, ann, e.key))
		if err != nil || placed.Duplicate {
			return err
		}
		underWay, since := to.book.AwaitQuiet(ctx, placed.Holds[0])
		if to.gate(0); !to.isDead() && !since.IsZero() {
			w.check.answeredQuiet(to.name, placed.Holds[0], underWay)
		}
		return nil
	}
}

// liftOne lifts one of the holds that are in force.
func (w *world) liftOne(ctx context.Context, e errand, to *replica) error {
	s, err := to.state(ctx)
	if err != nil || len(s.Holds) == 0 {
		return err
	}
	h := one(e.r, s.Holds...)
	_, err = to.store.Lift(ctx, queue.Lifting{IDs: []string{h.ID}, Principal: ann.Principal.ID(), Actor: ann.Principal.Actor()})
	if gitops.CodeOf(err) == gitops.NotFound { // a restore has forgotten it
		return nil
	}
	return err
}

// liftAll ends every hold.
func (w *world) liftAll() {
	held, err := w.store.HoldsInForce(context.Background())
	if err != nil || len(held.Holds) == 0 {
		return
	}
	lifted, err := w.store.Lift(context.Background(), queue.Lifting{IDs: ids(held.Holds), Principal: ann.Principal.ID(), Actor: ann.Principal.Actor()})
	if err != nil {
		w.check.violated("the holds cannot be lifted: %v", err)
		return
	}
	w.check.lifted(lifted.Holds)
	w.wakeHeld(lifted.Holds)
}
