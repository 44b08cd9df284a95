package group

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

func isTimeout(err error) bool {
	return gitops.CodeOf(err) == gitops.Unavailable && errors.Is(err, context.DeadlineExceeded)
}

// What was given up before its commit began is never committed.
func TestGivenUpBeforeItsCommit(t *testing.T) {
	for _, answerAll := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{took: 10 * time.Second}
			cfg := config(s)
			cfg.AnswerAll = answerAll
			c := Start(cfg)
			busy(t, c)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			kept := callers(t.Context(), c, item{name: "kept"})
			began := time.Now()
			if err := callers(ctx, c, item{name: "given up"})()[0]; !isTimeout(err) || time.Since(began) != time.Second {
				t.Errorf("given up: %v after %v", err, time.Since(began))
			}
			if err := c.Do(ctx, item{name: "too late"}); !isTimeout(err) {
				t.Errorf("a caller whose time was over when it came: %v", err)
			}
			if err := kept()[0]; err != nil {
				t.Errorf("kept: %v", err)
			}
			c.Stop()
			if want := []string{"first", "kept"}; !slices.Equal(s.durable, want) {
				t.Errorf("durable are %v; want %v", s.durable, want)
			}
		})
	}
}

// Of what is being committed a caller learns the result, or leaves without it.
func TestGivenUpDuringItsCommit(t *testing.T) {
	for _, answerAll := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{took: 10 * time.Second}
			cfg := config(s)
			cfg.AnswerAll = answerAll
			c := Start(cfg)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			err := c.Do(ctx, item{name: "only"})
			took := time.Since(began)
			if answerAll && (err != nil || took != s.took) {
				t.Errorf("a caller that is to get its result: %v after %v", err, took)
			}
			if !answerAll && (!isTimeout(err) || took != time.Second) {
				t.Errorf("a caller that gave up: %v after %v", err, took)
			}
			c.Stop()
			if want := []string{"only"}; !slices.Equal(s.durable, want) {
				t.Errorf("durable are %v; want %v", s.durable, want)
			}
		})
	}
}

// A server that stands still fails each commit. Dividing ends when the callers'
// time does, and the next caller need not wait for more.
func TestWhatWasGivenUpIsLeftOutOfTheParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{took: 4 * time.Second}
		s.fails = func(items []item) error {
			if items[0].name == "next" {
				return nil
			}
			return errDivisible
		}
		c := Start(config(s))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		leave := callers(ctx, c, item{name: "1"})
		answers := callers(ctx, c, make([]item, 7)...)
		if err := leave()[0]; !errors.Is(err, errDivisible) {
			t.Errorf("an item that was alone: %v", err)
		}
		for i, err := range answers() {
			if !isTimeout(err) {
				t.Errorf("item %d: %v", i, err)
			}
		}
		began := time.Now()
		if err := c.Do(t.Context(), item{name: "next"}); err != nil || time.Since(began) > 2*s.took {
			t.Errorf("the next caller: %v after %v", err, time.Since(began))
		}
		c.Stop()
		if want := []int{1, 7, 3, 1}; !slices.Equal(s.sizes(), want) {
			t.Errorf("commits of %v items; want %v", s.sizes(), want)
		}
	})
}

func TestStopAnswersWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{took: time.Second}
		c := Start(config(s))
		busy(t, c)
		answers := callers(t.Context(), c, make([]item, 10)...)
		c.Stop()
		for i, err := range answers() {
			if gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("item %d, which waited: %v", i, err)
			}
		}
		if err := c.Do(t.Context(), item{}); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("an item after Stop: %v", err)
		}
		if want := []string{"first"}; !slices.Equal(s.durable, want) {
			t.Errorf("durable are %v; want %v", s.durable, want)
		}
	})
}

// Stop does not wait for the parts of a group that fails.
func TestStopEndsDividing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{took: time.Second, fails: func([]item) error { return errDivisible }}
		c := Start(config(s))
		busyFails := callers(t.Context(), c, item{})
		answers := callers(t.Context(), c, make([]item, 8)...)
		if err := busyFails()[0]; !errors.Is(err, errDivisible) {
			t.Error(err)
		}
		synctest.Wait()
		c.Stop()
		for i, err := range answers() {
			if gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("item %d: %v", i, err)
			}
		}
		if want := []int{1, 8}; !slices.Equal(s.sizes(), want) {
			t.Errorf("commits of %v items; want %v", s.sizes(), want)
		}
	})
}
