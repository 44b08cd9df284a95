package follow_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// Deadlines are the store's: a replica whose clock is another ends none too soon and none too
// late, and has Argo CD look as early as any.
func TestAReplicaWhoseClockIsWrong(t *testing.T) {
	for _, ahead := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 1)
			s.store.Model = queuetest.NewModel(func() time.Time { return now().Add(ahead) }, queuetest.Hooks{Changed: s.store.changed})
			s.hubs[0].deploy("web")
			s.follow("web", 5*time.Minute)
			s.hubs[0].set(func() { s.hubs[0].lost = true })
			stop := s.start("this")
			s.hubs[0].tune("web", func(a *app) { a.takes = time.Hour })
			api, web := s.write("api", "1.0.0"), s.write("web", "1.0.0")
			s.pass(5 * time.Second)
			s.expect(api, gitops.RolloutHealthy, "")
			s.pass(5*time.Minute - 10*time.Second)
			s.expect(web, gitops.RolloutProgressing, "")
			s.pass(10 * time.Second)
			s.expect(web, gitops.RolloutTimedOut, "")

			person := func(a *rollout.Application) { a.Spec.SyncPolicy, a.Status.Sync.Status = nil, "OutOfSync" }
			s.hubs[0].tune("web", func(a *app) { a.change = person })
			web = s.write("web", "1.0.1")
			s.pass(10 * time.Minute)
			stop()
			defer s.start("next")()
			s.pass(10 * time.Minute)
			s.expect(web, gitops.RolloutPerson, "")
			s.hubs[0].tune("web", func(a *app) { a.change = nil })
			s.pass(4 * time.Minute)
			s.expect(web, gitops.RolloutProgressing, "")
			s.pass(2 * time.Minute)
			s.expect(web, gitops.RolloutTimedOut, "")
			s.check()
		})
	}
}

// What runs since long, while no replica looked, is healthy though its time is over; what does
// not has timed out, after a look.
func TestNothingTimesOutWithoutALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.hubs[0].deploy("web")
		s.follow("web", 15*time.Minute)
		first := s.start("first")
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Minute })
		s.hubs[0].tune("web", func(a *app) { a.takes = 24 * time.Hour })
		api, web := s.write("api", "1.0.0"), s.write("web", "1.0.0")
		s.pass(10 * time.Second)
		s.expect(api, gitops.RolloutProgressing, "")
		first()
		never := s.write("api", "1.0.1")
		s.pass(time.Hour)
		defer s.start("second")()
		s.pass(5 * time.Second)
		s.expect(api, gitops.RolloutSuperseded, "")
		s.expect(never, gitops.RolloutHealthy, "")
		s.expect(web, gitops.RolloutTimedOut, "did not run within 15m: it is progressing")
		s.check()
	})
}

// Nor do 500 that had their time over together, which Argo CD is asked about for minutes.
func TestFiveHundredDoNotTimeOutWithoutALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.start("first")()
		var ids [500]string
		for n := range ids {
			name := fmt.Sprint("app-", n)
			s.hubs[0].deploy(name)
			s.follow(name, 15*time.Minute)
			ids[n] = s.write(name, "1.0.0")
		}
		s.pass(time.Hour)
		defer s.start("second")()
		s.pass(5 * time.Minute)
		for _, id := range ids {
			s.expect(id, gitops.RolloutHealthy, "")
		}
		s.check()
	})
}
