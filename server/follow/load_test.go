package follow_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// 500 rollouts at once on one instance, whose webhook is lost: it is asked 10 times a second
// at most, each has its verdict within its deadline, and each takes a few KB.
func TestFiveHundredAtOnce(t *testing.T) {
	const apps = 500
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.start("the one before")()
		s.pass(time.Second)
		s.hubs[0].set(func() { s.hubs[0].lost = true })
		for n := range apps {
			name := fmt.Sprint("app-", n)
			s.hubs[0].deploy(name, func(a *app) {
				a.takes = time.Duration(n%60) * time.Second
				if n%100 == 99 {
					a.takes = time.Hour
				}
			})
			s.follow(name, 15*time.Minute)
		}
		var all []gitops.Transition
		ids := make([]string, apps)
		for n := range apps {
			name := fmt.Sprint("app-", n)
			ids[n] = s.order(name, "1.0.0")
			all = append(all, gitops.Transition{Update: ids[n], Action: gitops.ActionCommit, Commit: s.git.commit(name, "1.0.0")})
		}
		s.transition(all...)
		began, before := now(), heap()
		defer s.start("this")()
		s.pass(time.Second)
		if n := s.store.reports.Load(); n > 8 {
			t.Errorf("%d transactions for the beginning", n)
		}
		s.pass(time.Minute)
		kept := int64(heap()-before) / apps
		t.Logf("%d bytes each, with the records of the model", kept)
		if kept > 10<<10 {
			t.Errorf("%d bytes each", kept)
		}
		s.pass(15*time.Minute - time.Minute)
		for n, id := range ids {
			r := s.rollout(id)
			want := gitops.RolloutHealthy
			if n%100 == 99 {
				want = gitops.RolloutTimedOut
			}
			if r.State != want || r.Since.After(began.Add(15*time.Minute+2*time.Second)) || want == gitops.RolloutHealthy && r.Since.After(began.Add(8*time.Minute)) {
				t.Errorf("%d is %s, %q, since %s", n, r.State, r.Reason, r.Since.Sub(began))
			}
		}
		t.Logf("%d calls, %d refreshes, %d transactions", s.hubs[0].count(""), s.hubs[0].count("refresh"), s.store.reports.Load())
		s.check()
	})
}

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An instance that hangs for an hour delays no other. What is deployed by it has its verdict
// after that: its deadline stood still.
func TestAnInstanceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 2)
		for n, name := range []string{"here", "there"} {
			s.hubs[n].deploy(name)
			s.follow(name, 15*time.Minute)
		}
		defer s.start("this")()
		s.hubs[1].set(func() { s.hubs[1].hangs = true })
		for n := range 30 {
			s.write("there", fmt.Sprint("1.0.", n))
			id := s.write("here", fmt.Sprint("1.0.", n))
			s.pass(2 * time.Second)
			s.expect(id, gitops.RolloutHealthy, "")
		}
		both, there := s.write("api", "1.0.0"), s.write("there", "2.0.0")
		s.pass(time.Hour)
		s.expect(there, gitops.RolloutUnknown, "it does not answer")
		s.expect(both, gitops.RolloutUnknown, "it does not answer")
		s.hubs[1].set(func() { s.hubs[1].hangs = false })
		s.pass(time.Minute)
		s.expect(there, gitops.RolloutHealthy, "")
		s.expect(both, gitops.RolloutHealthy, "")
		s.check()
	})
}

// A controller that is down takes refreshes and does nothing: that is unknown, and the
// deadline stands still.
func TestAControllerThatIsDown(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].set(func() { s.hubs[0].lost = true })
		s.hubs[0].set(func() { s.hubs[0].stuck = true })
		s.hubs[0].tune("api", func(of *app) {
			of.change = func(a *rollout.Application) {
				at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
				a.Status.ReconciledAt = &at
			}
		})
		id := s.write("api", "1.0.0")
		s.pass(time.Hour)
		s.expect(id, gitops.RolloutUnknown, "Argo CD has not compared since 2000-01-01T00:00:00Z")
		if !s.isAway(0) {
			t.Error("it is not said to be away")
		}
		s.write("api", "1.0.1")
		s.configure("api", func(how *follow.Followed) { how.By = "" })
		s.pass(10 * time.Second)
		if s.isAway(0) {
			t.Error("it is said to be away, and nothing waits for it")
		}
		s.configure("api", func(how *follow.Followed) { how.By = follow.ByArgoCD })
		s.hubs[0].set(func() { s.hubs[0].stuck = false })
		id = s.write("api", "1.0.2")
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// A request that fails once is not told of: most that fail answer a second later.
func TestOneFailureIsNotTold(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = 30 * time.Second })
		id := s.write("api", "1.0.0")
		s.pass(3 * time.Second)
		s.hubs[0].set(func() { s.hubs[0].err = away(gitops.Unavailable, "answers with status 502") })
		s.pass(2 * time.Second)
		s.hubs[0].set(func() { s.hubs[0].err = nil })
		s.pass(time.Minute)
		if got := s.path(id); got != "waiting progressing healthy" {
			t.Errorf("it was %s", got)
		}
	})
}

// A revision that a replica of the git server does not have yet is asked for again.
func TestARevisionThatGitDoesNotHaveYet(t *testing.T) {
	play(t, func(s *site) {
		s.git.hide(true)
		id := s.write("api", "1.0.0")
		s.git.commit("other", "1")
		s.hubs[0].pushed()
		s.pass(20 * time.Second)
		s.expect(id, gitops.RolloutWaiting, "")
		s.git.hide(false)
		s.pass(30 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// A git server that does not answer leaves unknown what Argo CD's commit has.
func TestAGitServerThatIsAway(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].set(func() { s.hubs[0].lost = true })
		s.git.fail(gitops.Errorf(gitops.Unavailable, "the git server does not answer"))
		id := s.write("api", "1.0.0")
		s.pass(time.Hour)
		s.expect(id, gitops.RolloutUnknown, "cannot be compared with git: the git server does not answer")
		s.git.fail(nil)
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
		if n := s.git.asked; n > 800 {
			t.Errorf("git was asked %d times", n)
		}
		if strings.Contains(s.path(id), "timed_out") {
			t.Error(s.path(id))
		}
	})
}
