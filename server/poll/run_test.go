package poll_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// One replica polls. Another begins when that one has stopped, and not before what it left
// is due.
func TestOneReplicaPolls(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0")...) }, func(s *site) {
		stop := s.start("that")
		s.registries.requests("")
		for range 10 {
			s.round()
		}
		if n := len(s.registries.requests(ghcr)); n < 10 || n > 11 {
			t.Errorf("two replicas asked %d times in ten intervals", n)
		}
		stop()
		other := s.start("other")
		defer other()
		s.store.KillHolder("this")
		s.pass(2 * time.Minute)
		if n := len(s.registries.requests(ghcr)); n > 1 {
			t.Errorf("the next replica asked %d times at once", n)
		}
		s.has(ghcr, of("1.0.0", "1.1.0")...)
		s.round()
		s.expect("registry prod web 1.1.0")
	})
}

// A replica that has lost the lease ends what it is at, and orders nothing.
func TestAPollEndsWithItsLease(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0")...) }, func(s *site) {
		lost := false
		s.registries.whenGiven(func(repository string, n int) {
			if lost || repository != ghcr || n != 1 {
				return
			}
			lost = true
			s.store.KillHolder("this")
			if leases, err := s.store.Claim(s.t.Context(), "another", []string{"job/poll"}, time.Hour); err != nil || len(leases) != 1 {
				t.Errorf("claimed %v, %v", leases, err)
			}
			time.Sleep(3 * time.Minute) // a slow page, within which the lease is extended in vain
		})
		s.registries.fail(ghcr, 1)
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0")...)
		s.round()
		s.round()
		s.expect()
		if len(s.log.Lines("the lease was lost")) != 1 {
			t.Error("nothing is said of the lease")
		}
		if len(s.recorder.soFar().complete) != 0 {
			t.Errorf("the replica still tells of %v", s.recorder.soFar().complete)
		}
	})
}

// A hundred repositories of ten pages each are asked for with one request for each page, two
// a second, within their interval, and the store with one question for each page.
func TestAHundredRepositoriesAreWithinTheQuota(t *testing.T) {
	const repositories, pages = 100, 10
	list := make([]poll.Image, 0, 10_000)
	for n := range cap(list) {
		list = append(list, pushed(fmt.Sprintf("1.0.%d", n), "a", time.Hour))
	}
	play(t, func(s *site) {
		s.config.Apps, s.registries.size = make(map[string]policy.App), 1000
		for n := range repositories {
			name := fmt.Sprintf("123456789012.dkr.ecr.eu-west-1.amazonaws.com/app-%d", n)
			s.config.Apps[fmt.Sprint("app-", n)] = policy.App{Repository: name}
			s.has(name, list[:1+9*s.registries.size*min(1, n/99)]...) // the last has 9,001 images
		}
	}, func(s *site) {
		s.pass(time.Minute)
		if n := len(s.registries.requests("")); n > 121 {
			t.Errorf("%d requests in a minute", n)
		}
		s.registries.mu.Lock()
		s.registries.size = 1
		for name := range s.registries.lists {
			s.registries.lists[name] = list[:pages]
		}
		s.registries.mu.Unlock()
		s.round()
		s.registries.requests("")
		s.store.questions()
		s.took()
		s.pass(2 * every)
		asked := s.registries.requests("")
		byRepository := make(map[string]int)
		for i, q := range asked {
			byRepository[q.repository]++
			if i > 0 && q.at.Sub(asked[i-1].at) < time.Second/2 {
				t.Fatalf("two requests within %s", q.at.Sub(asked[i-1].at))
			}
		}
		for name, n := range byRepository {
			if n > 3*pages {
				t.Errorf("%s was asked %d times in two intervals", name, n)
			}
		}
		if len(byRepository) != repositories || len(asked) < 3*repositories*pages/2 {
			t.Errorf("%d requests for %d repositories in two intervals", len(asked), len(byRepository))
		}
		if n, _ := s.store.questions(); n > len(asked)+len(s.took()) { // the intake asks, too
			t.Errorf("%d questions to the store for %d pages", n, len(asked))
		}
	})
}

// Tens of thousands of tags in one page are asked of the store in parts, and a list without
// an end is read to the thousandth page, with a warning.
func TestListsThatAreTooLong(t *testing.T) {
	list := make([]poll.Image, 0, 3_001)
	for n := range cap(list) {
		list = append(list, poll.Image{Tag: fmt.Sprintf("1.0.%d", n)})
	}
	play(t, func(s *site) {
		s.registries.size = len(list)
		s.has(ghcr, list...)
	}, func(s *site) {
		if _, widest := s.store.questions(); widest != 1000 {
			t.Errorf("the store was asked for %d tags at once", widest)
		}
		s.registries.fail(ghcr, 1)
		s.registries.requests("")
		s.round()
		s.pass(5 * time.Minute) // a thousand requests take time
		if n := len(s.registries.requests(ghcr)); n != 1000 {
			t.Errorf("%d pages were read", n)
		}
		if len(s.log.Lines("more tags than a poll reads", ghcr)) != 1 {
			t.Error("nothing is said of it")
		}
		s.expect()
		s.has(ghcr, of("1.1.0")...)
		s.round()
		s.expect("registry prod web 1.1.0")
	})
}

// A host that asks for patience is left alone for exactly as long, with all that it has, and
// every other host is asked as ever.
func TestAThrottledHostSlowsNoOther(t *testing.T) {
	const slow, behind = "slow.example:5000/shop/job", "slow.example:5000/shop/later"
	play(t, func(s *site) {
		s.config.Apps["job"] = policy.App{Repository: slow, Environments: []string{"prod"}}
		s.config.Apps["later"] = policy.App{Repository: behind, Environments: []string{"prod"}}
		limited := &gitops.Error{Code: gitops.RateLimited, Message: "too many requests", RetryAfter: 47 * time.Minute}
		s.registries.fail(slow, 100, limited, limited)
		for _, image := range []string{slow, behind, ghcr} {
			s.has(image, of("1.0.0")...)
		}
	}, func(s *site) {
		began := now()
		s.pass(47*time.Minute - time.Second)
		if n := len(s.registries.requests(ghcr)); n < 4 {
			t.Errorf("the other host was asked %d times", n)
		}
		s.pass(2 * time.Second)
		var at []string
		for _, q := range s.registries.requests("") {
			if q.repository == slow || q.repository == behind {
				at = append(at, q.at.Sub(began).String()+" "+q.repository)
			}
		}
		if want := []string{"47m0s " + behind, "47m0.2s " + slow}; !slices.Equal(at, want) {
			t.Errorf("asked at %v, want %v", at, want)
		}
		s.pass(46 * time.Minute)
		if n := len(s.registries.requests(slow)); n != 0 {
			t.Errorf("asked %d times within the pause", n)
		}
		s.pass(2 * time.Minute)
		s.has(slow, of("1.0.0", "1.1.0")...)
		s.round()
		s.expect("registry prod job 1.1.0")
	})
}

// A host that asks for days is asked again after an hour: its clock or its words may be wrong.
func TestPatienceHasABound(t *testing.T) {
	play(t, func(s *site) {
		s.has(ghcr, of("1.0.0")...)
		limited := &gitops.Error{Code: gitops.RateLimited, Message: "too many requests", RetryAfter: 11 * 24 * time.Hour}
		s.registries.fail(ghcr, 100, limited)
	}, func(s *site) {
		s.registries.requests("")
		s.pass(time.Hour - time.Second)
		if n := len(s.registries.requests(ghcr)); n != 0 {
			t.Errorf("asked %d times within the hour", n)
		}
		s.pass(2 * time.Second)
		if n := len(s.registries.requests(ghcr)); n != 1 {
			t.Errorf("asked %d times after an hour", n)
		}
	})
}

// What fails is logged once, as long as it fails in the same way, and so is its end. AWS's
// words for the same failure differ each time: they have the request's id.
func TestAFailureIsLoggedOncePerChange(t *testing.T) {
	play(t, nil, func(s *site) {
		away, denied := gitops.Errorf(gitops.Unavailable, "no answer"), gitops.Errorf(gitops.Forbidden, "denied")
		request := func(id string) error { return away.WithCause(errors.New("RequestID: " + id)) }
		s.registries.fail(ghcr, 1, request("1"), request("2"), request("3"), denied, denied, away)
		s.pass(2 * time.Hour)
		var messages []string
		for _, line := range s.log.Lines(`"host":"ghcr.io"`) {
			for _, part := range []string{"registry not polled, retrying", "registry polled again"} {
				if strings.Contains(line, part) {
					messages = append(messages, part)
				}
			}
		}
		want := []string{"registry not polled, retrying", "registry polled again", "registry not polled, retrying", "registry not polled, retrying", "registry polled again", "registry polled again"}
		if !slices.Equal(messages, want) {
			t.Errorf("logged %q", messages)
		}
	})
}

// A repository that fails, by itself or as its whole host would, holds up none of the others
// of its host for longer than the host is left alone.
func TestARepositoryThatFailsStopsNoOther(t *testing.T) {
	const broken = "ghcr.io/shop/broken"
	for _, code := range []gitops.Code{gitops.Forbidden, gitops.NotFound, gitops.Unavailable} {
		play(t, func(s *site) {
			s.config.Apps["broken"] = policy.App{Repository: broken, Environments: []string{"prod"}}
			s.has(ghcr, of("1.0.0")...)
			answers := make([]error, 1000)
			for n := range answers {
				answers[n] = gitops.Errorf(code, "it fails")
			}
			s.registries.fail(broken, 100, answers...)
		}, func(s *site) {
			s.round()
			s.has(ghcr, of("1.0.0", "1.1.0")...)
			s.round()
			s.round()
			s.expect("registry prod web 1.1.0")
			if late := now().Sub(s.recorder.soFar().complete["ghcr.io"]); late < 3*every || late > 4*every {
				t.Errorf("%s: the host counts as complete %s ago", code, late)
			}
			if code != gitops.Unavailable && len(s.log.Lines("registry not polled", broken)) != 1 {
				t.Errorf("%s: it is not logged once", code)
			}
			s.registries.fail(broken, 100)
			s.round()
			s.round()
			if since := s.recorder.soFar().complete["ghcr.io"]; now().Sub(since) > 2*every || s.recorder.soFar().every["ghcr.io"] != every {
				t.Errorf("%s: complete since %s, every %s", code, since, s.recorder.soFar().every["ghcr.io"])
			}
		})
	}
}

// A store that is away costs nothing but time.
func TestAStoreThatIsAway(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0")...) }, func(s *site) {
		s.store.fail(gitops.Errorf(gitops.Unavailable, "the store is away"))
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0")...)
		for range 3 {
			s.round()
		}
		s.expect()
		s.store.fail(nil)
		s.round()
		s.expect("registry prod web 1.2.0")
	})
}
