package poll_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
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
		s.registries.whenGiven(func(repository string, n int) {
			if repository == ecrAPI && n == 2 {
				delete(s.polls, "prod")
				s.reload()
			}
		})
		s.has(ecrAPI, pushed("1.0.0", "a", time.Hour), pushed("1.1.0", "b", 0), pushed("2.0.0", "c", 0))
		s.round()
		s.expect("registry qa api 2.0.0")
		s.registries.whenGiven(nil)
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

// Between two scans of an image is its interval, and a part of a tenth of it that is drawn.
func TestTheJitterIsDrawn(t *testing.T) {
	play(t, func(s *site) {
		s.jitter = func(n time.Duration) time.Duration { return n - 1 }
		s.has(ghcr, of("1.0.0")...)
	}, func(s *site) {
		s.pass(5 * every)
		asked := s.registries.requests(ghcr)
		if len(asked) != 5 {
			t.Fatalf("asked %d times in five intervals", len(asked))
		}
		for i, q := range asked[1:] {
			if between := q.at.Sub(asked[i].at); between != every+every/10 {
				t.Errorf("asked again after %s", between)
			}
		}
	})
}

// An app that goes and comes back while its image is scanned is polled on, also where the
// store does not answer meanwhile.
func TestAnAppThatComesBackWithinAScan(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0")...) }, func(s *site) {
		const looks = time.Minute // several of the leader's
		web := s.config.Apps["web"]
		s.registries.whenGiven(func(repository string, _ int) {
			if repository != ghcr {
				return
			}
			delete(s.config.Apps, "web")
			s.reload()
			time.Sleep(looks)
			s.store.forget(gitops.Errorf(gitops.Unavailable, "the store is away"))
			s.config.Apps["web"] = web
			s.reload()
			time.Sleep(looks)
		})
		s.pass(every + every/10 + 3*looks)
		s.registries.whenGiven(nil)
		s.store.forget(nil)
		s.has(ghcr, of("1.0.0", "1.1.0")...)
		s.round()
		s.round()
		s.expect("registry prod web 1.1.0")
	})
}

// What a host has said when to come again holds, also where it was asked about an image that
// is polled no longer.
func TestAHostIsLeftAloneWhateverItWasAskedAbout(t *testing.T) {
	const other = "ghcr.io/shop/other"
	play(t, func(s *site) {
		s.config.Apps["other"] = policy.App{Repository: other, Environments: []string{"prod"}}
		s.has(ghcr, of("1.0.0")...)
		s.has(other, of("1.0.0")...)
	}, func(s *site) {
		wait := gitops.Errorf(gitops.RateLimited, "429")
		wait.RetryAfter = 50 * time.Minute
		s.registries.whenGiven(func(repository string, _ int) {
			if _, there := s.config.Apps["other"]; repository == other && there {
				delete(s.config.Apps, "other")
				s.reload()
				time.Sleep(time.Minute)
			}
		})
		s.has(other, of("1.0.0", "1.1.0")...)
		s.registries.fail(other, 1, nil, wait)
		s.pass(every + every/10 + 2*time.Minute)
		s.registries.requests("")
		s.pass(35 * time.Minute)
		if asked := s.registries.requests(ghcr); len(asked) > 0 {
			t.Errorf("the host was asked %d times", len(asked))
		}
	})
}
