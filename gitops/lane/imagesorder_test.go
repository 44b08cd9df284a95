package lane_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// Where only the newest is written no older one takes its place while its image is looked at;
// where it waits for it or fails, the next newest does.
func TestTheNewestWhoseImageIsThereGoes(t *testing.T) {
	for name, c := range map[string]struct {
		newest   gitops.Inspection
		happened []string
	}{
		"waits": {waiting(time.Time{}), []string{"api 3 image", "api 2 committed", "api 1 superseded"}},
		"fails": {failing(), []string{"api 3 failed", "api 2 committed", "api 1 superseded"}},
		"there": {gitops.Inspection{Present: true}, []string{"api 3 committed", "api 1 superseded", "api 2 superseded"}},
	} {
		for _, does := range []lane.Environment{{Name: "dev", Coalesce: true}, {Name: "dev", NewestHeld: true}} {
			inspecting(t, lane.Config{Environments: []lane.Environment{does}}, func(t *testing.T, s *site, images *fakeImages) {
				images.is(looking, "api 3")
				s.holds.hold("api", gitops.BlockFreeze, time.Now().Add(time.Minute))
				s.accept("api 1", "api 2", "api 3")
				s.Start()
				elapse(time.Minute + 5*time.Second)
				equal(t, name+", writes while it is looked at", [][]string(nil), s.writer.asked())
				s.happened()
				images.is(c.newest, "api 3")
				synctest.Wait()
				equal(t, name+", happened", c.happened, s.happened())
				images.there("api 3")
				synctest.Wait()
				if name == "waits" {
					equal(t, name+", happened at last", []string{"api 3 committed"}, s.happened())
				}
				s.Stop(t.Context())
			})
		}
	}
}

// Of several that wait, one that is found goes although an older one is not there yet, which
// is superseded; and in their order where both are found.
func TestWhatIsFoundGoesPastWhatIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		there    []string
		happened []string
	}{
		"the younger": {[]string{"api 2"}, []string{"api 2 committed", "api 1 superseded"}},
		"both":        {[]string{"api 2", "api 1"}, []string{"api 1 committed", "api 2 committed"}},
	} {
		inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
			images.is(waiting(time.Time{}), "api 1", "api 2")
			s.accept("api 1", "api 2")
			s.Start()
			synctest.Wait()
			s.happened()
			images.there(c.there...)
			synctest.Wait()
			equal(t, name, c.happened, s.happened())
			equal(t, name+", forgotten", true, images.hasForgotten("api 1"))
			s.Stop(t.Context())
		})
	}
}

// Nothing that may be on the branch waits or fails without a look at the branch.
func TestWhatMayBeOnTheBranchIsLookedForThere(t *testing.T) {
	for name, c := range map[string]struct {
		image    gitops.Inspection
		look     writes
		happened string
	}{
		"it waits":          {waiting(time.Time{}), commitAll, "api 1 image"},
		"it fails":          {failing(), commitAll, "api 1 failed"},
		"it has landed":     {failing(), find, "api 1 committed"},
		"it waits, and has": {waiting(time.Time{}), find, "api 1 committed"},
	} {
		t.Run(name, func(t *testing.T) {
			inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
				images.is(looking, "api 1")
				s.accept("api 1")
				s.dies()
				s.writer.then(c.look)
				s.Start()
				elapse(10 * time.Second)
				equal(t, "writes while it is looked at", [][]string(nil), s.writer.asked())
				images.is(c.image, "api 1")
				synctest.Wait()
				equal(t, "writes", [][]string{{"? api 1"}}, s.writer.asked())
				equal(t, "happened", []string{c.happened}, s.happened())
				s.Stop(t.Context())
			})
		})
	}
}

// What is looked at and may be on the branch is looked for beside an older one of its app
// that is written: it decides whether that is.
func TestWhatIsLookedAtDecidesWhatIsWritten(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		images.is(looking, "api 2")
		s.accept("api 1", "api 2", "api 3")
		s.dies()
		s.writer.then(commitAll)
		s.Start()
		synctest.Wait()
		equal(t, "writes", [][]string{{"api 1", "? api 2", "? api 3"}}, s.writer.asked())
		images.there("api 2")
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed", "api 2 committed", "api 3 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// Who takes the lane over has everything looked at again, and who has lost it forgets.
func TestTheNextHolderLooksAgain(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		images.is(waiting(time.Time{}), "api 1")
		images.is(looking, "web 1")
		s.accept("api 1", "web 1")
		s.Start()
		synctest.Wait()
		equal(t, "judged again at the claim", 1, s.queue.count("Rejudge"))
		theirs := s.steal(time.Minute)
		elapse(15 * time.Second) // ours is not extended
		equal(t, "left", 1, images.left)
		images.inspected()
		images.is(gitops.Inspection{Present: true}, "api 1", "web 1")
		if err := s.queue.Model.Release(t.Context(), theirs, true); err != nil {
			t.Fatal(err)
		}
		elapse(2 * time.Second)
		equal(t, "judged again at the next claim", 2, s.queue.count("Rejudge"))
		equal(t, "inspected", []string{"api 1", "web 1"}, images.inspected())
		equal(t, "happened", []string{"api 1 committed", "api 1 image", "web 1 committed"}, s.sortedHappened())
		s.Stop(t.Context())
		equal(t, "left at the end", 2, images.left)
	})
}

// Until the store has answered nothing is taken: what waited would not be looked at again.
func TestWhatWaitedIsLookedAtAgainBeforeAnythingIsTaken(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		s.queue.fail("Rejudge", fault{err: errStoreDown}, fault{err: errStoreDown})
		s.Start()
		synctest.Wait()
		equal(t, "looks at the queue", 0, s.queue.count("Take"))
		elapse(10 * time.Second)
		equal(t, "tries", 3, s.queue.count("Rejudge"))
		s.accept("api 1")
		synctest.Wait()
		equal(t, "tries in all", 3, s.queue.count("Rejudge"))
		s.Stop(t.Context())
	})
}

// A person cancels what waits for its image, or has it looked for at once.
func TestDecisionsAboutWhatWaitsForItsImage(t *testing.T) {
	for action, happened := range map[gitops.Action][]string{gitops.ActionCancel: {"api 1 cancelled"}, gitops.ActionRetry: {"api 1 committed"}} {
		inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
			s.startWaiting(images)
			s.happened()
			images.hideFree = true
			images.there("api 1")
			s.decide(action, "api 1")
			synctest.Wait()
			equal(t, string(action), happened, s.happened())
			equal(t, "forgotten", true, images.hasForgotten("api 1"))
			s.Stop(t.Context())
		})
	}
}

// A hold that comes while an update waits for its image holds it when it is found, and when
// that is lifted the image is asked about again.
func TestAHoldComesWhileAnUpdateWaitsForItsImage(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		s.startWaiting(images)
		s.holds.hold("api", gitops.BlockFreeze, time.Time{})
		images.there("api 1")
		synctest.Wait()
		equal(t, "happened", []string{"api 1 image", "api 1 freeze"}, s.happened())
		images.inspected()
		images.is(waiting(time.Time{}), "api 1")
		s.holds.free("api")
		s.rejudge(gitops.BlockFreeze)
		synctest.Wait()
		equal(t, "happened after the freeze", []string{"api 1 image"}, s.happened())
		images.there("api 1")
		synctest.Wait()
		equal(t, "happened at last", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// What could not be looked at for a week waits for a person, as after an outage of the git
// server.
func TestWhatCouldNotBeLookedAtForAWeekIsStale(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		images.is(waiting(time.Time{}), "api 1")
		s.accept("api 1")
		s.Start()
		elapse(7*24*time.Hour + time.Second)
		images.there("api 1")
		synctest.Wait()
		happened := s.happened()
		equal(t, "how often it was asked about", 1+7*24*4, len(happened)-1)
		equal(t, "happened", []string{"api 1 image", "api 1 stale"}, slices.Compact(happened))
		s.decide(gitops.ActionRetry, "api 1")
		synctest.Wait()
		equal(t, "happened after a retry", []string{"api 1 committed"}, s.happened())
		s.Stop(t.Context())
	})
}

// Images are asked about by this process's clock, and what they say is reported by the
// store's.
func TestImagesAreAskedAboutByThisProcessesClock(t *testing.T) {
	for _, skew := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
			s.skew.Store(int64(skew))
			began := time.Now()
			missing := waiting(began.Add(5 * time.Minute))
			missing.Waits.Since = began
			images.is(missing, "api 1")
			s.accept("api 1")
			images.asking = func(u gitops.Update) {
				off, missing := u.AcceptedAt.Sub(began).Abs(), u.ImageSince.Sub(began).Abs()
				if off > time.Second || !u.RetriedAt.IsZero() || !u.ImageSince.IsZero() && missing > time.Second {
					t.Errorf("accepted %v off, retried %v, missing since %v", off, u.RetriedAt, u.ImageSince)
				}
			}
			s.Start()
			elapse(4*time.Minute + 50*time.Second)
			equal(t, "inspected", []string{"api 1"}, images.inspected())
			elapse(15 * time.Second)
			if n := len(images.inspected()); n < 3 || n > 7 {
				t.Errorf("it asked %d times in the 5 s after a deadline that does not come", n)
			}
			s.Stop(t.Context())
		})
	}
}

// A report that what waited is ready again is repeated until the store has taken it.
func TestWhatIsFoundIsReportedUntilTheStoreTakesIt(t *testing.T) {
	inspecting(t, lane.Config{}, func(t *testing.T, s *site, images *fakeImages) {
		s.startWaiting(images)
		s.queue.fail("Report", fault{err: errStoreDown}, fault{err: errStoreDown})
		images.there("api 1")
		elapse(10 * time.Second)
		equal(t, "happened", []string{"api 1 image", "api 1 committed"}, s.happened())
		steps := s.update("dev", "api 1").Steps
		equal(t, "steps", []string{"the registry has no such image", "", ""}, []string{steps[0].Reason, steps[1].Reason, steps[2].Reason})
		s.Stop(t.Context())
	})
}
