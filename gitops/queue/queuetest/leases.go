package queuetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func oneHolderAtATime(s *script) {
	s.accept(s.order("dev/api", "prod/api"))
	s.claim("one", 10*time.Second, "dev")
	s.claim("two", 10*time.Second, "prod", "dev")
	s.advance(9 * time.Second)
	s.claim("two", 10*time.Second, "dev")
	s.claim("one", 10*time.Second, "prod")
	s.advance(time.Second)
	if claimed := s.claim("two", 10*time.Second, "empty", "prod", "dev"); len(claimed) != 3 {
		s.t.Fatalf("two could claim %d of a lease that ran out, its own, and one that was never held", len(claimed))
	}
	s.claim("one", 10*time.Second, "dev", "prod", "empty", "other")
	s.claim("one", time.Second)
}

func claimsAtOnce(s *script) {
	s.accept(s.order("dev/api", "prod/api"))
	names := []string{"dev", "prod"}
	var mu sync.Mutex
	won := make(map[string][]queue.Lease)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			asked := []string{names[i%2], names[(i+1)%2]} // in either order, so that two may wait for each other
			leases, err := s.q.Claim(s.t.Context(), fmt.Sprintf("holder-%d", i), asked, time.Minute)
			if err != nil {
				s.t.Errorf("Claim: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, l := range leases {
				won[l.Name] = append(won[l.Name], l)
			}
		})
	}
	all.Wait()
	for _, name := range names {
		if len(won[name]) != 1 {
			s.t.Fatalf("%d holders have %s at once", len(won[name]), name)
		}
		l := won[name][0]
		model, err := s.model.Claim(s.t.Context(), l.Holder, []string{name}, time.Minute)
		s.code("Claim of the model", err, "")
		s.leases = append(s.leases, lent{l, model[0]})
	}
	s.check()
}

// ownLeaseAgain is a holder that lost track, as a process does that was started
// again under the same name: it need not wait for itself.
func ownLeaseAgain(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	first := s.one("one", "dev")
	second := s.one("one", "dev")
	s.transit(first, committed(d.Updates[0]))
	s.transit(second, committed(d.Updates[0]))
}

// staleLease is a holder that was paused past its lease: nothing that it does
// afterwards counts.
func staleLease(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "dev/db"))
	stalled := s.claim("one", time.Second, "dev")[0]
	s.advance(2 * time.Second)
	s.transit(stalled, committed(d.Updates[0]))
	fresh := s.one("two", "dev")
	s.transit(stalled, committed(d.Updates[1]))
	s.block(stalled, d.Updates[1].ID, stale)
	s.report(stalled, queue.Report{Outage: &queue.Outage{Code: gitops.Unavailable, Reason: reported + "no answer"}})
	s.report(stalled, queue.Report{})
	s.extend(time.Hour, stalled)
	s.extend(time.Hour, stalled, fresh)
	s.release(stalled, true)
	s.transit(fresh, committed(d.Updates[1]))
	s.release(fresh, true)
	s.transit(fresh, committed(d.Updates[2]))
	s.extend(time.Minute, fresh)
	never := queue.Lease{Name: "prod", Holder: "one", Token: 1}
	s.transit(lent{never, never}, committed(d.Updates[2]))
	s.transit(lent{never, never})
}

func extend(s *script) {
	d := s.accept(s.order("dev/api"))
	l := s.claim("one", 10*time.Second, "dev")[0]
	s.advance(9 * time.Second)
	s.extend(10*time.Second, l)
	s.advance(9 * time.Second)
	s.claim("two", time.Second, "dev")
	s.advance(time.Minute)
	s.extend(10*time.Second, l)
	s.claim("two", time.Second, "dev")
	s.extend(time.Second, l)
	s.advance(time.Second)
	s.claim("two", time.Minute, "dev")
	s.extend(time.Minute, l)
	s.extend(time.Minute)
	s.transit(l, committed(d.Updates[0]))
}

func release(s *script) {
	s.accept(s.order("dev/api"))
	first := s.one("one", "dev")
	s.release(first, true)
	second := s.one("two", "dev")
	s.release(first, false)
	s.claim("one", time.Hour, "dev")
	s.release(second, true)
	s.release(second, false)
	s.one("one", "dev")
	never := queue.Lease{Name: "nowhere", Holder: "one", Token: 7}
	s.release(lent{never, never}, true)
}

// afterCrash is a process that died with its leases: the next one has them at once,
// and does not know what was pushed.
func afterCrash(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	s.one("one", "dev")
	s.crash()
	l := s.one("two", "dev")
	s.same("marked", s.mayBePushed("dev"), nil, []string{d.Updates[0].ID, d.Updates[1].ID}, nil)
	s.transit(l, committed(d.Updates[0]))
	s.crash()
	s.one("two", "dev")
	s.same("marked", s.mayBePushed("dev"), nil, []string{d.Updates[1].ID}, nil)
}

func closeWithoutRelease(s *script) {
	d := s.accept(s.order("dev/api"))
	s.one("one", "dev")
	s.reopen()
	s.one("two", "dev")
	s.same("marked", s.mayBePushed("dev"), nil, []string{d.Updates[0].ID}, nil)
}

// jobs are leases that are no lane's.
func jobs(s *script) {
	l := s.one("one", "job/missed")
	s.claim("two", time.Hour, "job/missed")
	s.release(l, false)
	s.one("two", "job/missed")
	s.crash()
	s.one("three", "job/missed")
	if got, err := s.q.Backlogs(s.t.Context()); err != nil || len(got) != 0 {
		s.t.Fatalf("a job has a backlog: %+v, %v", got, err)
	}
}
