package follow_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

const job = "job/follow"

// One replica follows; the next one does when the first has gone, and goes on from there.
func TestOneReplicaFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		first := s.start("first")
		defer s.start("second")()
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Minute })
		id := s.write("api", "1.0.0")
		s.pass(30 * time.Second)
		s.expect(id, gitops.RolloutProgressing, "")
		first()
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
		if got := s.path(id); got != "waiting progressing healthy" || len(s.ended) != 1 {
			t.Errorf("it was %s, counted %v", got, s.ended)
		}
		s.check()
	})
}

// A lease that another replica has by now lets nothing be recorded: the other one comes to
// the verdict.
func TestALeaseThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		defer s.start("first")()
		s.hubs[0].tune("api", func(a *app) { a.takes = 40 * time.Second })
		id := s.write("api", "1.0.0")
		s.pass(20 * time.Second)
		s.store.Model.KillHolder("first") // as the store sees it
		claimed, err := s.store.Model.Claim(t.Context(), "other", []string{job}, time.Hour)
		s.must(err)
		s.pass(2 * time.Minute)
		s.expect(id, gitops.RolloutProgressing, "")
		if len(s.ended) > 0 || len(s.log.Lines("the lease was lost")) != 1 {
			t.Errorf("counted %v, logged %d times", s.ended, len(s.log.Lines("the lease was lost")))
		}
		calls := s.hubs[0].count("")
		s.pass(2 * time.Minute)
		if n := s.hubs[0].count(""); n != calls {
			t.Errorf("%d calls without the lease", n-calls)
		}
		s.must(s.store.Model.Release(t.Context(), claimed[0], true))
		s.pass(30 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		s.check()
	})
}

// How long an Application was seen to be degraded is not known to the next replica.
func TestDegradedCountsFromTheFirstLookOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		first := s.start("first")
		s.hubs[0].tune("api", func(a *app) { a.change = func(a *rollout.Application) { a.Status.Health.Status = "Degraded" } })
		id := s.write("api", "1.0.0")
		s.pass(15 * time.Second)
		first()
		defer s.start("second")()
		s.pass(15 * time.Second)
		s.expect(id, gitops.RolloutProgressing, "Degraded")
		s.pass(20 * time.Second)
		s.expect(id, gitops.RolloutDegraded, "")
		s.check()
	})
}

// What was written while no replica followed is found in the feed by the next.
func TestWhatWasWrittenMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.start("first")()
		id := s.write("api", "1.0.0")
		s.pass(time.Minute)
		s.expect(id, "", "")
		defer s.start("second")()
		s.pass(5 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		s.check()
	})
}

// A lease ends by the store's clock, which may be another than this process's: it is kept all
// the same.
func TestTheStoresClockIsAnother(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 1)
			s.store.Model = queuetest.NewModel(func() time.Time { return now().Add(ahead) }, queuetest.Hooks{})
			defer s.start("this")()
			for range 20 {
				s.pass(15 * time.Second)
				claimed, err := s.store.Model.Claim(t.Context(), "other", []string{job}, time.Minute)
				s.must(err)
				if len(claimed) > 0 {
					t.Fatalf("%s ahead: another replica has the lease", ahead)
				}
			}
		})
	}
}

// A store that is away costs nothing but time, and is said once: what was found out is
// recorded when it is back.
func TestAStoreThatIsAway(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = 10 * time.Second })
		id := s.write("api", "1.0.0")
		s.pass(2 * time.Second)
		s.store.fail(gitops.Errorf(gitops.Unavailable, "the store is away"))
		s.pass(40 * time.Second)
		s.expect(id, gitops.RolloutProgressing, "")
		s.store.fail(nil)
		s.pass(3 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		if n := len(s.log.Lines("store does not answer")); n != 1 {
			s.t.Errorf("logged %d times", n)
		}
	})
}

// A store that lost its newest changes has no such cursor: it is followed from its newest on.
func TestACursorThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.must(s.store.Model.SetCheckpoint(t.Context(), job, `{"cursor":"999999"}`))
		defer s.start("this")()
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		if len(s.log.Lines("goes on from the newest change")) != 1 {
			t.Error("nothing is said of it")
		}
	})
}
