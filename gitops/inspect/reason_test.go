package inspect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// What waits says why now, and not why when the outage began: whoever reads it acts on it. A
// reason that changes with each look is not told each time.
func TestAnOutageTellsItsLatestReason(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		timeout := gitops.Errorf(gitops.Unavailable, "registry ghcr.io did not answer in time")
		denied := gitops.Errorf(gitops.Unauthorized, "registry ghcr.io answered 401")
		denies := func(u gitops.Update, what string) bool {
			i := s.Inspect([]gitops.Update{u})[0]
			return i.Waits != nil && strings.Contains(i.Waits.Reason, what)
		}
		s.registry.failing(failingAt("", timeout))
		first, second := s.update("1", v1), s.update("2", "ghcr.io/acme/web:v1")
		s.answer(first)
		elapse(time.Minute)
		s.ask(second)
		equal(t, "freed for the same reason", nil, s.Freed("dev"))
		s.registry.failing(failingAt("", denied))
		elapse(3 * time.Minute)
		equal(t, "freed", []string{"1", "2"}, s.Freed("dev"))
		equal(t, "first tells", true, denies(first, "401"))
		equal(t, "second tells", true, denies(second, "401"))
		looks := 0
		s.registry.failing(func(image.Question) error {
			if looks++; looks%2 == 0 {
				return timeout
			}
			return denied
		})
		elapse(time.Hour)
		if again := s.Freed("dev"); looks < 50 || len(again) > 2 {
			t.Errorf("freed %v by %d looks that fail by turns", again, looks)
		}
		s.registry.failing(func(image.Question) error { // each reason comes twice
			if looks++; looks%4 < 2 {
				return timeout
			}
			return denied
		})
		freed := 0
		for range 60 {
			elapse(time.Minute)
			if len(s.Freed("dev")) > 0 {
				freed++
			}
			s.Inspect([]gitops.Update{first, second})
		}
		if freed > 7 {
			t.Errorf("told %d times in an hour", freed)
		}
		equal(t, "tells one of the two", true, denies(first, "401") || denies(first, "in time"))
		s.registry.failing(nil)
		elapse(2 * time.Minute)
		equal(t, "freed when it is back", []string{"1", "2"}, s.Freed("dev"))
	})
}
