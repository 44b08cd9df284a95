package poll_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// The first complete scan records what is there. From then on the highest new version that
// the rules take is ordered, and of several new ones that alone.
func TestTheFirstScanOnlyRecords(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0", "1.1.0", "1.9.0-rc1")...) }, func(s *site) {
		s.expect()
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0", "1.4.0", "1.3.0", "1.9.0-rc1", "1.9.0-rc2", "latest", "sha256-"+pushed("x", "a", 0).Digest[7:])...)
		s.round()
		s.expect("registry prod web 1.4.0")
		s.round()
		s.expect()
		if s.recorder.soFar().ordered["prod"] != 1 || len(s.recorder.soFar().ordered) != 1 {
			t.Errorf("counted %v", s.recorder.soFar().ordered)
		}
		seen, err := s.store.Model.SeenImages(s.t.Context(), ghcr, []string{"1.4.0", "1.3.0", "1.9.0-rc1", "latest", "sha256-" + pushed("x", "a", 0).Digest[7:]})
		if s.must(err); len(seen) != 3 {
			t.Errorf("of what can be ordered 3 are seen, and %+v are", seen)
		}
		d := s.deliveries()[0]
		if d.Actor != "registry:ghcr.io" || d.Principal != "poll:ghcr.io" || !d.Recovered || d.Updates[0].Rule != "access[0]" || !d.Updates[0].OnlyUp {
			t.Errorf("%+v", d)
		}
	})
}

// Whoever turns polls on is told that the first scan ordered nothing, and what it recorded; no
// later scan says so.
func TestTheFirstScanIsLogged(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0", "1.1.0")...) }, func(s *site) {
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0")...)
		s.round()
		s.expect("registry prod web 1.2.0")
		if lines := s.log.Lines("images recorded", `"repository":"`+ghcr+`"`); len(lines) != 1 || !strings.Contains(lines[0], `"tags":2`) {
			t.Errorf("logged %q", lines)
		}
	})
}

// An empty list is no tag "", and an empty repository's first image is ordered.
func TestAnEmptyList(t *testing.T) {
	play(t, nil, func(s *site) {
		s.has(ghcr, of("")...)
		s.round()
		s.expect()
		s.has(ghcr, of("1.0.0")...)
		s.round()
		s.expect("registry prod web 1.0.0")
	})
}

// A list that is cut short, lists that alternate because a cache has the old one, and a tag
// that is deleted order nothing, and so lower nothing.
func TestShortenedAndAlternatingListsOrderNothing(t *testing.T) {
	old, all := of("1.0.0", "1.1.0"), of("1.0.0", "1.1.0", "1.2.0")
	play(t, func(s *site) { s.has(ghcr, old...) }, func(s *site) {
		s.has(ghcr, all...)
		s.round()
		s.write()
		s.expect("registry prod web 1.2.0")
		for range 5 {
			for _, list := range [][]poll.Image{old, all, all[:1], nil, all[1:]} {
				s.has(ghcr, list...)
				s.round()
			}
		}
		s.expect()
		if got := s.branch[gitops.Place{Environment: "prod", App: "web"}]; got != "1.2.0" {
			t.Errorf("the branch has %s", got)
		}
	})
}

// Where 2.0.0 is there and the rule is ^1, a new 1.0.3 is taken.
func TestAHigherVersionThatNoRuleTakesHidesNothing(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.2", "2.0.0")...) }, func(s *site) {
		s.has(ghcr, of("1.0.2", "2.0.0", "2.1.0", "1.0.3")...)
		s.round()
		s.expect("registry prod web 1.0.3")
	})
}

// A new tag that is not above everything that was accepted is not ordered: it is the fix of
// an older line, or an old build under a new name.
func TestAVersionBelowWhatWasAccepted(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0")...) }, func(s *site) {
		s.has(ghcr, of("1.0.0", "1.5.0")...)
		s.round()
		s.has(ghcr, of("1.0.0", "1.5.0", "1.4.9", "v1.5.0", "1.5.0-rc1")...)
		s.round()
		s.has(ghcr, of("1.4.9", "1.5.1")...)
		s.round()
		s.expect("registry prod web 1.5.0", "registry prod web 1.5.1")
	})
}

// A first scan that is cut off is a first scan again, however much it had recorded.
func TestAFirstScanThatIsCutOffBeginsAgain(t *testing.T) {
	play(t, func(s *site) {
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0", "1.3.0")...)
		s.registries.fail(ghcr, 2, nil, gitops.Errorf(gitops.Forbidden, "denied"))
	}, func(s *site) {
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0")...)
		s.round()
		s.expect()
		s.has(ghcr, of("1.5.0")...)
		s.round()
		s.expect("registry prod web 1.5.0")
	})
}

// Between the order and its record the process dies: it is ordered once. It dies before:
// it is ordered by the next scan.
func TestACrashOrdersOnce(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0")...) }, func(s *site) {
		down := gitops.Errorf(gitops.Unavailable, "the store is away")
		s.store.fail(down)
		s.has(ghcr, of("1.0.0", "1.1.0")...)
		s.round()
		s.expect("registry prod web 1.1.0")
		s.store.fail(nil)
		s.round()
		s.expect()
		denied := gitops.Errorf(gitops.Forbidden, "denied")
		s.registries.fail(ghcr, 1, nil, nil, denied, nil, nil, denied)
		s.has(ghcr, of("1.2.0", "1.3.0", "1.4.0", "1.1.5")...)
		s.round()
		s.expect()
		s.registries.fail(ghcr, 1)
		s.round()
		s.expect("registry prod web 1.4.0")
	})
}

// Rules that take more than before order nothing that was there before.
func TestRulesThatAreWidenedOrderNothingOld(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0", "2.0.0")...) }, func(s *site) {
		s.has(ghcr, of("1.0.0", "2.0.0", "2.1.0")...)
		s.round()
		s.config.Environments["prod"] = policy.Environment{Tags: policy.TagRule{Semver: ">=1"}}
		s.reload()
		s.round()
		s.expect()
		s.has(ghcr, of("2.0.0", "2.1.0", "2.2.0")...)
		s.round()
		s.expect("registry prod web 2.2.0")
	})
}

// What no environment polls is never asked for, and a place that does not poll gets nothing
// of an image that another place polls.
func TestWhatDoesNotPollIsNeverPolled(t *testing.T) {
	play(t, func(s *site) {
		delete(s.polls, "dev")
		s.config.Apps["quiet"] = policy.App{Repository: "quiet.example/app", Environments: []string{"dev"}}
		s.config.Environments["dev"] = policy.Environment{Tags: policy.TagRule{Semver: "*"}}
		s.has(ecrAPI, pushed("1.0.0", "a", time.Hour))
	}, func(s *site) {
		s.has(ecrAPI, pushed("1.1.0", "b", 0))
		s.round()
		s.expect("registry prod api 1.1.0")
		if n := len(s.registries.requests("quiet.example/app")); n != 0 {
			t.Errorf("an image that is not polled was asked for %d times", n)
		}
		clear(s.polls)
		s.reload()
		s.round()
		s.registries.requests("")
		s.round()
		if n := len(s.registries.requests("")); n != 0 {
			t.Errorf("%d requests without any poll", n)
		}
		if len(s.recorder.soFar().complete) != 0 {
			t.Errorf("counted %v", s.recorder.soFar().complete)
		}
	})
}

// An app that comes later: of an image that was not known its first scan records, of one
// that was what is new is ordered for it, too. An image is listed once, whoever has it.
func TestAnAppThatComesLater(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0", "1.1.0")...) }, func(s *site) {
		s.config.Apps["job"] = policy.App{Repository: "ghcr.io/shop/job", Environments: []string{"prod"}}
		s.config.Apps["web2"] = policy.App{Repository: ghcr, Environments: []string{"prod"}}
		s.has("ghcr.io/shop/job", of("1.0.0")...)
		s.reload()
		s.round()
		s.expect()
		s.registries.requests("")
		s.has("ghcr.io/shop/job", of("1.0.0", "1.1.0")...)
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0")...)
		s.round()
		if n := len(s.registries.requests(ghcr)); n != 1 {
			t.Errorf("%s was listed %d times", ghcr, n)
		}
		got := s.took()
		if slices.Sort(got); !slices.Equal(got, []string{"registry prod job 1.1.0", "registry prod web 1.2.0", "registry prod web2 1.2.0"}) {
			t.Errorf("accepted %q", got)
		}
	})
}

// What no rule of access allows is ignored with the reason, and stays so when a rule comes.
func TestAPollNeedsARule(t *testing.T) {
	const image = "other.example/shop/job"
	play(t, func(s *site) {
		s.config.Apps["job"] = policy.App{Repository: image, Environments: []string{"prod"}}
		s.has(image, of("1.0.0")...)
	}, func(s *site) {
		s.has(image, of("1.0.0", "1.1.0")...)
		s.round()
		s.round()
		s.expect(`registry ignored: prod: poll of the registry other.example may not order job in prod: the nearest rule, access[0], does not hold: registry "other.example" is not among ` +
			`123456789012.dkr.ecr.eu-west-1.amazonaws.com, ghcr.io, slow.example:5000 (change that rule, or add one to access in the configuration)`)
		if len(s.recorder.soFar().ordered) > 0 {
			t.Errorf("counted %v", s.recorder.soFar().ordered)
		}
	})
}
