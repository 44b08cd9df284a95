package missed_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/missed"
)

// One replica sweeps at a time, and one that stops gives the lease back.
func TestOneReplicaSweeps(t *testing.T) {
	s := newSite(t)
	lease := s.claimed("another")
	if got, err := s.sweep(); err != nil || got != nil {
		t.Errorf("swept beside another: %v, %v", got, err)
	}
	s.must(s.store.Release(t.Context(), lease[0], true))
	s.expect()
	if lease := s.claimed("another"); len(lease) != 1 {
		t.Error("the lease was not given back")
	}
	if backlogs, err := s.store.Backlogs(t.Context()); err != nil || slices.ContainsFunc(backlogs, func(b queue.Backlog) bool { return b.Environment == "job/missed" }) {
		t.Errorf("the lease is taken for an environment: %v, %v", backlogs, err)
	}
}

// claimed is what another holder gets of the sweep's lease.
func (s *site) claimed(holder string) []queue.Lease {
	s.t.Helper()
	leases, err := s.store.Claim(s.t.Context(), holder, []string{"job/missed"}, time.Minute)
	s.must(err)
	return leases
}

// slowApp is a GitHub that takes its time for a page.
type slowApp struct {
	missed.App
	page func()
}

func (a slowApp) Deliveries(ctx context.Context, cursor string) ([]githubapp.Delivery, string, error) {
	a.page()
	return a.App.Deliveries(ctx, cursor)
}

// However long a sweep takes, nobody else sweeps meanwhile.
func TestALongSweepKeepsItsLease(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	for id := range int64(350) {
		s.sent(id+1, "g1", "main-1", false)
	}
	pages := 0
	s.sweeper.App = slowApp{s.sweeper.App, func() {
		pages++
		s.clock.Pass(80 * time.Second)
		if lease := s.claimed("another"); len(lease) != 0 {
			t.Errorf("at page %d another has the lease", pages)
		}
	}}
	s.expect("github accepted", "recovered")
	if pages != 4 {
		t.Errorf("%d pages", pages)
	}
}

// A replica that lost the lease leaves the rest to the one that has it.
func TestASweepEndsWithItsLease(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	for id := range int64(250) {
		s.sent(id+1, "g1", "main-1", false)
	}
	s.sweeper.App = slowApp{s.sweeper.App, func() {
		s.clock.Pass(80 * time.Second)
		s.store.KillHolder("this")
		s.claimed("another")
	}}
	if got, err := s.sweep(); gitops.CodeOf(err) != gitops.Conflict || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}
