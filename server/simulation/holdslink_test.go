package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/holds"
)

// How a replica asks what holds updates, wired as package server wires it.

// judgement is one answer to a writer that was about to push.
type judgement struct {
	updates map[string]bool // by id
	freezes *gate.Freezes
	read    time.Time // when the store said what holds
	store   time.Time // by its clock
	jumped  time.Time // when that had last jumped
	ended   time.Time // when the writer said that the push has ended; zero before
	room    bool      // it is the room's that opens pull requests, and not the writer's
}

// callerKey is that of who asks in a context: a lane, or a writer by its judgement. Each
// has sequences of its own.
type callerKey struct{}

func callerOf(ctx context.Context) string {
	switch by := ctx.Value(callerKey{}).(type) {
	case string:
		return " by " + by
	case *judgement:
		if by.room {
			return " by the room"
		}
		return " by the writer"
	}
	return ""
}

func calledBy(ctx context.Context, who any) context.Context {
	return context.WithValue(ctx, callerKey{}, who)
}

// rules are those that the replica has loaded.
func (r *replica) rules() holds.Rules {
	return holds.Rules{Freezes: r.freezes.Load(), PinFor: time.Minute}
}

// laneHolds are a replica's holds as its lanes ask for them.
type laneHolds struct{ *replica }

func (l laneHolds) Judge(ctx context.Context, updates []gitops.Update) ([][]gitops.Block, error) {
	return l.book.Judge(calledBy(ctx, updates[0].Environment), updates)
}

func (l laneHolds) HandEdited(ctx context.Context, u gitops.Update, e gitops.HandEdit) error {
	return l.book.HandEdited(calledBy(ctx, u.Environment), u, e)
}

func (l laneHolds) Rejudge(ctx context.Context, environment string) error {
	return l.book.Rejudge(calledBy(ctx, environment), environment)
}

// askBeforePush is the writer's gate.
func (r *replica) askBeforePush(ctx context.Context, updates []gitops.Update) ([]gitops.Held, func(), error) {
	j := &judgement{updates: make(map[string]bool), freezes: r.freezes.Load()}
	for _, u := range updates {
		j.updates[u.ID] = true
	}
	held, done, err := r.book.Gate(calledBy(ctx, j), updates)
	r.judged.Store(nil)
	if err != nil || len(held) > 0 {
		if len(held) > 0 {
			met.meet("a hold came right before a push")
		}
		return held, done, err
	}
	r.check.allowed(r.name, updates)
	r.judged.Store(j)
	ended := func() {
		r.check.pushEnded(j)
		done()
	}
	return nil, ended, nil
}

// askBeforeProposal is the gate of the room that opens pull requests.
func (r *replica) askBeforeProposal(ctx context.Context, updates []gitops.Update) ([]gitops.Held, func(), error) {
	j := &judgement{updates: map[string]bool{updates[0].ID: true}, freezes: r.freezes.Load(), room: true}
	held, done, err := r.book.Gate(calledBy(ctx, j), updates)
	r.judgedPull.Store(nil)
	if err != nil || len(held) > 0 {
		if len(held) > 0 {
			met.meet("a hold came right before a pull request was opened or merged")
		}
		return held, done, err
	}
	r.judgedPull.Store(j)
	return nil, func() {
		r.check.pushEnded(j)
		done()
	}, nil
}

func (l *storeLink) HoldsInForce(ctx context.Context) (queue.InForce, error) {
	return over(ctx, l, "HoldsInForce"+callerOf(ctx), func() (queue.InForce, error) {
		l.asked(ctx)
		return l.store.HoldsInForce(context.Background())
	})
}

func (l *storeLink) HoldsRevision(ctx context.Context) (int64, error) {
	return over(ctx, l, "HoldsRevision"+callerOf(ctx), func() (int64, error) {
		l.asked(ctx)
		return l.store.HoldsRevision(context.Background())
	})
}

// asked takes down when the store tells a writer what holds.
func (l *storeLink) asked(ctx context.Context) {
	if j, ok := ctx.Value(callerKey{}).(*judgement); ok {
		j.read, j.store, j.jumped = time.Now(), l.storeTime(), time.Unix(0, l.jumped.Load())
	}
}

func (l *storeLink) Place(ctx context.Context, p queue.Placement) (queue.Placed, error) {
	return over(ctx, l, "Place"+callerOf(ctx), func() (queue.Placed, error) {
		placed, err := l.store.Place(context.Background(), p)
		if err == nil {
			l.check.placed(p, placed)
			l.wakeHeld(placed.Replaced)
			if placed.Order != nil && !placed.Duplicate {
				l.world.wake(l.replica, *placed.Order)
			}
		}
		return placed, err
	})
}

func (l *storeLink) Lift(ctx context.Context, lifting queue.Lifting) (queue.Lifted, error) {
	return over(ctx, l, "Lift"+callerOf(ctx), func() (queue.Lifted, error) {
		lifted, err := l.store.Lift(context.Background(), lifting)
		if err == nil {
			l.check.lifted(lifted.Holds)
			l.wakeHeld(lifted.Holds)
		}
		return lifted, err
	})
}

func (l *storeLink) Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error {
	return l.alone(ctx, "Rejudge"+callerOf(ctx), func() error {
		err := l.store.Rejudge(context.Background(), kind, environments)
		if err == nil {
			l.check.rejudged(kind, environments)
			for _, environment := range environments {
				l.notifier.Wake(environment)
			}
		}
		return err
	})
}

func (l *storeLink) HoldsListed(ctx context.Context, f queue.HoldFilter, p queue.Page) (found []gitops.Hold, next string, err error) {
	return l.store.HoldsListed(ctx, f, p)
}

// wakeHeld tells the replicas that holds have ended.
func (w *world) wakeHeld(ended []gitops.Hold) {
	var freed gitops.Delivery
	for _, h := range ended {
		for _, environment := range environments {
			if len(h.Environments) == 0 || slices.Contains(h.Environments, environment) {
				freed.Updates = append(freed.Updates, gitops.Update{Environment: environment})
			}
		}
	}
	w.wake(nil, freed)
}
