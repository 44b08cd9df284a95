package lane_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// However many lanes a replica has, it asks for all of them together.
func TestCallsDoNotGrowWithEnvironments(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var environments []lane.Environment
		for i := range 100 {
			environments = append(environments, lane.Environment{Name: fmt.Sprintf("env-%d", i)})
		}
		r := s.with(lane.Config{Environments: environments})
		r.Start()
		elapse(30*time.Second + time.Millisecond)
		equal(t, "claims", 1, s.queue.count("Claim"))
		equal(t, "extensions", 3, s.queue.count("Extend"))
		if n := s.queue.count("Ready"); n > 31 {
			t.Errorf("%d polls within 30 s", n)
		}
		equal(t, "takes", 100, s.queue.count("Take"))
		equal(t, "reports", 100, s.queue.count("Report")) // that no outage of an earlier holder is left
		r.Stop(t.Context())
	})
}

func TestTheLeaseIsExtendedDuringALongWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			select {
			case <-time.After(2 * time.Minute):
				return commitAll(ctx, tasks)
			case <-ctx.Done():
				return gitops.WriteResult{}, ctx.Err()
			}
		})
		s.queue.fail("Extend", fault{errStoreDown, false}, fault{errStoreDown, true})
		s.Start()
		elapse(3 * time.Minute)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		equal(t, "claims", 1, s.queue.count("Claim"))
		s.Stop(t.Context())
	})
}

func TestALostLeaseStopsTheWriteAndReportsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		stopped := make(chan struct{})
		s.accept("api 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			<-ctx.Done()
			close(stopped)
			return commitAll(ctx, tasks) // pushed all the same, too late
		})
		s.Start()
		synctest.Wait()
		theirs := s.steal(time.Minute)
		elapse(11 * time.Second)
		select {
		case <-stopped:
		default:
			t.Error("the write goes on although another has the lane, and the next extension said so")
		}
		equal(t, "reported under an old token", []string(nil), s.happened())
		equal(t, "the holder", "other", s.backlog().Holder)
		equal(t, "attempts to report", 1, s.queue.count("Report"))
		if !s.logged("lease lost") {
			t.Error("nothing is logged of it")
		}
		if err := s.queue.Model.Release(t.Context(), theirs, true); err != nil {
			t.Fatal(err)
		}
		elapse(time.Second)
		equal(t, "happened after we had it again", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

func TestAStoreThatStaysAwayEndsTheTerm(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1")
		s.writer.then(untilGivenUp)
		s.queue.fail("Extend", fault{errStoreDown, false}, fault{errStoreDown, false}, fault{errStoreDown, false}, fault{errStoreDown, false})
		s.Start()
		elapse(time.Minute)
		if s.queue.count("Claim") < 2 {
			t.Error("the lane went on under a lease that had run out")
		}
		s.Stop(t.Context())
	})
}

// Nothing is sent under a lease that ran out: the process may have been stopped for
// long, and the lane may be another's.
func TestTheWriteEndsWithTheLease(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		began, ended := time.Now(), time.Time{}
		s.accept("api 1")
		s.writer.then(func(ctx context.Context, _ []gitops.WriteTask) (gitops.WriteResult, error) {
			<-ctx.Done()
			ended = time.Now()
			return gitops.WriteResult{}, errGitDown
		})
		s.queue.fail("Extend", fault{errStoreDown, false}, fault{errStoreDown, false}, fault{errStoreDown, false})
		s.Start()
		elapse(time.Minute)
		equal(t, "time until the write was given up", 30*time.Second, ended.Sub(began))
		equal(t, "happened under the next lease", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// A store that fails over to a standby that was behind does not know what it has
// handed out.
func TestAReportOfWhatTheStoreHasForgottenEndsTheTerm(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.Start()
		synctest.Wait() // the lane is ours
		standby := s.queue.Snapshot()
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			s.queue.Restore(standby)
			return commitAll(ctx, tasks)
		})
		s.accept("api 1")
		elapse(2 * time.Second)
		s.accept("api 2")
		elapse(2 * time.Second)
		equal(t, "happened", []string{"api 2 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// A free lease is noticed within a second or so, whether it was given back, ran
// out, or its holder is known to be dead.
func TestAFreeLeaseIsClaimedSoon(t *testing.T) {
	for name, free := range map[string]func(s *site){
		"it ran out":          func(*site) { time.Sleep(11 * time.Second) },
		"its holder is dead":  func(s *site) { s.queue.KillHolder("other") },
		"the store was away":  func(s *site) { s.queue.fail("Claim", fault{errStoreDown, false}); s.queue.KillHolder("other") },
		"the answer got lost": func(s *site) { s.queue.fail("Claim", fault{errStoreDown, true}); s.queue.KillHolder("other") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.accept("api 1")
				s.steal(12 * time.Second)
				s.Start()
				elapse(500 * time.Millisecond)
				equal(t, "writes while another has it", 0, len(s.writer.asked()))
				free(s)
				elapse(2 * time.Second)
				equal(t, "happened", []string{"api 1 committed"}, s.happened())
				s.Stop(t.Context())
			})
		})
	}
}

// Each call that a replica makes to the store fails three times in a row, once
// without having taken effect and once with: what was pending ends as committed,
// in order, and is counted once.
func TestEveryCallToTheStoreMayFail(t *testing.T) {
	for _, method := range []string{"Claim", "Extend", "Ready", "Take", "Report", "Release"} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %t", method, applied), func(t *testing.T) {
				inBubble(t, func(t *testing.T, s *site) {
					s.accept("api 1", "web 1")
					s.queue.fail(method, fault{errStoreDown, applied}, fault{errStoreDown, applied}, fault{errStoreDown, applied})
					s.writer.then(fails(errGitDown))
					s.Start()
					elapse(2 * time.Minute)
					s.accept("api 2")
					elapse(2 * time.Minute)
					s.Stop(t.Context())
					equal(t, "happened", []string{"api 1 committed", "web 1 committed", "api 2 committed"}, s.happened())
					equal(t, "counted", "map[committed:3]", s.recorder.counts())
					if n := s.queue.count(method); n < 4 && method != "Release" {
						t.Errorf("%s was called %d times: it was not tried again", method, n)
					}
				})
			})
		}
	}
}
