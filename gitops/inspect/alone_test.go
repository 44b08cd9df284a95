package inspect_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// A registry that denies one repository and answers the others holds that one alone.
func TestADeniedRepositoryWaitsAlone(t *testing.T) {
	for _, first := range []string{"the other", "the denied one"} {
		t.Run(first, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.registry.failing(failingAt("ghcr.io/acme/secret", gitops.Errorf(gitops.Forbidden, "registry ghcr.io answered 403")))
				var all []gitops.Update
				for i := range 20 {
					all = append(all, s.update(fmt.Sprint(i), fmt.Sprintf("ghcr.io/acme/secret:v%d", i)))
					s.registry.push(fmt.Sprintf("ghcr.io/acme/secret:v%d", i), digestA)
				}
				s.registry.push(v1, digestA)
				if first == "the other" {
					s.answer(s.update("x", v1))
				}
				prod := s.update("prod", "ghcr.io/acme/secret:last")
				prod.Environment = "prod"
				s.Inspect(append(all, prod))
				s.Inspect([]gitops.Update{s.update("y", v1)})
				elapse(time.Second)
				equal(t, "told of what was not asked for", true, received(s.Changed("prod")))
				equal(t, "in the other repository", "present a", s.ask(s.update("z", v1)))
				for _, i := range s.Inspect(all) {
					equal(t, "in the denied one", "waits for the registry", s.word(i))
				}
				equal(t, "unavailable", map[string]time.Time{}, s.Unavailable())
				elapse(10 * time.Minute)
				if looks := len(s.registry.times(s.began, "ghcr.io/acme/secret")); looks > 8+6+10 {
					t.Errorf("%d looks at a repository that is denied", looks)
				}
				s.registry.failing(nil)
				elapse(time.Minute)
				equal(t, "freed when it is not denied any more", 20, len(s.Freed("dev")))
			})
		})
	}
}

// denySecret has a registry that answers deny the repository ghcr.io/acme/secret.
func (s *site) denySecret() {
	s.registry.failing(failingAt("ghcr.io/acme/secret", gitops.Errorf(gitops.Forbidden, "registry ghcr.io answered 403")))
	s.registry.push(v1, digestA)
	s.answer(s.update("x", v1))
}

// Whose look asks whether a repository is back may leave: another asks then.
func TestAnotherAsksWhetherARepositoryIsBack(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.denySecret()
		s.answer(s.update("0", "ghcr.io/acme/secret:v0"))
		var prod []gitops.Update
		for i := range 3 {
			name := fmt.Sprintf("ghcr.io/acme/secret:v%d", i+1)
			s.registry.push(name, digestA)
			prod = append(prod, s.update(name, name))
			prod[i].Environment = "prod"
		}
		s.Inspect(prod)
		synctest.Wait()
		s.Inspect(prod)
		s.Leave("dev")
		s.registry.failing(nil)
		elapse(time.Minute)
		equal(t, "freed", 3, len(s.Freed("prod")))
	})
}

// What waited in a repository that is denied, and is not wanted any more, is forgotten as
// everything else is.
func TestWhatWaitedInADeniedRepositoryIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.denySecret()
		var denied []gitops.Update
		for i := range 100 {
			denied = append(denied, s.update(fmt.Sprint(i), fmt.Sprintf("ghcr.io/acme/secret:v%d", i)))
		}
		s.Inspect(denied)
		synctest.Wait()
		s.Inspect(denied)
		s.Leave("dev")
		elapse(time.Hour)
		s.answer(s.update("y", v1))
		if waiters, looks := s.Kept(); waiters != 0 || looks != 1 {
			t.Errorf("it keeps %d updates and %d answers", waiters, looks)
		}
	})
}

// A repository that says how long it must not be asked is not asked by a reload.
func TestAReloadObeysWhatARepositorySaid(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		denied := gitops.Errorf(gitops.Forbidden, "registry ghcr.io answered 403")
		denied.RetryAfter = 10 * time.Minute
		s.registry.failing(func(q image.Question) error {
			if q.Repository != "ghcr.io/acme/secret" {
				return nil
			}
			return denied
		})
		s.registry.push(v1, digestA)
		s.answer(s.update("x", v1))
		s.answer(s.update("secret", "ghcr.io/acme/secret:v1"))
		asked := len(s.registry.questions())
		s.Reconfigured()
		elapse(9 * time.Minute)
		equal(t, "looks before it may be asked", asked, len(s.registry.questions()))
		elapse(2 * time.Minute)
		equal(t, "looks afterwards", asked+1, len(s.registry.questions()))
	})
}

// A registry is not reported as unavailable when no update waits for it.
func TestAnOutageThatNobodyNotices(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.registry.failing(failingAt("", gitops.Errorf(gitops.Unavailable, "registry ghcr.io answered 503")))
		s.answer(s.update("1", v1))
		s.Leave("dev")
		elapse(time.Minute)
		equal(t, "unavailable", map[string]time.Time{}, s.Unavailable())
		equal(t, "looks", []float64{0}, s.registry.times(s.began, v1))
	})
}

// One image that its registry cannot serve does not keep the others back.
func TestAnImageThatCannotBeServedWaitsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.registry.failing(failingAt("ghcr.io/acme/broken:", gitops.Errorf(gitops.Unavailable, "registry ghcr.io answered 500")))
		s.ask(s.update("0", "ghcr.io/acme/broken:v1"))
		elapse(time.Hour)
		for i := range 100 {
			name := fmt.Sprintf("ghcr.io/acme/app:v%d", i)
			s.registry.push(name, digestA)
			s.ask(s.update(name, name))
			elapse(2 * time.Second)
			equal(t, "another of that registry", "present a", s.ask(s.update(name, name)))
		}
		if broken := s.registry.times(s.began.Add(time.Hour), "ghcr.io/acme/broken"); len(broken) > 6+60+12 {
			t.Errorf("the broken one was asked for at %v", broken)
		}
		equal(t, "the broken one", "waits for the registry", s.ask(s.update("0", "ghcr.io/acme/broken:v1")))
	})
}
