package inspect_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// An answer counts for 5 minutes, and for what was accepted before the look or at most 10 s
// after it. A digest is never taken from an older one.
func TestAnAnswerCountsForAWhile(t *testing.T) {
	for name, c := range map[string]struct {
		accepted, asked time.Duration // after the look
		want            string        // at once
	}{
		"accepted within 10 s":         {10 * time.Second, 10 * time.Second, "present a"},
		"accepted later":               {10*time.Second + time.Millisecond, 11 * time.Second, "looking"},
		"accepted before, asked later": {-time.Hour, 5*time.Minute - time.Millisecond, "present a"},
		"asked after 5 minutes":        {-time.Hour, 5 * time.Minute, "looking"},
		"by a clock that is ahead":     {time.Hour, 2 * time.Second, "looking"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.registry.push(v1, digestA)
				equal(t, "the first", "present a", s.answer(s.update("1", v1)))
				s.registry.push(v1, digestB)
				elapse(c.asked)
				u := s.update("2", v1)
				u.AcceptedAt = s.began.Add(c.accepted)
				equal(t, "at once", c.want, s.ask(u))
				synctest.Wait()
				if c.want == "looking" {
					equal(t, "then", "present b", s.ask(u))
				}
			})
		})
	}
}

// What a retry asks for was asked for after it.
func TestARetryLooksAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.registry.push(v1, digestA)
		u := s.update("1", v1)
		s.answer(u)
		elapse(time.Second)
		u.RetriedAt = time.Now()
		equal(t, "after the retry", "present a", s.answer(u))
		equal(t, "looks", []float64{0, 1}, s.registry.times(s.began, v1))
		equal(t, "verdicts that were counted", 2, len(s.counted))
	})
}

// What was answered before an update came makes it fail only after another look: what is
// there, and what is known of it, may be other by now.
func TestNothingFailsByAnOldAnswer(t *testing.T) {
	moved := gitops.SeenImage{Repository: "ghcr.io/acme/api", Tag: "v1", Digest: digestB}
	for name, c := range map[string]struct {
		seen  []gitops.SeenImage
		order string // the digest that the second update is ordered by
		then  func(s *site)
		want  [2]string
	}{
		"another digest than ordered": {nil, digestB, func(*site) {}, [2]string{"present a", "fails rejected"}},
		"the digest is there by now":  {nil, digestB, func(s *site) { s.registry.push(v1, digestB) }, [2]string{"present a", "present b"}},
		"moved":                       {[]gitops.SeenImage{moved}, "", func(*site) {}, [2]string{"fails rejected", "fails rejected"}},
		"moved back":                  {[]gitops.SeenImage{moved}, "", func(s *site) { s.registry.push(v1, digestB) }, [2]string{"fails rejected", "present b"}},
		"moved, and a person has named it": {[]gitops.SeenImage{moved}, "", func(s *site) {
			s.store.record(gitops.SeenImage{Repository: moved.Repository, Tag: "v1", Digest: digestA, Named: true})
		}, [2]string{"fails rejected", "present a"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.store.record(c.seen...)
				s.registry.push(v1, digestA)
				equal(t, "the first", c.want[0], s.answer(s.update("1", v1)))
				elapse(time.Second)
				c.then(s)
				u := s.update("2", v1)
				u.Digest = c.order
				equal(t, "the second", c.want[1], s.answer(u))
				equal(t, "looks", []float64{0, 1}, s.registry.times(s.began, v1))
			})
		})
	}
}

// An order that names the digest passes where one that does not is refused, by one look.
func TestTheWayOutOfAMovedTag(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.store.record(gitops.SeenImage{Repository: "ghcr.io/acme/api", Tag: "v1", Digest: digestB})
		s.registry.push(v1, digestA)
		byTag, byDigest := s.update("1", v1), s.update("2", v1)
		byDigest.Digest = digestA
		s.Inspect([]gitops.Update{byTag, byDigest})
		synctest.Wait()
		equal(t, "by tag", "fails rejected", s.ask(byTag))
		found := s.Inspect([]gitops.Update{byDigest})[0].Found
		equal(t, "by digest", &gitops.Found{Digest: digestA, At: s.began.UTC(), Named: true}, found)
		equal(t, "looks", 1, len(s.registry.questions()))
		equal(t, "counted", []string{"dev moved", "dev present"}, s.counted)
	})
}

// What is asked of one image differs by environment, and so do the looks.
func TestEachQuestionIsALook(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		amd := image.Platform{OS: "linux", Architecture: "amd64"}
		s.setRules("prod", &image.Rules{Wait: time.Minute, Platforms: []image.Platform{amd}})
		s.registry.push(v1, digestA)
		dev, prod := s.update("1", v1), s.update("2", v1)
		prod.Environment = "prod"
		s.Inspect([]gitops.Update{dev, prod})
		synctest.Wait()
		equal(t, "in dev", "present a", s.ask(dev))
		equal(t, "in prod", "fails rejected", s.ask(prod))
		equal(t, "looks", 2, len(s.registry.questions()))
	})
}

// A signature that is still made is waited for as an image is.
func TestASignatureThatComesLate(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.registry.change(func(r *registry) {
			r.images[v1] = image.Answer{Presence: image.Present, Digest: digestA, Unsigned: "in progress", Pending: true}
		})
		u := s.update("1", v1)
		equal(t, "at first", "waits from 0s to 5m0s", s.answer(u))
		elapse(3500 * time.Millisecond)
		s.registry.push(v1, digestA)
		elapse(time.Second)
		equal(t, "freed", []string{"1"}, s.Freed("dev"))
		equal(t, "then", "present a", s.ask(u))
	})
}

// What the lane never asks for again is forgotten, and so are answers: a year of work leaves
// no more than what is kept for 5 minutes.
func TestWhatIsNotUsedIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.answer(s.update("cancelled", v1))            // while it waits
		s.ask(s.update("gone", "ghcr.io/acme/web:v1")) // while it is looked for
		elapse(time.Hour)
		equal(t, "freed", []string{"cancelled"}, s.Freed("dev"))
		for i := range 1000 {
			name := fmt.Sprintf("ghcr.io/acme/app:v%d", i)
			s.registry.push(name, digestA)
			s.answer(s.update(name, name))
			elapse(time.Second)
		}
		waiters, looks := s.Kept()
		if waiters != 0 || looks > 310 {
			t.Errorf("it keeps %d updates and %d answers", waiters, looks)
		}
		asked := len(s.registry.questions())
		elapse(time.Hour)
		equal(t, "looks without an update", asked, len(s.registry.questions()))
	})
}

// Ten thousand answers are kept at most, however many come at once.
func TestMemoryHasABound(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		for i := range 12_000 {
			name := fmt.Sprintf("h%d.example/acme/app:v%d", i/100, i)
			s.registry.push(name, digestA)
			s.answer(s.update(name, name))
		}
		if waiters, looks := s.Kept(); waiters != 0 || looks > 10_001 {
			t.Errorf("it keeps %d updates and %d answers", waiters, looks)
		}
	})
}
