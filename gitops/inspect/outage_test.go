package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// failingAt fails all looks at images whose names begin so.
func failingAt(prefix string, err error) func(image.Question) error {
	return func(q image.Question) error {
		if strings.HasPrefix(q.Repository+":"+q.Tag, prefix) {
			return err
		}
		return nil
	}
}

// A registry that does not answer holds what is in it, for as long as it takes, and nothing
// else. One look at a time asks whether it is back; then all are let go.
func TestAnOutageHoldsItsOwnImages(t *testing.T) {
	for name, err := range map[string]error{
		"unavailable":  gitops.Errorf(gitops.Unavailable, "registry ghcr.io answered 503"),
		"unauthorized": gitops.Errorf(gitops.Unauthorized, "registry ghcr.io answered 401"),
		"throttled":    gitops.Errorf(gitops.RateLimited, "registry ghcr.io answered 429"),
		"unknown":      errors.New("broken pipe"),
		"timeout":      context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.registry.failing(failingAt("ghcr.io/", err))
				s.registry.push("quay.io/acme/web:v1", digestA)
				var all []gitops.Update
				for i := range 100 {
					name := fmt.Sprintf("ghcr.io/acme/app%d:v1", i)
					s.registry.push(name, digestA)
					all = append(all, s.update(fmt.Sprint(i), name))
				}
				prod := s.update("prod", "ghcr.io/acme/last:v1")
				prod.Environment = "prod"
				s.Inspect(append(all, prod))
				synctest.Wait()
				equal(t, "told", true, received(s.Changed("dev")))
				equal(t, "told of what was not asked for", true, received(s.Changed("prod")))
				for _, i := range s.Inspect(all) {
					equal(t, "in the registry that is away", "waits for the registry", s.word(i))
				}
				equal(t, "since", map[string]time.Time{"ghcr.io": s.began}, s.Unavailable())
				equal(t, "in another registry", "present a", s.answer(s.update("x", "quay.io/acme/web:v1")))
				s.registry.change(func(r *registry) { clear(r.most) })
				elapse(10 * time.Minute)
				equal(t, "looks at once while it is away", 1, s.registry.most["ghcr.io"])
				if looks := len(s.registry.times(s.began, "ghcr.io")); looks > 8+6+10 {
					t.Errorf("%d looks at a registry that is away", looks)
				}
				equal(t, "freed while it is away", nil, s.Freed("dev"))
				s.registry.failing(nil)
				elapse(time.Minute)
				equal(t, "freed when it is back", 100, len(s.Freed("dev")))
				for _, i := range s.Inspect(all) {
					equal(t, "then", "present a", s.word(i))
				}
				equal(t, "unavailable at the end", map[string]time.Time{}, s.Unavailable())
			})
		})
	}
}

// A registry that says when to come again is sent nothing before, whatever is under way or
// comes meanwhile, and other registries do not notice.
func TestRetryAfter(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.registry.takes = 10 * time.Millisecond
		throttled := gitops.Errorf(gitops.RateLimited, "registry ghcr.io answered 429")
		throttled.RetryAfter = 30 * time.Second
		s.registry.failing(failingAt("ghcr.io/", throttled))
		for i := range 20 {
			name := fmt.Sprintf("ghcr.io/acme/api:v%d", i)
			s.registry.push(name, digestA)
			s.ask(s.update(name, name))
		}
		elapse(time.Second)
		s.registry.failing(nil)
		s.registry.push("ghcr.io/acme/late:v1", digestA)
		s.ask(s.update("late", "ghcr.io/acme/late:v1"))
		s.registry.push("quay.io/acme/web:v1", digestA)
		equal(t, "another registry", "looking", s.ask(s.update("x", "quay.io/acme/web:v1")))
		s.Reconfigured()
		elapse(29 * time.Second)
		equal(t, "looks", 8, len(s.registry.times(s.began, "ghcr.io")))
		equal(t, "looks at the other", []float64{1}, s.registry.times(s.began, "quay.io"))
		elapse(time.Second)
		times := s.registry.times(s.began, "ghcr.io")
		equal(t, "looks when it may be asked again", 21, len(times[8:]))
		if times[8] != 30.01 {
			t.Errorf("it was asked again after %v s", times[8])
		}
	})
}

// A registry that asks for a day is asked again after an hour.
func TestRetryAfterHasABound(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		throttled := gitops.Errorf(gitops.RateLimited, "registry ghcr.io answered 429")
		throttled.RetryAfter = 24 * time.Hour
		s.registry.failing(failingAt("", throttled))
		s.answer(s.update("1", v1))
		elapse(2*time.Hour + time.Minute)
		equal(t, "looks", []float64{0, 3600, 7200}, s.registry.times(s.began, v1))
	})
}

// An answer without a digest does not count.
func TestAnAnswerWithoutADigest(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		for i, digest := range []string{"", "sha256:short", "latest"} {
			name := fmt.Sprintf("ghcr.io/acme/api:v%d", i)
			s.registry.push(name, digest)
			u := s.update(name, name)
			equal(t, "digest "+digest, "waits for the registry", s.answer(u))
			s.registry.push(name, digestB)
			elapse(time.Minute)
			equal(t, "with one", "present b", s.ask(u))
		}
	})
}

// What was told to wait for the registry and is absent is told so, with its deadline; a wait
// that ended while the registry was away ends by a look.
func TestAbsentAfterAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		down := failingAt("", gitops.Errorf(gitops.Unavailable, "registry ghcr.io answered 503"))
		s.registry.failing(down)
		u := s.update("1", v1)
		equal(t, "at first", "waits for the registry", s.answer(u))
		elapse(500 * time.Millisecond)
		s.registry.failing(nil)
		elapse(time.Second)
		equal(t, "told", true, received(s.Changed("dev")))
		equal(t, "then", "waits from 1s to 5m1s", s.ask(u))
		equal(t, "freed, although it was told", nil, s.Freed("dev"))
		elapse(time.Minute)
		s.registry.failing(down)
		elapse(time.Hour)
		equal(t, "freed while it is away", nil, s.Freed("dev"))
		equal(t, "long after the deadline", "waits for the registry", s.ask(u))
		s.registry.failing(nil)
		elapse(time.Minute + time.Second)
		equal(t, "freed when it is back", []string{"1"}, s.Freed("dev"))
		equal(t, "at the end", "fails not_found", s.ask(u))
	})
}

// Without the store it is not known whether a tag has moved: nothing is told.
func TestWithoutTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.store.setDown(true)
		s.registry.push(v1, digestA)
		u := s.update("1", v1)
		for range 20 {
			equal(t, "without the store", "looking", s.ask(u))
			elapse(10 * time.Second)
		}
		equal(t, "looks", []float64{0}, s.registry.times(s.began, v1))
		if reads := len(s.store.reads); reads < 5 || reads > 12 {
			t.Errorf("%d reads of the store", reads)
		}
		s.store.setDown(false)
		elapse(time.Minute)
		equal(t, "told", true, received(s.Changed("dev")))
		equal(t, "with the store", "present a", s.ask(u))
	})
}

// Reloaded rules or credentials are tried at once.
func TestReconfiguredAsksAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.registry.failing(failingAt("", gitops.Errorf(gitops.Unauthorized, "registry ghcr.io answered 401")))
		s.answer(s.update("1", v1))
		elapse(10*time.Minute + 100*time.Millisecond)
		s.registry.failing(nil)
		s.registry.push(v1, digestA)
		s.Reconfigured()
		synctest.Wait()
		equal(t, "then", "present a", s.ask(s.update("1", v1)))
	})
}

// Looks that are under way when the room is closed end, and nothing is asked afterwards.
func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.registry.takes = time.Hour
		for i := range 20 {
			s.ask(s.update(fmt.Sprint(i), fmt.Sprintf("ghcr.io/acme/api:v%d", i)))
		}
		synctest.Wait()
		s.Close()
		equal(t, "under way", 0, s.registry.underWay["ghcr.io"])
		equal(t, "afterwards", "looking", s.ask(s.update("x", v1)))
		s.Reconfigured()
		elapse(time.Hour)
		equal(t, "looks", 8, len(s.registry.questions()))
		s.Close()
	})
}

// What is missing is asked for at most 20 times a second at a host, in turn.
func TestMissingImagesAreAskedForInTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.setRules("dev", &image.Rules{Wait: time.Hour})
		for i := range 300 {
			s.ask(s.update(fmt.Sprint(i), fmt.Sprintf("ghcr.io/acme/api:v%d", i)))
		}
		synctest.Wait()
		s.Inspect([]gitops.Update{s.update("0", "ghcr.io/acme/api:v0")})
		elapse(20 * time.Second)
		again := s.registry.times(s.began, "ghcr.io")[300:]
		for i, at := range again {
			if i >= 20 && at-again[i-20] < 0.999 {
				t.Fatalf("more than 20 looks from %v s to %v s", again[i-20], at)
			}
		}
		if len(again) < 370 {
			t.Errorf("only %d looks in 20 s", len(again))
		}
		for i := range 300 {
			times := s.registry.times(s.began, fmt.Sprintf("ghcr.io/acme/api:v%d", i))
			if len(times) < 2 || slices.Max(times) < 1 {
				t.Fatalf("image %d was asked for at %v", i, times)
			}
		}
		for i := range 300 {
			name := fmt.Sprintf("ghcr.io/acme/api:v%d", i)
			if times := s.registry.times(s.began, name); slices.Max(times) < 9.5 {
				u := s.update("again", name)
				equal(t, "nor does what was looked for too long ago", "waits from 20s to 1h0m20s", s.answer(u))
				break
			}
		}
		s.registry.push("ghcr.io/acme/new:v1", digestA)
		equal(t, "a first look does not wait for those", "present a", s.answer(s.update("x", "ghcr.io/acme/new:v1")))
	})
}
