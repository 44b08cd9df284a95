package lane_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func environments(names ...string) (all []lane.Environment) {
	for _, name := range names {
		all = append(all, lane.Environment{Name: name})
	}
	return all
}

func TestAnEnvironmentThatIsAddedIsWorked(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.Start()
		s.Configure(environments("dev", "qa"), nothing)
		s.acceptIn("qa", "api 1")
		elapse(2 * time.Second)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// Of an environment that is taken out everything open is cancelled: what is ready, what
// waits for a person, and what was accepted meanwhile by another replica. The lease is
// given back.
func TestAnEnvironmentThatIsTakenOutIsClosed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		r := s.with(lane.Config{Environments: environments("dev", "qa")})
		r.Start()
		synctest.Wait()
		s.writer.then(refuses("web"))
		s.acceptIn("qa", "web 1")
		synctest.Wait()
		equal(t, "before", []string{"web 1 refused"}, s.happened())
		r.Configure(environments("dev"), nothing)
		s.acceptIn("qa", "api 1")
		s.accept("api 1")
		elapse(2 * time.Minute) // the block lifts, and what was left is looked for again
		equal(t, "happened", []string{"api 1 cancelled", "api 1 committed", "web 1 cancelled"}, s.sortedHappened())
		if theirs, err := s.queue.Model.Claim(t.Context(), "other", []string{"qa"}, time.Minute); err != nil || len(theirs) != 1 {
			t.Errorf("the lease is not free: %v, %v", theirs, err)
		}
		r.Stop(t.Context())
	})
}

// An environment that comes back is worked as before, and what was cancelled meanwhile
// stays so.
func TestAnEnvironmentThatComesBackIsWorked(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		r := s.with(lane.Config{Environments: environments("dev", "qa")})
		r.Start()
		for _, round := range []string{"1", "2", "3"} {
			r.Configure(environments("dev"), nothing)
			s.acceptIn("qa", "api "+round)
			elapse(2 * time.Minute) // the lane may have ended before, and what was left is looked for again
			r.Configure(environments("dev", "qa"), nothing)
			s.acceptIn("qa", "web "+round)
			elapse(2 * time.Second)
			equal(t, "happened", []string{"api " + round + " cancelled", "web " + round + " committed"}, s.happened())
		}
		r.Stop(t.Context())
	})
}

// An app that leaves takes its updates along, also those that wait for a person; a search
// of before does not count for the new configuration.
func TestAnAppThatIsTakenOutIsCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var out atomic.Bool
		r := s.with(lane.Config{Configured: func(_, app string) bool { return app != "web" || !out.Load() }})
		s.accept("web 1")
		theirs, err := s.queue.Model.Claim(t.Context(), "other", []string{"dev"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		stale := []gitops.Block{{Kind: gitops.BlockStale, Reason: "retry or cancel it"}}
		if _, err := s.queue.Model.Report(t.Context(), theirs[0], queue.Report{Blocks: []queue.Blocked{{Update: id("dev", "web 1"), BlockedBy: stale}}}); err != nil {
			t.Fatal(err)
		}
		s.queue.KillHolder("other")
		r.Start()
		synctest.Wait()
		equal(t, "before", []string{"web 1 stale"}, s.happened())
		r.Configure(environments("dev"), func() { out.Store(true) })
		elapse(2 * time.Second)
		equal(t, "happened", []string{"web 1 cancelled"}, s.happened())
		r.Stop(t.Context())
	})
}

func TestCoalesceIsSwitchedOn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.Start()
		s.Configure([]lane.Environment{{Name: "dev", Coalesce: true}}, nothing)
		s.writer.then(fails(errGitDown))
		s.accept("api 0")
		synctest.Wait()
		s.accept("api 1", "api 2")
		elapse(time.Minute)
		equal(t, "happened", []string{"api 0 superseded", "api 1 superseded", "api 2 committed"}, s.sortedHappened())
		s.Stop(t.Context())
	})
}

// What the writer fails while the configuration changes goes by the new one: it is
// cancelled where its app left, and tried again where it is there, or is there again.
func TestWhatFailsWhileTheConfigurationChangesIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var out atomic.Bool
		r := s.with(lane.Config{Configured: func(_, app string) bool { return app != "web" || !out.Load() }})
		changing := func(leaves bool) writes {
			return func(_ context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
				r.Configure(environments("dev"), func() { out.Store(leaves) })
				return gitops.WriteResult{Transitions: []gitops.Transition{{Update: tasks[0].Update.ID, Action: gitops.ActionFail, Reason: "not configured"}}}, nil
			}
		}
		s.writer.then(changing(false))
		s.accept("web 1")
		r.Start()
		elapse(2 * time.Second)
		equal(t, "happened", []string{"web 1 committed"}, s.happened())
		s.writer.then(changing(true))
		s.accept("web 2")
		elapse(2 * time.Second)
		equal(t, "happened then", []string{"web 2 cancelled"}, s.happened())
		r.Stop(t.Context())
	})
}

func nothing() {}

// sortedHappened is for what happens in environments side by side.
func (s *site) sortedHappened() []string { return slices.Sorted(slices.Values(s.happened())) }
