package follow_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/follow"
)

var apiInProd = gitops.Place{Environment: "prod", App: "api"}

// An Application that is removed is looked for for a minute, and is gone then.
func TestAnApplicationThatIsRemoved(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.hubs[0].tune("api", func(a *app) { a.gone = true })
		s.pass(50 * time.Second)
		s.expect(id, gitops.RolloutProgressing, "")
		s.pass(30 * time.Second)
		s.expect(id, gitops.RolloutGone, "the Application is not there any more")
	})
}

// One that has moved is found again.
func TestAnApplicationThatHasMoved(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.hubs[0].tune("api", func(a *app) { a.ref.Namespace, a.takes = "team-a", 40*time.Second })
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
		if r := s.rollout(id); len(r.Places) != 1 || r.Places[0].Name != "myshop/team-a/api-prod" {
			t.Errorf("%+v", r.Places)
		}
	})
}

// What several Applications read is healthy when all are, and degraded when one is.
func TestSeveralInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 2)
		defer s.start("this")()
		s.hubs[1].tune("api", func(a *app) { a.takes = time.Minute })
		id := s.write("api", "1.0.0")
		s.pass(30 * time.Second)
		s.expect(id, gitops.RolloutProgressing, "")
		if r := s.rollout(id); len(r.Places) != 2 || r.Places[0].State != gitops.RolloutHealthy {
			t.Errorf("%+v", r.Places)
		}
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
		s.check()
	})
}

// An Application that the configuration names needs not be found by its file.
func TestAnApplicationThatIsNamed(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].deploy("web", func(a *app) { a.ref.Name = "odd" })
		s.configure("web", func(how *follow.Followed) { how.File, how.Application = fileOf("other"), "myshop/argocd/odd" })
		id := s.write("web", "1.0.0")
		s.pass(15 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// What is followed no longer has an end; what is not known yet is left as it is.
func TestWhatLeavesTheConfiguration(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.reload(func(c *inForce) { delete(c.how, apiInProd); c.unsettled = true })
		s.expect(id, gitops.RolloutProgressing, "")
		s.reload(func(c *inForce) { c.unsettled = false })
		s.expect(id, gitops.RolloutGone, "the rollouts of api in prod are not followed any more")
		other := s.write("api", "1.0.1")
		s.pass(time.Minute)
		s.expect(other, "", "")
	})
}

// What another file says, and another instance, is followed there.
func TestWhatChangesInTheConfiguration(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		other := newHub(s.git, "https://argocd-other.example")
		other.deploy("api", func(a *app) { a.takes = 30 * time.Second })
		id := s.write("api", "1.0.0")
		other.pushed()
		s.pass(5 * time.Second)
		s.reload(func(c *inForce) { c.instances = []follow.Instance{{Name: other.url, Argo: other}} })
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
		other.check(t)
	})
}

// An app that is not known yet when the update is read is followed when it is.
func TestAnAppThatIsKnownLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		how := s.in.how[apiInProd]
		delete(s.in.how, apiInProd)
		s.in.unsettled = true
		defer s.start("this")()
		id := s.write("api", "1.0.0")
		s.pass(time.Minute)
		s.expect(id, "", "")
		s.reload(func(c *inForce) { c.how[apiInProd], c.unsettled = how, false })
		s.expect(id, gitops.RolloutHealthy, "")
		s.check()
	})
}

// What is reported is waited for: what the follower gives is the beginning and the end.
func TestWhatIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		stop := s.start("this")
		s.configure("api", func(how *follow.Followed) { how.By = follow.ByReports })
		report := func(id string, state gitops.RolloutState) {
			_, err := s.store.Model.ReportRollouts(t.Context(), queue.Lease{}, []queue.RolloutReport{{Update: id, Rollout: gitops.Rollout{State: state, By: "token:flux"}}})
			s.must(err)
			s.pass(time.Second)
		}
		first := s.write("api", "1.0.0")
		s.pass(time.Second)
		s.expect(first, gitops.RolloutWaiting, "")
		report(first, gitops.RolloutPaused)
		s.pass(time.Hour)
		s.expect(first, gitops.RolloutPaused, "")
		report(first, gitops.RolloutProgressing)
		stop()
		defer s.start("next")() // who counts by what is recorded
		s.pass(14 * time.Minute)
		s.expect(first, gitops.RolloutProgressing, "")
		s.pass(2 * time.Minute)
		s.expect(first, gitops.RolloutTimedOut, "did not run within 15m: it is progressing")
		second := s.write("api", "1.0.1")
		s.pass(time.Second)
		report(second, gitops.RolloutHealthy)
		third := s.write("api", "1.0.2")
		s.pass(time.Second)
		fourth := s.write("api", "1.0.3")
		s.pass(time.Second)
		s.expect(second, gitops.RolloutHealthy, "")
		s.expect(third, gitops.RolloutSuperseded, "")
		s.expect(fourth, gitops.RolloutWaiting, "")
		if n := s.hubs[0].count(""); n != s.hubs[0].count("list") || len(s.ended) != 3 {
			t.Errorf("%d calls, counted %v", n, s.ended)
		}
	})
}

// What was unchanged on the branch is followed like what was written.
func TestAnUpdateWithoutACommit(t *testing.T) {
	play(t, func(s *site) {
		first := s.write("api", "1.0.0")
		s.pass(time.Second)
		id := s.order("api", "1.0.0")
		s.transition(gitops.Transition{Update: id, Action: gitops.ActionConfirm})
		s.pass(time.Second)
		s.expect(first, gitops.RolloutHealthy, "")
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// A timeout that is changed is of what is written later: the reason names the one that counted.
func TestATimeoutThatIsChanged(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = 3 * time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Minute)
		s.configure("api", func(how *follow.Followed) { how.Timeout = time.Hour })
		s.pass(11 * time.Minute)
		s.expect(id, gitops.RolloutTimedOut, "did not run within 15m: ")
	})
}
