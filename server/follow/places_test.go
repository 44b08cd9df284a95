package follow_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// root is an Application that makes others, and has something else besides.
func root(makes string) func(a *app) {
	return func(a *app) {
		a.ref.Name, a.image = "root", "registry.example/none"
		a.change = func(a *rollout.Application) {
			a.Status.Resources = append(a.Status.Resources, rollout.Resource{Group: "argoproj.io", Kind: "Application", Namespace: "argocd", Name: makes})
		}
	}
}

// The root of an app of apps may have the file among its own, and fail for reasons of its own:
// what it makes is followed.
func TestARootThatReadsTheFileToo(t *testing.T) {
	for name, fails := range map[string]func(a *rollout.Application){
		"it is well": nil, "its sync fails": failedSync, "it is degraded": func(a *rollout.Application) { a.Status.Health.Status = "Degraded" },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *site) {
				s.hubs[0].tune("api", func(a *app) { a.takes = 2 * time.Minute })
				s.hubs[0].deploy("api", root("api-prod"), func(a *app) {
					makes := a.change
					a.change = func(a *rollout.Application) {
						if makes(a); fails != nil {
							fails(a)
						}
					}
				})
				s.reload(func(*inForce) {}) // listed by then, or soon
				id := s.write("api", "1.0.0")
				s.pass(time.Minute)
				s.expect(id, gitops.RolloutProgressing, "")
				s.pass(2 * time.Minute)
				s.expect(id, gitops.RolloutHealthy, "")
				if r := s.rollout(id); len(r.Places) != 1 || r.Places[0].Name != "myshop/argocd/api-prod" {
					t.Errorf("%+v", r.Places)
				}
			})
		})
	}
}

// While the root has not made the Application yet, it is no failure that the root runs nothing.
func TestARootThatMakesTheApplicationLater(t *testing.T) {
	play(t, func(s *site) {
		s.follow("web", 15*time.Minute)
		s.hubs[0].deploy("web", root("web-prod"))
		id := s.write("web", "1.0.0")
		s.pass(40 * time.Second)
		s.expect(id, gitops.RolloutWaiting, "")
		s.hubs[0].deploy("web")
		s.pass(45 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// An Application that reads the same files for something else says nothing of the update, as
// long as another one deploys it.
func TestAnApplicationWithoutTheImage(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Minute })
		s.hubs[0].deploy("api", func(a *app) { a.ref.Name, a.image = "api-dashboards", "registry.example/none" })
		id := s.write("api", "1.0.0")
		s.pass(50 * time.Second)
		s.expect(id, gitops.RolloutProgressing, "")
		s.pass(30 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		s.hubs[0].tune("api", func(a *app) { a.image = "registry.example/none" })
		id = s.write("api", "1.0.1")
		s.pass(2 * time.Minute)
		s.expect(id, gitops.RolloutDegraded, "none of its workloads has the image")
	})
}

// An instance that does not answer a replica that has begun may have the update's Application
// still: it is not healthy without it. Others are.
func TestAnInstanceThatHangsFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 2)
		s.hubs[0].deploy("here")
		s.follow("here", 15*time.Minute)
		first := s.start("first")
		s.pass(time.Second)
		s.write("api", "0.9.0")
		s.pass(5 * time.Second)
		s.hubs[1].tune("api", func(a *app) { a.takes = time.Hour })
		before := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.expect(before, gitops.RolloutProgressing, "")
		first()
		s.hubs[1].set(func() { s.hubs[1].hangs = true })
		defer s.start("second")()
		here := s.write("here", "1.0.0")
		s.pass(30 * time.Second)
		s.expect(here, gitops.RolloutHealthy, "")
		s.expect(before, gitops.RolloutUnknown, "it does not answer")
		after := s.write("api", "1.0.1")
		s.pass(time.Hour)
		s.expect(after, gitops.RolloutUnknown, "it does not answer")
		s.hubs[1].set(func() { s.hubs[1].hangs = false })
		s.hubs[1].tune("api", func(a *app) { a.takes = 3 * time.Hour })
		s.pass(time.Minute)
		s.expect(after, gitops.RolloutProgressing, "")
		s.hubs[1].tune("api", func(a *app) { a.takes = 0 })
		s.pass(time.Minute)
		s.expect(after, gitops.RolloutHealthy, "")
		s.check()
	})
}

// A project that may not be listed leaves unknown what is not found, which has no end then;
// what is found is followed.
func TestAProjectThatMayNotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		s.follow("web", 5*time.Minute)
		s.hubs[0].unlist = gitops.Errorf(gitops.Forbidden, "the token may not get Applications of project other")
		defer s.start("this")()
		api, web := s.write("api", "1.0.0"), s.write("web", "1.0.0")
		s.pass(time.Hour)
		s.expect(api, gitops.RolloutHealthy, "")
		s.expect(web, gitops.RolloutUnknown, "Applications cannot be listed: the token may not get Applications of project other")
		s.hubs[0].set(func() { s.hubs[0].unlist = nil })
		s.hubs[0].deploy("web")
		s.pass(30 * time.Second)
		s.expect(web, gitops.RolloutHealthy, "")
		s.check()
	})
}

// An Application that is being deleted may have moved, too.
func TestAnApplicationThatIsDeletedToMove(t *testing.T) {
	play(t, func(s *site) {
		deleting := func(a *rollout.Application) { at := now(); a.Metadata.DeletionTimestamp = &at }
		s.hubs[0].tune("api", func(a *app) { a.takes, a.change = time.Hour, deleting })
		id := s.write("api", "1.0.0")
		s.pass(3 * time.Second)
		s.hubs[0].deploy("api", func(a *app) { a.ref.Name = "api-prod-eu" })
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
		s.hubs[0].tune("api", func(a *app) { a.change = deleting })
		id = s.write("api", "1.0.1")
		s.pass(2 * time.Minute)
		s.expect(id, gitops.RolloutGone, "the Application is being deleted")
	})
}

// PR #4350: what an Application was while it could not be looked at is not known: it was
// degraded before and is after, and that is no 20 s in a row.
func TestTrapWhatWasNotSeenIsNotKnown(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.hubs[0].tune("api", func(a *app) { a.change = func(a *rollout.Application) { a.Status.Health.Status = "Degraded" } })
		s.pass(8 * time.Second)
		s.hubs[0].set(func() { s.hubs[0].err = away(gitops.Unavailable, "answers with status 502") })
		s.pass(time.Minute)
		s.hubs[0].set(func() { s.hubs[0].err = nil })
		s.pass(15 * time.Second)
		s.expect(id, gitops.RolloutProgressing, "Degraded")
		s.pass(30 * time.Second)
		s.expect(id, gitops.RolloutDegraded, "")
	})
}

// A look counts for when Argo CD said it, however long the rest of it takes: two looks within
// a second are no 20 s of Degraded because git was slow.
func TestALookThatTakesLong(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.hubs[0].tune("api", func(a *app) { a.change = func(a *rollout.Application) { a.Status.Health.Status = "Degraded" } })
		for s.rollout(id).Reason == "" {
			s.pass(100 * time.Millisecond)
		}
		s.git.mu.Lock()
		s.git.slow = 19900 * time.Millisecond
		s.git.mu.Unlock()
		s.git.commit("other", "1")
		s.hubs[0].pushed()
		s.pass(time.Second + 500*time.Millisecond)
		s.hubs[0].tune("api", func(a *app) { a.change, a.takes = nil, 0 })
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// kargo#60: Degraded that comes and goes at the pace of the looks is no 20 s in a row.
func TestTrapAFlapAtThePaceOfTheLooks(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(2 * time.Minute)
		for before := s.hubs[0].count("get"); s.hubs[0].count("get") == before; {
			s.pass(100 * time.Millisecond)
		}
		s.pass(14 * time.Second)
		for range 4 {
			s.hubs[0].tune("api", func(a *app) { a.change = func(a *rollout.Application) { a.Status.Health.Status = "Degraded" } })
			s.pass(3 * time.Second)
			s.hubs[0].tune("api", func(a *app) { a.change = nil })
			s.pass(12 * time.Second)
		}
		s.expect(id, gitops.RolloutProgressing, "")
	})
}

// An instance that answers again is not said to be away, though what it says is a refusal.
func TestAnInstanceThatRefusesAnswers(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Hour })
		id := s.write("api", "1.0.0")
		s.pass(5 * time.Second)
		s.hubs[0].set(func() { s.hubs[0].err = away(gitops.Unavailable, "answers with status 502") })
		s.pass(20 * time.Second)
		s.hubs[0].tune("api", func(a *app) { a.err = gitops.Errorf(gitops.Forbidden, "forbidden or not there") })
		s.hubs[0].set(func() { s.hubs[0].err = nil })
		s.pass(time.Minute)
		s.expect(id, gitops.RolloutUnknown, "forbidden or not there")
		if s.isAway(0) {
			t.Error("it is said to be away")
		}
	})
}

// An Application of which Argo CD answers nothing but errors is unknown, though Argo CD answers
// of others, which it does not delay.
func TestAnApplicationThatCannotBeRead(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].deploy("web")
		s.follow("web", time.Hour)
		s.hubs[0].tune("api", func(a *app) { a.err = away(gitops.Unavailable, "answers with status 500") })
		s.hubs[0].tune("web", func(a *app) { a.takes = 2 * time.Hour })
		id, web := s.write("api", "1.0.0"), s.write("web", "1.0.0")
		s.pass(20 * time.Minute)
		s.expect(id, gitops.RolloutUnknown, "answers with status 500")
		s.expect(web, gitops.RolloutProgressing, "")
		if got := s.path(web); len(got) > len("waiting progressing unknown progressing") {
			t.Errorf("web was %s", got)
		}
		s.hubs[0].tune("web", func(a *app) { a.takes = 0 })
		s.pass(20 * time.Second)
		s.expect(web, gitops.RolloutHealthy, "")
		s.pass(time.Hour)
		s.expect(id, gitops.RolloutUnknown, "answers with status 500")
		s.hubs[0].tune("api", func(a *app) { a.err = nil })
		s.pass(70 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
	})
}

// 500 rollouts at an instance that hangs hold up none at another: it has its verdict at once.
func TestFiveHundredAtAnInstanceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 2)
		s.hubs[0].deploy("here")
		s.follow("here", 5*time.Minute)
		var ids [500]string
		for n := range ids {
			name := fmt.Sprint("app-", n)
			s.hubs[1].deploy(name)
			s.follow(name, 5*time.Minute)
		}
		defer s.start("this")()
		s.pass(time.Second)
		s.hubs[1].set(func() { s.hubs[1].lost = true })
		s.hubs[1].set(func() { s.hubs[1].hangs = true })
		for n := range ids {
			ids[n] = s.write(fmt.Sprint("app-", n), "1.0.0")
		}
		here := s.write("here", "1.0.0")
		s.pass(5 * time.Second)
		s.expect(here, gitops.RolloutHealthy, "")
		s.pass(20 * time.Minute)
		for _, id := range ids {
			s.expect(id, gitops.RolloutUnknown, "it does not answer")
		}
		s.hubs[1].set(func() { s.hubs[1].hangs = false })
		s.pass(5 * time.Minute)
		for _, id := range ids {
			s.expect(id, gitops.RolloutHealthy, "")
		}
		s.check()
	})
}
