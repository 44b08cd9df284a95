package lane_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What is held is said to be, costs nothing while it is, and goes when it ends: all of it in
// its order, or of each app the newest, and each once. The others do not wait.
func TestWhatIsHeldGoesWhenThatEnds(t *testing.T) {
	for name, c := range map[string]struct {
		newest         bool
		writes         [][]string
		happened, lost []string
	}{
		"all":    {false, [][]string{{"api 1", "api 2"}}, []string{"api 1 committed", "api 2 committed"}, nil},
		"newest": {true, [][]string{{"api 2"}}, []string{"api 2 committed", "api 1 superseded"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.accept("api 1", "web 1", "api 2")
				s.holds.hold("api", gitops.BlockFreeze, time.Now().Add(time.Hour))
				r := s.with(lane.Config{Environments: []lane.Environment{{Name: "dev", NewestHeld: c.newest}}})
				r.Start()
				synctest.Wait()
				equal(t, "happened", []string{"api 1 freeze", "api 2 freeze", "web 1 committed"}, s.happened())
				equal(t, "writes", [][]string{{"web 1"}}, s.writer.asked())
				equal(t, "reason", "ann holds api", s.update("dev", "api 1").BlockedBy[0].Reason)
				if !s.logged("update held") || s.logged("update blocked") {
					t.Error("it is not logged as held")
				}
				takes := s.queue.count("Take")
				elapse(time.Hour - time.Minute)
				equal(t, "looks at the queue meanwhile", takes, s.queue.count("Take"))
				elapse(time.Minute + time.Second)
				equal(t, "writes after the end", c.writes, s.writer.asked())
				equal(t, "happened after the end", c.happened, s.happened())
				r.Stop(t.Context())
				equal(t, "released clean", true, s.releasedClean())
			})
		})
	}
}

// Of what was held the newest that nothing else holds goes.
func TestTheNewestThatIsNotHeldGoes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "api 2", "api 3")
		s.holds.hold("api", gitops.BlockFreeze, time.Now().Add(time.Hour))
		s.holds.hold("api 3", gitops.BlockBad, time.Time{})
		r := s.with(lane.Config{Environments: []lane.Environment{{Name: "dev", NewestHeld: true}}})
		r.Start()
		synctest.Wait()
		s.happened()
		s.rejudge(gitops.BlockFreeze) // so that all are ready at once
		s.holds.free("api")
		elapse(2 * time.Second)
		equal(t, "happened", []string{"api 3 bad", "api 2 committed", "api 1 superseded"}, s.happened())
		r.Stop(t.Context())
	})
}

// While held updates come faster than a batch is worked, others are written all the same.
func TestAStreamOfHeldUpdatesHoldsUpNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.holds.hold("api", gitops.BlockStop, time.Time{})
		n := 0
		s.holds.judging = func() {
			if n++; n < 20 {
				s.accept(fmt.Sprintf("api %d", n))
			}
		}
		s.accept("api 0", "web 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			equal(t, "batches until it is written", 1, n)
			return commitAll(ctx, tasks)
		})
		s.Start()
		synctest.Wait()
		equal(t, "writes", [][]string{{"web 1"}}, s.writer.asked())
		s.Stop(t.Context())
	})
}

// What came to be held after it was sent may have landed. It is looked for beside what is
// written, and is committed or held.
func TestWhatIsHeldAndMayHaveLandedIsLookedFor(t *testing.T) {
	for name, c := range map[string]struct {
		look     writes
		happened []string
	}{
		"it has not": {commitAll, []string{"web 1 committed", "api 1 stop"}},
		"it has":     {findAndCommit, []string{"api 1 committed", "web 1 committed"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.accept("api 1")
				s.writer.then(fails(errGitDown), c.look)
				s.Start()
				synctest.Wait()
				s.holds.hold("api", gitops.BlockStop, time.Time{})
				s.accept("web 1")
				elapse(2 * time.Second)
				equal(t, "writes", [][]string{{"api 1"}, {"? api 1", "web 1"}}, s.writer.asked())
				equal(t, "happened", c.happened, s.happened())
				s.Stop(t.Context())
			})
		})
	}
}

// findAndCommit finds what is only looked for, and commits the rest.
func findAndCommit(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
	for i := range tasks {
		tasks[i].SearchOnly = false
	}
	return commitAll(ctx, tasks)
}

// dies leaves what was accepted as a holder does that dies: any of it may be on the branch.
func (s *site) dies() {
	s.t.Helper()
	theirs := s.steal(time.Hour)
	if _, err := s.queue.Model.Take(s.t.Context(), theirs, queue.TakeOptions{Limit: 1}); err != nil {
		s.t.Fatal(err)
	}
	s.queue.KillHolder("other")
}

// A holder that dies after its push and before its report leaves what the next one finds,
// also when it is held by then. What it did not push is held, and not looked for again.
func TestWhatADeadHolderPushedIsFoundAlthoughItIsHeld(t *testing.T) {
	for happened, look := range map[string]writes{"api 1 committed": find, "api 1 stop": commitAll} {
		t.Run(happened, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.accept("api 1")
				s.dies()
				s.holds.hold("api", gitops.BlockStop, time.Time{})
				s.writer.then(look)
				s.Start()
				elapse(time.Minute)
				equal(t, "writes", [][]string{{"? api 1"}}, s.writer.asked())
				equal(t, "happened", []string{happened}, s.happened())
				s.Stop(t.Context())
			})
		})
	}
}

// Of what was held the newest goes, also where a holder has died meanwhile and the older ones
// are only looked for.
func TestTheNewestGoesAfterACrash(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "api 2")
		s.holds.hold("api", gitops.BlockFreeze, time.Now().Add(time.Hour))
		s.Start()
		synctest.Wait()
		s.Stop(t.Context())
		s.dies()
		elapse(time.Hour)
		r := s.with(lane.Config{Environments: []lane.Environment{{Name: "dev", NewestHeld: true}}})
		r.Start()
		synctest.Wait()
		equal(t, "writes", [][]string{{"? api 1", "api 2"}}, s.writer.asked())
		equal(t, "happened", []string{"api 1 freeze", "api 2 freeze", "api 2 committed", "api 1 superseded"}, s.happened())
		r.Stop(t.Context())
	})
}

// A stop that is placed between the plan and the push has its updates held, and the rest of
// the batch is written.
func TestAStopBetweenPlanAndPush(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("api 1", "web 1")
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			s.holds.hold("api", gitops.BlockStop, time.Time{})
			r, err := commitAll(ctx, tasks[1:])
			held, _ := s.holds.Judge(ctx, []gitops.Update{tasks[0].Update})
			r.Held = []gitops.Held{{Update: tasks[0].Update.ID, BlockedBy: held[0]}}
			return r, err
		})
		s.Start()
		elapse(time.Minute)
		equal(t, "happened", []string{"web 1 committed", "api 1 stop"}, s.happened())
		equal(t, "writes", [][]string{{"api 1", "web 1"}}, s.writer.asked())
		s.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// Without an answer nothing is written: that is an outage of the store, which the lane
// backs off from.
func TestNothingIsWrittenWhileItIsNotKnownWhatHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.Start()
		synctest.Wait()
		s.holds.failWith(errStoreDown)
		s.accept("api 1")
		elapse(20 * time.Second)
		equal(t, "writes", [][]string(nil), s.writer.asked())
		if n := len(s.recorder.backOffs()); n < 3 || n > 8 || s.recorder.causes[0] != lane.CauseStore {
			t.Errorf("it backed off %d times, from %s", n, s.recorder.causes[0])
		}
		s.holds.failWith(nil)
		elapse(time.Minute)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// heldForWeeks accepts an update, which is held until now for longer than anything may wait. No
// lane runs by then.
func (s *site) heldForWeeks(name string) {
	const weeks = 21 * 24 * time.Hour
	s.accept(name)
	s.holds.hold(name, gitops.BlockFreeze, time.Now().Add(weeks))
	s.Start()
	synctest.Wait()
	s.Stop(s.t.Context())
	elapse(weeks)
}

// What was held for longer than anything may wait is neither stale nor late when that ends,
// also when the git server refuses it for a while after that.
func TestWhatWasHeldForWeeksIsNotStale(t *testing.T) {
	for _, c := range []struct {
		name    string
		refused []writes
		want    []string
	}{
		{"written", nil, []string{"api 1 freeze", "api 1 committed"}},
		{"refused first", []writes{refuses("api"), refuses("api")}, []string{"api 1 freeze", "api 1 refused", "api 1 refused", "api 1 committed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.heldForWeeks("api 1")
				s.writer.then(c.refused...)
				next := s.with(lane.Config{})
				next.Start()
				elapse(time.Minute)
				equal(t, "happened", c.want, s.happened())
				if s.recorder.slowest > 60 {
					t.Errorf("it counts as late by %v s", s.recorder.slowest)
				}
				next.Stop(t.Context())
			})
		})
	}
}

// Freezes that changed are judged again before anything is taken: when the lane is claimed,
// after each change of the configuration, and until the store has answered.
func TestFreezesAreJudgedAgainWhenTheyMayHaveChanged(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.holds.failWith(errStoreDown)
		s.Start()
		elapse(3 * time.Second)
		equal(t, "looks at the queue before", 0, s.queue.count("Take"))
		s.holds.failWith(nil)
		elapse(time.Minute)
		rejudged, _ := s.holds.counts()
		equal(t, "at the claim", 1, rejudged)
		s.accept("api 1")
		synctest.Wait()
		s.Configure([]lane.Environment{{Name: "dev"}}, func() {})
		synctest.Wait()
		rejudged, _ = s.holds.counts()
		equal(t, "after a change", 2, rejudged)
		s.Stop(t.Context())
	})
}
