package lease_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/lease"
)

func now() time.Time { return time.Now().UTC() }

func claim(t *testing.T, store queue.Leases, holder string) *lease.Lease {
	t.Helper()
	l, err := lease.Claim(t.Context(), store, holder, "job/test", 2*time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func keep(t *testing.T, l *lease.Lease) bool {
	t.Helper()
	ok, err := l.Keep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// A lease is one replica's for as long as that keeps it, whatever clock the store has.
func TestTheStoresClockIsAnother(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, -5 * time.Minute, 0, 5 * time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			store := queuetest.NewModel(func() time.Time { return now().Add(ahead) }, queuetest.Hooks{})
			l := claim(t, store, "this")
			for range 20 {
				time.Sleep(50 * time.Second)
				if !keep(t, l) || claim(t, store, "other") != nil {
					t.Fatalf("%s ahead: the lease is not kept", ahead)
				}
			}
			l.Release(t.Context())
			if claim(t, store, "other") == nil {
				t.Errorf("%s ahead: the lease was not given back", ahead)
			}
		})
	}
}

// One that ran out and was claimed since is lost, and giving it back takes it from nobody.
func TestALeaseThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := queuetest.NewModel(now, queuetest.Hooks{})
		l := claim(t, store, "this")
		time.Sleep(3 * time.Minute)
		if l.Left() > 0 {
			t.Errorf("%s are left", l.Left())
		}
		other := claim(t, store, "other")
		if keep(t, l) {
			t.Error("a lost lease was kept")
		}
		l.Release(t.Context())
		time.Sleep(time.Minute)
		if !keep(t, other) {
			t.Error("the other's lease was given back")
		}
	})
}

// slow is a store that answers an extension after a while, or not at all.
type slow struct {
	queue.Leases
	takes time.Duration
	err   error
}

func (s *slow) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) ([]queue.Lease, error) {
	kept, err := s.Leases.Extend(ctx, leases, ttl)
	time.Sleep(s.takes)
	if s.err != nil {
		return nil, s.err
	}
	return kept, err
}

// What the store takes to answer is off the lease, and without an answer nothing is known.
func TestASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{Leases: queuetest.NewModel(now, queuetest.Hooks{}), takes: 50 * time.Second}
		l := claim(t, store, "this")
		time.Sleep(time.Minute)
		if !keep(t, l) || l.Left() != 70*time.Second {
			t.Errorf("%s are left", l.Left())
		}
		store.err = gitops.Errorf(gitops.Unavailable, "the store is away")
		if ok, err := l.Keep(t.Context()); !ok || err != nil {
			t.Errorf("more than half is left, and the store was asked: %t %v", ok, err)
		}
		time.Sleep(10 * time.Second)
		if ok, err := l.Keep(t.Context()); ok || err == nil || l.Left() > 10*time.Second {
			t.Errorf("%t %v, %s are left", ok, err, l.Left())
		}
	})
}

// A clock that is set back makes no lease longer.
func TestAClockThatIsSetBack(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	store := queuetest.NewModel(func() time.Time { return at }, queuetest.Hooks{})
	l, err := lease.Claim(t.Context(), store, "this", "job/test", time.Minute, func() time.Time { return at })
	if err != nil || l.Left() != time.Minute {
		t.Fatal(l, err)
	}
	at = at.Add(30 * time.Second)
	if l.Left() != 30*time.Second {
		t.Errorf("%s are left", l.Left())
	}
}
