package simulation

import (
	"context"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// storeLink is one replica's way to the store. Calls take time, fail before or
// after they took effect, and arrive although nobody waits for them any more.
type storeLink struct {
	*replica
	store    queueCalls
	notifier queue.Notifier
}

var errStoreAway = gitops.Errorf(gitops.Unavailable, "the store does not answer")

// over makes one call over the link.
func over[T any](ctx context.Context, l *storeLink, name string, work func() (T, error)) (T, error) {
	var none T
	turn := l.chance.turn(l.name+"/"+name, 2*time.Millisecond)
	if l.gate(turn.detail); l.isDead() {
		return none, errStoreAway
	}
	away, applied := l.storeCut.Load(), true
	if p := l.storeFaults(); turn.fault < p {
		switch kind := turn.fault / p; {
		case kind < 0.4:
			away, applied = true, false
		case kind < 0.8:
			away = true
		default: // slow: most callers will not wait for it
			turn.out += time.Second + time.Duration(turn.detail%uint64(8*time.Second))
		}
	} else if away {
		applied = false
	}
	if !l.wait(ctx, turn.out) {
		if turn.survives && !away {
			time.AfterFunc(l.chance.alone(turn.back), func() { _, _ = work() }) // nobody is there to be told
		}
		l.gate(turn.detail)
		return none, errStoreAway
	}
	var answer T
	err := error(errStoreAway)
	if applied {
		answer, err = work()
	}
	l.tell("%s: %s: %v", l.name, name, err)
	back := l.wait(ctx, turn.back)
	l.gate(turn.detail)
	if !back || away || l.isDead() {
		return none, errStoreAway
	}
	return answer, err
}

// alone is for calls that return only an error.
func (l *storeLink) alone(ctx context.Context, name string, work func() error) error {
	_, err := over(ctx, l, name, func() (struct{}, error) { return struct{}{}, work() })
	return err
}

type acceptance struct {
	stored    gitops.Delivery
	duplicate bool
}

func (l *storeLink) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	a, err := over(ctx, l, "Accept", func() (acceptance, error) {
		stored, duplicate, err := l.store.Accept(context.Background(), d)
		if err == nil && !duplicate {
			l.world.wake(l.replica, stored)
		}
		return acceptance{stored, duplicate}, err
	})
	return a.stored, a.duplicate, err
}

func (l *storeLink) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) ([]queue.Lease, error) {
	call := "Claim"
	if strings.Contains(names[0], "/") {
		call = "Claim of a job" // which is another goroutine's, with a sequence of its own
	}
	return over(ctx, l, call, func() ([]queue.Lease, error) {
		return l.store.Claim(context.Background(), holder, names, ttl)
	})
}

func (l *storeLink) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) ([]queue.Lease, error) {
	return over(ctx, l, "Extend", func() ([]queue.Lease, error) {
		return l.store.Extend(context.Background(), leases, ttl)
	})
}

func (l *storeLink) Release(ctx context.Context, lease queue.Lease, clean bool) error {
	return l.alone(ctx, "Release "+lease.Name, func() error { return l.store.Release(context.Background(), lease, clean) })
}

func (l *storeLink) Ready(ctx context.Context, environments []string) ([]string, error) {
	return over(ctx, l, "Ready", func() ([]string, error) { return l.store.Ready(context.Background(), environments) })
}

func (l *storeLink) Take(ctx context.Context, lease queue.Lease, o queue.TakeOptions) ([]gitops.Update, error) {
	return over(ctx, l, "Take "+lease.Name, func() ([]gitops.Update, error) {
		taken, err := l.store.Take(context.Background(), lease, o)
		if err == nil {
			l.check.took(lease, o, taken)
		}
		return taken, err
	})
}

func (l *storeLink) Report(ctx context.Context, lease queue.Lease, r queue.Report) ([]gitops.Update, error) {
	return over(ctx, l, "Report "+lease.Name, func() ([]gitops.Update, error) {
		l.check.reporting(r)
		return l.store.Report(context.Background(), lease, r)
	})
}

func (l *storeLink) Decide(ctx context.Context, d queue.Decision) (gitops.Update, error) {
	return over(ctx, l, "Decide "+string(d.Action), func() (gitops.Update, error) { return l.store.Decide(context.Background(), d) })
}

func (l *storeLink) Backlogs(ctx context.Context) ([]queue.Backlog, error) {
	return over(ctx, l, "Backlogs", func() ([]queue.Backlog, error) { return l.store.Backlogs(context.Background()) })
}

type page struct {
	updates []gitops.Update
	next    string
}

func (l *storeLink) Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) ([]gitops.Update, string, error) {
	call := "Updates"
	if f.State == gitops.Proposed {
		call += " proposed " + f.Environment // which is a lane's, with a sequence of its own
	}
	found, err := over(ctx, l, call, func() (page, error) {
		updates, next, err := l.store.Updates(context.Background(), f, p)
		return page{updates, next}, err
	})
	return found.updates, found.next, err
}

func (l *storeLink) Update(ctx context.Context, id string) (gitops.Update, error) {
	return over(ctx, l, "Update "+id, func() (gitops.Update, error) { return l.store.Update(context.Background(), id) })
}

func (l *storeLink) Heads(ctx context.Context, environment string, apps []string) ([]gitops.Head, error) {
	return over(ctx, l, "Heads "+environment, func() ([]gitops.Head, error) { return l.store.Heads(context.Background(), environment, apps) })
}

func (l *storeLink) ExistingIDs(ctx context.Context, source string, ids []string) ([]string, error) {
	return over(ctx, l, "ExistingIDs", func() ([]string, error) { return l.store.ExistingIDs(context.Background(), source, ids) })
}

func (l *storeLink) Checkpoint(ctx context.Context, name string) (string, error) {
	return over(ctx, l, "Checkpoint"+callerOf(ctx), func() (string, error) { return l.store.Checkpoint(context.Background(), name) })
}

func (l *storeLink) SetCheckpoint(ctx context.Context, name, value string) error {
	return l.alone(ctx, "SetCheckpoint"+callerOf(ctx), func() error { return l.store.SetCheckpoint(context.Background(), name, value) })
}

func (l *storeLink) BeginParsing(ctx context.Context, holder string, objects []gitops.ParsedObject, deaths int) ([]gitops.Suspect, error) {
	return over(ctx, l, "BeginParsing", func() ([]gitops.Suspect, error) {
		return l.store.BeginParsing(context.Background(), holder, objects, deaths)
	})
}

func (l *storeLink) EndParsing(ctx context.Context, holder string, objects []string) error {
	return l.alone(ctx, "EndParsing", func() error { return l.store.EndParsing(context.Background(), holder, objects) })
}

// Suspects is asked before a process starts: there no fault is between it and the store.
func (l *storeLink) Suspects(ctx context.Context) ([]gitops.Suspect, error) {
	return l.store.Suspects(ctx)
}

// Deliveries is asked by the sweep, for one page.
func (l *storeLink) Deliveries(ctx context.Context, f queue.DeliveryFilter, p queue.Page) ([]gitops.Delivery, string, error) {
	found, err := over(ctx, l, "Deliveries", func() ([]gitops.Delivery, error) {
		deliveries, _, err := l.store.Deliveries(context.Background(), f, p)
		return deliveries, err
	})
	return found, "", err
}

// Wake is this replica's own channel: what others accept may be heard or not.
func (l *storeLink) Wake(environment string) <-chan struct{} { return l.notifier.Channel(environment) }

// Nudge gives the hint as what is accepted gives it.
func (l *storeLink) Nudge(ctx context.Context, environments []string) error {
	return l.alone(ctx, "Nudge"+callerOf(ctx), func() error {
		var nudged gitops.Delivery
		for _, environment := range environments {
			nudged.Updates = append(nudged.Updates, gitops.Update{Environment: environment})
		}
		l.world.wake(l.replica, nudged)
		return nil
	})
}
