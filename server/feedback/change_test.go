package feedback_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// The commit that was found in one source is not told to another that the configuration names
// instead: it has other commits.
func TestASourceThatChanges(t *testing.T) {
	play(t, func(s *site) {
		s.hub.set(func() {
			s.hub.refs[web+" tags/v1.0.0"] = other
			s.hub.faults = []fault{{}, {}, {}, {err: gitops.Errorf(gitops.Unavailable, "GitHub is away")}} // a list, two names of the commit, and then the Deployment
		})
		s.ends(s.order("prod", "api", "1.0.0", ""), gitops.ActionCommit, "")
		s.pass(10 * time.Second)
		if s.counts("failed") != 1 {
			t.Fatal("the Deployment has not failed")
		}
		s.mu.Lock()
		s.sources = map[string]string{"api": web}
		s.mu.Unlock()
		s.pass(time.Minute)
		s.expect("shop/web prod 2a2b3c4 1.0.0: success")
	})
}

// What GitHub shows of an update is said until a newer one of its app is told: the end of an
// older one takes nothing from it, also when another replica tells.
func TestANoteIsOfTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		stop := s.start("this")
		older := s.order("prod", "api", "1.0.0", sha)
		s.pass(time.Minute)
		newer := s.order("prod", "api", "1.0.1", other)
		s.pass(time.Minute)
		stop()
		defer s.start("that")()
		s.ends(older, gitops.ActionFail, "no such key")
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.0: queued failure", "shop/api prod 2a2b3c4 1.0.1: queued")
		if s.noted(newer).Deployment == 0 || s.noted(older).Deployment != 0 {
			t.Errorf("said are %+v of the newer one, and %+v", s.noted(newer), s.noted(older))
		}
	})
}
