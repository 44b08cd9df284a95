package queuetest

import (
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// claimWhileReporting claims a lane while its holder, whose lease has run out, still
// reports: whatever that could report, the next holder knows of; nothing that it
// was told is open is reported behind its back.
func claimWhileReporting(s *script) {
	const reporters = 8
	updates, old := s.overdue(reporters * 10)
	var mu sync.Mutex
	taken := make(map[string]bool) // by the next holder, as open
	var behind []string            // reported by the old one
	var all sync.WaitGroup
	for i := range reporters {
		all.Go(func() {
			for k := i; k < len(updates); k += reporters {
				_, err := s.q.Report(s.t.Context(), old, queue.Report{Transitions: []gitops.Transition{failed(updates[k])}})
				if err != nil {
					if gitops.CodeOf(err) != gitops.Conflict {
						s.t.Errorf("Report: %v", err)
					}
					return
				}
				mu.Lock()
				behind = append(behind, updates[k].ID)
				mu.Unlock()
			}
		})
	}
	next := s.succeed(old)
	for _, u := range s.told(next) {
		taken[u.ID] = true
	}
	all.Wait()
	for _, id := range behind {
		if taken[id] {
			s.t.Fatalf("update %s was open for the next holder, and was reported under the old token", id)
		}
	}
}

// claimWhileTaking claims a lane while its holder, whose lease has run out, still
// takes new work: whatever that was given to push, and has not reported, is marked
// for the next holder.
func claimWhileTaking(s *script) {
	const senders, each = 4, 20
	_, old := s.overdue(1)
	var sending, taking sync.WaitGroup
	for range senders {
		var deliveries []gitops.Delivery
		for range each {
			deliveries = append(deliveries, s.order("dev/api"))
		}
		sending.Go(func() {
			for _, d := range deliveries {
				if _, _, err := s.q.Accept(s.t.Context(), d); err != nil {
					s.t.Errorf("Accept: %v", err)
				}
			}
		})
	}
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	var pushed []gitops.Update
	taking.Go(func() {
		defer begin()
		for n := 0; ; n++ {
			found, err := s.q.Take(s.t.Context(), old, queue.TakeOptions{Limit: everything})
			if n == 3 {
				begin()
			}
			if err != nil {
				if gitops.CodeOf(err) != gitops.Conflict {
					s.t.Errorf("Take: %v", err)
				}
				return
			}
			pushed = found
		}
	})
	<-begun
	next := s.succeed(old)
	sending.Wait()
	taking.Wait()
	marked := make(map[string]bool)
	for _, u := range s.told(next) {
		marked[u.ID] = u.MaybePushed
	}
	for _, u := range pushed {
		if !marked[u.ID] {
			s.t.Fatalf("update %s was given to the old holder, and is not marked for the next one", u.ID)
		}
	}
}

// overdue accepts so many updates of one app, and claims their lane for a holder whose lease then runs out.
func (s *script) overdue(n int) (updates []gitops.Update, l queue.Lease) {
	s.t.Helper()
	for range n {
		d, _, err := s.q.Accept(s.t.Context(), s.order("dev/api"))
		s.code("Accept", err, "")
		updates = append(updates, d.Updates...)
	}
	leases, err := s.q.Claim(s.t.Context(), "one", []string{"dev"}, time.Second)
	s.code("Claim", err, "")
	s.clock.Pass(time.Minute)
	return updates, leases[0]
}

// succeed claims what another holder's lease ran out of.
func (s *script) succeed(old queue.Lease) queue.Lease {
	s.t.Helper()
	leases, err := s.q.Claim(s.t.Context(), "two", []string{old.Name}, time.Hour)
	s.code("Claim", err, "")
	if len(leases) != 1 {
		s.t.Fatal("a lease that ran out could not be claimed")
	}
	return leases[0]
}

// told is what the holder is told to work on.
func (s *script) told(l queue.Lease) []gitops.Update {
	s.t.Helper()
	found, err := s.q.Take(s.t.Context(), l, queue.TakeOptions{Limit: everything})
	s.code("Take", err, "")
	return found
}
