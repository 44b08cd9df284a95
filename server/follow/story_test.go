package follow_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// What is written, and runs, is told to be healthy, with what it took.
func TestAnUpdateIsFollowedUntilItRuns(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = 20 * time.Second })
		id := s.write("api", "1.0.0")
		s.pass(time.Second)
		s.expect(id, gitops.RolloutProgressing, "")
		s.pass(40 * time.Second)
		s.expect(id, gitops.RolloutHealthy, "")
		r := s.rollout(id)
		if r.By != "argocd" || r.Revision != hash(1) || len(r.Places) != 1 || r.Places[0].Name != "myshop/argocd/api-prod" || r.Places[0].URL == "" {
			t.Errorf("%+v", r)
		}
		if got := s.path(id); got != "waiting progressing healthy" {
			t.Errorf("it was %s", got)
		}
		if ended, open := s.counts(); len(ended) != 1 || ended[0] != id+" healthy" || len(open) != 0 {
			t.Errorf("counted %v, and %v are open", ended, open)
		}
		before := s.hubs[0].count("")
		s.pass(4 * time.Minute)
		if n := s.hubs[0].count(""); n != before {
			t.Errorf("%d calls after the end", n-before)
		}
	})
}

// A webhook that is lost costs the 2 s until Argo CD is asked to look.
func TestALostWebhook(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].set(func() { s.hubs[0].lost = true })
		id := s.write("api", "1.0.0")
		s.pass(1900 * time.Millisecond)
		s.expect(id, gitops.RolloutWaiting, "has not looked at this commit")
		s.pass(1100 * time.Millisecond)
		s.expect(id, gitops.RolloutHealthy, "")
		if s.refreshed[follow.FirstRefresh] != 1 || s.hubs[0].count("refresh") != 1 {
			t.Errorf("refreshed %v", s.refreshed)
		}
	})
}

// Where the webhook comes nothing is refreshed.
func TestNothingIsRefreshedWithoutNeed(t *testing.T) {
	play(t, func(s *site) {
		s.hubs[0].tune("api", func(a *app) { a.takes = time.Minute })
		id := s.write("api", "1.0.0")
		s.pass(2 * time.Minute)
		s.expect(id, gitops.RolloutHealthy, "")
		if len(s.refreshed) > 0 {
			t.Errorf("refreshed %v", s.refreshed)
		}
	})
}
