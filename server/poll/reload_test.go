package poll_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// What is put in force while a list is read decides what is ordered of it: a place that
// polls no longer gets nothing, and another its due.
func TestAReloadWithinAScan(t *testing.T) {
	play(t, func(s *site) {
		s.config.Environments["qa"], s.polls["qa"] = policy.Environment{Tags: policy.TagRule{Semver: "*"}}, poll.Environment{Every: every}
		s.has(ecrAPI, pushed("1.0.0", "a", time.Hour))
	}, func(s *site) {
		s.registries.fail(ecrAPI, 1)
		s.registries.page = func(repository string, n int) {
			if repository == ecrAPI && n == 2 {
				delete(s.polls, "prod")
				s.reload()
			}
		}
		s.has(ecrAPI, pushed("1.0.0", "a", time.Hour), pushed("1.1.0", "b", 0), pushed("2.0.0", "c", 0))
		s.round()
		s.expect("registry qa api 2.0.0")
		s.registries.page = nil
		s.polls["prod"] = poll.Environment{Every: every}
		s.reload()
		s.round()
		s.expect()
	})
}

// Another interval counts at once, and the shortest of the environments that have an image is
// the image's.
func TestIntervals(t *testing.T) {
	play(t, func(s *site) { s.polls["dev"] = poll.Environment{Every: time.Hour} }, func(s *site) {
		s.registries.requests("")
		s.pass(3 * time.Hour)
		api := len(s.registries.requests(ecrAPI)) // dev's and prod's
		if api < 16 || api > 18 {
			t.Errorf("asked %d times in 3 hours", api)
		}
		s.polls["prod"] = poll.Environment{Every: time.Hour}
		s.reload()
		s.round()
		s.registries.requests("")
		s.pass(3 * time.Hour)
		if n := len(s.registries.requests(ecrAPI)); n < 2 || n > 3 {
			t.Errorf("asked %d times in 3 hours, hourly", n)
		}
		s.polls["prod"] = poll.Environment{Every: time.Minute}
		s.reload()
		s.registries.requests("")
		s.pass(10 * time.Minute)
		if n := len(s.registries.requests(ecrAPI)); n < 9 {
			t.Errorf("asked %d times in 10 minutes", n)
		}
	})
}
