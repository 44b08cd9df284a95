package queuetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// committed settles the update as committed.
func committed(u gitops.Update) gitops.Settlement {
	return gitops.Settlement{Update: u.ID, State: gitops.Committed, Commit: "0123456789abcdef0123456789abcdef01234567"}
}

func settle(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "dev/db", "dev/cache", "prod/api"))
	l := s.claim("dev", "one", time.Minute)
	s.advance(time.Second)
	s.settle(l,
		committed(d.Updates[0]),
		gitops.Settlement{Update: d.Updates[1].ID, State: gitops.Unchanged, Reason: "the branch already says so"},
		gitops.Settlement{Update: d.Updates[2].ID, State: gitops.Failed, Code: gitops.NotFound, Reason: "charts/db/values-dev.yaml is not there"},
		gitops.Settlement{Update: d.Updates[3].ID, State: gitops.Superseded, Reason: "a newer one waits"})
	s.settle(l)
	s.crash()
}

func firstSettlementStands(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	l := s.claim("dev", "one", time.Minute)
	s.settle(l, committed(d.Updates[0]))
	s.advance(time.Second)
	other := gitops.Settlement{Update: d.Updates[0].ID, State: gitops.Failed, Code: gitops.Rejected, Reason: "no"}
	s.settle(l, other, committed(d.Updates[1]), other)
	s.postpone(l, "waiting", d.Updates[0].ID)
}

func settleAllOrNothing(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "prod/api"))
	l := s.claim("dev", "one", time.Minute)
	s.settle(l, committed(d.Updates[0]), committed(d.Updates[2]))
	s.settle(l, committed(d.Updates[0]), committed(gitops.Update{ID: "nobody"}), committed(d.Updates[1]))
	s.postpone(l, "waiting", d.Updates[0].ID, "nobody")
	s.postpone(l, "waiting", d.Updates[2].ID)
	s.settle(l, committed(d.Updates[0]), committed(d.Updates[1]))
}

func deferred(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "dev/db"))
	l := s.claim("dev", "one", time.Minute)
	s.postpone(l, "the server does not answer", d.Updates[0].ID, d.Updates[1].ID)
	s.advance(time.Second)
	s.postpone(l, "the server still does not answer", d.Updates[0].ID)
	s.advance(time.Second)
	s.postpone(l, "nothing")
	s.settle(l)
	s.release(l, true)
	l = s.claim("dev", "two", time.Minute)
	s.settle(l, committed(d.Updates[0]))
	s.advance(time.Second)
	s.postpone(l, "the server does not answer again", d.Updates[1].ID)
	s.crash()
}

func pendingLimit(s *script) {
	for range 3 {
		s.accept(s.order("dev/api", "prod/api"))
	}
	l := s.claim("dev", "one", time.Minute)
	for limit := range 5 {
		got, err := s.q.Pending(s.t.Context(), l, limit)
		s.code("Pending", err, "")
		all := s.model.pending("dev")
		s.same("Pending", got, all[:min(limit, len(all))])
	}
}

func oneHolderAtATime(s *script) {
	s.accept(s.order("dev/api", "prod/api"))
	s.claim("dev", "one", 10*time.Second)
	s.claim("dev", "two", 10*time.Second)
	s.claim("prod", "two", 10*time.Second)
	s.advance(9 * time.Second)
	s.claim("dev", "two", 10*time.Second)
	s.claim("prod", "one", 10*time.Second)
	s.advance(time.Second)
	if l := s.claim("dev", "two", 10*time.Second); l.Token == 0 {
		s.t.Fatal("a lease that ran out keeps the lane")
	}
	s.claim("dev", "one", 10*time.Second)
	s.claim("empty", "one", 10*time.Second)
	s.claim("empty", "two", 10*time.Second)
}

func claimsAtOnce(s *script) {
	s.accept(s.order("dev/api"))
	var mu sync.Mutex
	var won []queue.Lease
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			l, err := s.q.Claim(s.t.Context(), "dev", fmt.Sprintf("holder-%d", i), time.Minute)
			if err == nil {
				mu.Lock()
				won = append(won, l)
				mu.Unlock()
			} else if gitops.CodeOf(err) != gitops.Conflict {
				s.t.Errorf("Claim: %v", err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		s.t.Fatalf("%d holders have the lane at once", len(won))
	}
	s.model.claim(won[0])
	s.leases = append(s.leases, won[0])
	s.check()
}

// ownLaneAgain is a holder that lost track, as a process does that was started
// again under the same name: it need not wait for itself.
func ownLaneAgain(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	first := s.claim("dev", "one", time.Minute)
	second := s.claim("dev", "one", time.Minute)
	s.settle(first, committed(d.Updates[0]))
	s.settle(second, committed(d.Updates[0]))
}

// staleLease is a holder that was paused past its lease: nothing that it does
// afterwards counts.
func staleLease(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "dev/db"))
	stale := s.claim("dev", "one", time.Second)
	s.advance(2 * time.Second)
	s.settle(stale, committed(d.Updates[0]))
	fresh := s.claim("dev", "two", time.Minute)
	s.settle(stale, committed(d.Updates[1]))
	s.postpone(stale, "waiting", d.Updates[1].ID)
	s.extend(stale, time.Hour)
	s.release(stale, true)
	s.settle(fresh, committed(d.Updates[1]))
	s.release(fresh, true)
	s.settle(fresh, committed(d.Updates[2]))
	s.postpone(fresh, "waiting", d.Updates[2].ID)
	s.extend(fresh, time.Minute)
	s.settle(queue.Lease{Environment: "prod", Holder: "one", Token: 1}, committed(d.Updates[2]))
}

func extend(s *script) {
	d := s.accept(s.order("dev/api"))
	l := s.claim("dev", "one", 10*time.Second)
	s.advance(9 * time.Second)
	l = s.extend(l, 10*time.Second)
	s.advance(9 * time.Second)
	s.claim("dev", "two", time.Second)
	s.advance(time.Minute)
	l = s.extend(l, 10*time.Second)
	s.claim("dev", "two", time.Second)
	s.extend(l, time.Second)
	s.advance(time.Second)
	s.claim("dev", "two", time.Minute)
	s.extend(l, time.Minute)
	s.settle(l, committed(d.Updates[0]))
}

func release(s *script) {
	s.accept(s.order("dev/api"))
	first := s.claim("dev", "one", time.Hour)
	s.release(first, true)
	second := s.claim("dev", "two", time.Hour)
	if second.Token == 0 {
		s.t.Fatal("a released lane cannot be claimed")
	}
	s.release(first, false)
	s.claim("dev", "one", time.Hour)
	s.release(second, true)
	s.release(second, false)
	s.claim("dev", "one", time.Hour)
	s.release(queue.Lease{Environment: "nowhere", Holder: "one", Token: 7}, true)
}

// wake expects a hint for each lane that got work, whether its channel was there
// before or not.
func wake(s *script) {
	dev := s.q.Wake("dev")
	s.accept(s.order("dev/api", "prod/api"))
	<-dev
	<-s.q.Wake("prod")
	for range 3 {
		s.accept(s.order("dev/api"))
	}
	<-s.q.Wake("dev")
}
