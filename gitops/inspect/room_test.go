package inspect_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/inspect"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

var _ lane.Images = (*inspect.Room)(nil)

const v1 = "ghcr.io/acme/api:v1"

// A burst of updates of the same images costs one look at each, eight at once, and one read of
// what was seen for all that come together.
func TestABurstCostsOneLookForEachImage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.registry.takes, s.store.takes = 10*time.Millisecond, time.Millisecond
		var all []gitops.Update
		for i := range 1000 {
			name := fmt.Sprintf("ghcr.io/acme/app:v%d", i%200)
			s.registry.push(name, digestA)
			all = append(all, s.update(fmt.Sprint(i), name))
		}
		for batch := all; len(batch) > 0; batch = batch[100:] { // as a lane takes them
			s.Inspect(batch[:100])
			elapse(50 * time.Millisecond)
		}
		elapse(time.Second)
		for _, i := range s.Inspect(all) {
			if s.word(i) != "present a" {
				t.Fatalf("an update is %s", s.word(i))
			}
		}
		equal(t, "looks", 200, len(s.registry.questions()))
		equal(t, "looks at once", 8, s.registry.most["ghcr.io"])
		if reads := len(s.store.reads); reads > 50 { // of 25 times 8: the first alone, and the others together
			t.Errorf("%d reads of the store", reads)
		}
		equal(t, "verdicts that were counted", 1000, len(s.counted))
	})
}

// An image that is not there for 8 s: the update waits, and is free within a second after it
// came.
func TestAnImageThatComesLate(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		u := s.update("1", v1)
		equal(t, "at first", "waits from 0s to 5m0s", s.answer(u))
		equal(t, "waiting", map[string]int{"dev": 1}, s.Waiting())
		elapse(8*time.Second + 300*time.Millisecond)
		equal(t, "freed before", nil, s.Freed("dev"))
		s.registry.push(v1, digestA)
		select {
		case <-s.Changed("dev"):
		case <-time.After(time.Second):
			t.Error("nothing tells that it is there")
		}
		equal(t, "freed", []string{"1"}, s.Freed("dev"))
		equal(t, "freed again", nil, s.Freed("dev"))
		equal(t, "then", "present a", s.ask(u))
		equal(t, "looks", []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, s.registry.times(s.began, v1))
		equal(t, "counted", []string{"dev present"}, s.counted)
		equal(t, "waiting at the end", map[string]int{"dev": 0}, s.Waiting())
		s.ask(u) // the write did not succeed
		equal(t, "counted once", 1, len(s.counted))
	})
}

// An image that has been missing for long is looked for as often as a new one when another
// update comes that wants it; at once where the last look is too old for that.
func TestAnotherUpdateOfAMissingImage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.answer(s.update("1", v1))
		elapse(61 * time.Second) // it was looked for at 59 s, and will be at 74 s
		equal(t, "the second", "waits from 59s to 5m59s", s.ask(s.update("2", v1)))
		elapse(time.Second)
		equal(t, "looks", []float64{59, 61, 62}, s.registry.times(s.began, v1)[34:])
	})
	inBubble(t, func(t *testing.T, s *site) {
		s.answer(s.update("1", v1))
		elapse(72 * time.Second)
		u := s.update("2", v1)
		equal(t, "the second", "waits from 1m12s to 6m12s", s.answer(u))
		s.registry.push(v1, digestA)
		elapse(time.Second)
		equal(t, "the second, asked before it is told", "present a", s.ask(u))
		equal(t, "freed", []string{"1"}, s.Freed("dev"))
	})
}

// What never comes is looked for less and less, and fails by a thorough look at the end of
// the wait. After a person's retry all begins again.
func TestTheWaitEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.setRules("dev", &image.Rules{Wait: 80 * time.Second})
		u := s.update("1", v1)
		s.answer(u)
		elapse(80*time.Second - time.Millisecond)
		equal(t, "freed before the end", nil, s.Freed("dev"))
		want := []float64{32, 36, 44, 59, 74}
		for i := 30; i >= 0; i-- {
			want = append([]float64{float64(i)}, want...)
		}
		equal(t, "looks", want, s.registry.times(s.began, v1))
		elapse(time.Millisecond)
		equal(t, "freed at the end", []string{"1"}, s.Freed("dev"))
		equal(t, "looks at the end", append(want, 80), s.registry.times(s.began, v1))
		thorough := 0
		for _, a := range s.registry.questions() {
			if a.Thorough {
				thorough++
			}
		}
		equal(t, "thorough looks: after half a minute, and at the end", 2, thorough)
		equal(t, "at the end", "fails not_found", s.ask(u))
		equal(t, "counted", []string{"dev absent"}, s.counted)
		elapse(time.Hour)
		equal(t, "looks after the end", len(want)+1, len(s.registry.times(s.began, v1)))
		u.RetriedAt = time.Now().UTC()
		equal(t, "after a retry", "waits from 1h1m20s to 1h2m40s", s.answer(u))
	})
}

// A retry of what waits looks at once, and for as long again.
func TestARetryOfWhatWaitsBeginsAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		u := s.update("1", v1)
		s.answer(u)
		elapse(time.Minute + 500*time.Millisecond)
		u.ImageSince, u.RetriedAt = s.began, time.Now()
		equal(t, "after the retry", "waits from 1m0.5s to 6m0.5s", s.answer(u))
	})
}

// A store that has lost an update takes it in again: it fails by no look from before that.
func TestWhatIsAcceptedAgainBeginsAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.setRules("dev", &image.Rules{Wait: 10 * time.Second})
		u := s.update("1", v1)
		s.answer(u)
		elapse(2 * time.Minute)
		u.AcceptedAt = time.Now()
		equal(t, "accepted again", "waits from 2m0s to 2m10s", s.answer(u))
		elapse(10 * time.Second)
		equal(t, "at the end", "fails not_found", s.ask(u))
	})
}

// Whoever looks after the lane next goes on with the same deadline.
func TestARestartKeepsTheDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		since time.Duration
		want  string
		looks int
	}{
		"within the wait":          {-time.Minute, "waits from -1m0s to 4m0s", 1},
		"after it":                 {-time.Hour, "fails not_found", 1},
		"by a clock that is ahead": {time.Hour, "waits from 0s to 5m0s", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				u := s.update("1", v1)
				u.AcceptedAt, u.ImageSince = s.began.Add(-time.Hour), s.began.Add(c.since)
				equal(t, "verdict", c.want, s.answer(u))
				equal(t, "looks", c.looks, len(s.registry.questions()))
				equal(t, "thorough", name == "after it" || c.since == -time.Minute, s.registry.questions()[0].Thorough)
			})
		})
	}
}

// At the end of a wait whose last look has not answered, the update is not told to wait for
// what is over.
func TestTheLastLookIsUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		u := s.update("1", v1)
		s.answer(u)
		elapse(4*time.Minute + 59*time.Second)
		s.registry.change(func(r *registry) { r.takes = 3 * time.Second })
		elapse(2 * time.Second)
		equal(t, "after the deadline", "looking", s.ask(u))
		elapse(2 * time.Second)
		equal(t, "told", true, received(s.Changed("dev")))
		equal(t, "with the last answer", "fails not_found", s.ask(u))
	})
}

// What no rule inspects is written as it is, also what waited when the rules changed.
func TestRulesThatChange(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.setRules("test", nil)
		other := s.update("2", v1)
		other.Environment = "test"
		equal(t, "without rules", "not inspected", s.ask(other))
		equal(t, "looks", 0, len(s.registry.questions()))
		u := s.update("1", v1)
		s.answer(u)
		s.setRules("dev", &image.Rules{Wait: time.Hour, ECRSigned: true})
		s.Reconfigured()
		equal(t, "told", true, received(s.Changed("dev")))
		equal(t, "freed", []string{"1"}, s.Freed("dev"))
		equal(t, "by other rules", "looking", s.ask(u))
		synctest.Wait()
		equal(t, "its wait is the new one", "waits from 0s to 1h0m0s", s.ask(u))
		equal(t, "what it asks", true, s.registry.questions()[1].ECRSigned)
		s.setRules("dev", nil)
		s.Reconfigured()
		equal(t, "freed again", []string{"1"}, s.Freed("dev"))
		equal(t, "without rules any more", "not inspected", s.ask(u))
		equal(t, "counted", nil, s.counted)
		looks := len(s.registry.questions())
		elapse(time.Hour)
		equal(t, "looks without an update", looks, len(s.registry.questions()))
	})
}

// An app without repository is not written unchecked.
func TestWithoutARepository(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		u := s.update("1", v1)
		u.Repository = ""
		equal(t, "without a repository", "fails rejected", s.ask(u))
	})
}

// What has ended is looked for no longer, and an unknown id is no error.
func TestForget(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.answer(s.update("1", v1))
		equal(t, "known at once", "waits from 0s to 5m0s", s.ask(s.update("2", v1)))
		s.Forget("dev", []string{"1", "3"})
		equal(t, "waiting", 1, s.Waiting()["dev"])
		s.registry.push(v1, digestA)
		elapse(time.Minute)
		equal(t, "freed", []string{"2"}, s.Freed("dev"))
	})
}

// An environment that is another process's is not looked after.
func TestLeave(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		prod := s.update("2", "ghcr.io/acme/web:v1")
		prod.Environment = "prod"
		s.answer(s.update("1", v1))
		s.answer(prod)
		s.answer(s.update("3", "ghcr.io/acme/other:v1"))
		s.registry.push("ghcr.io/acme/other:v1", digestA)
		elapse(1500 * time.Millisecond) // it is freed, and Freed is not asked
		s.Leave("dev")
		s.registry.push(v1, digestA)
		s.registry.push("ghcr.io/acme/web:v1", digestA)
		elapse(time.Minute)
		equal(t, "freed", nil, s.Freed("dev"))
		equal(t, "freed in the other", []string{"2"}, s.Freed("prod"))
		equal(t, "looks", []float64{0, 1}, s.registry.times(s.began, v1))
		equal(t, "waiting", 0, s.Waiting()["dev"])
	})
}
