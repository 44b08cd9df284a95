package lane_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// Where pull requests are opened nothing is given to the writer. What people did with one is
// reported and logged with its number, and the time that they took does not count as a delay.
func TestUpdatesAreProposed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.accept("api 1", "web 1")
		s.Start()
		synctest.Wait()
		equal(t, "happened", []string{"api 1 proposed", "web 1 proposed"}, s.happened())
		if line := s.line("update proposed"); !strings.Contains(line, "number=2 url=https://forge/pulls/2") {
			t.Errorf("the log says %q", line)
		}
		equal(t, "finished", "map[]", s.recorder.counts())
		equal(t, "number in the store", 1, s.update("dev", "api 1").Proposal.Number)
		elapse(time.Hour)
		merged := *s.update("dev", "api 1").Proposal
		merged.EndedBy, merged.EndedAt = "ann", time.Now().UTC()
		p.result("api 1", gitops.ProposalResult{Transition: &gitops.Transition{Action: gitops.ActionCommit, Commit: "c1"}, Proposal: &merged})
		p.happens("web 1", gitops.ActionClose)
		synctest.Wait()
		equal(t, "happened after an hour", []string{"api 1 committed", "web 1 closed"}, s.happened())
		equal(t, "who merged it", "ann", s.update("dev", "api 1").Proposal.EndedBy)
		if line := s.line("update closed"); !strings.Contains(line, "number=2 url=https://forge/pulls/2") || !strings.Contains(line, "bob closed it") {
			t.Errorf("the log says %q", line)
		}
		equal(t, "finished", "map[closed:1 committed:1]", s.recorder.counts())
		if s.recorder.slowest > 1 {
			t.Errorf("it counts as late by %v s", s.recorder.slowest)
		}
		equal(t, "writes", [][]string(nil), s.writer.asked())
		s.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// What is proposed costs a look at the holds every 5 s and nothing else; what is about to be is
// asked for once, and the queue a second.
func TestTheLaneRestsWhileProposalsAreInHand(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		judged := 0
		s.holds.judging = func() { judged++ }
		takes, reports := s.queue.count("Take"), s.queue.count("Report")
		elapse(10 * time.Minute)
		equal(t, "looks at the queue", 0, s.queue.count("Take")-takes)
		equal(t, "reports", 0, s.queue.count("Report")-reports)
		equal(t, "looks at the holds", 120, judged)
		p.opensNothing()
		s.accept("web 1", "web 2")
		synctest.Wait()
		takes = s.queue.count("Take")
		elapse(time.Minute)
		if n := s.queue.count("Take") - takes; n > 61 {
			t.Errorf("it looked %d times at the queue in a minute", n)
		}
		equal(t, "wanted", []string{"web 2"}, p.asked())
		s.accept("job 1")
		synctest.Wait()
		equal(t, "wanted beside it", []string{"job 1"}, p.asked())
		s.Stop(t.Context())
	})
}

// However many wait for their pull requests, what is behind them in the queue is wanted, too.
func TestManyThatAreToBeProposedHideNothing(t *testing.T) {
	proposing(t, lane.Config{BatchSize: 50}, func(t *testing.T, s *site, p *fakeProposals) {
		p.opensNothing()
		s.accept(numbered("api", 170)...)
		s.Start()
		synctest.Wait()
		equal(t, "wanted", 170, len(p.asked()))
		if n := s.queue.count("Take"); n > 8 {
			t.Errorf("it looked %d times at the queue", n)
		}
		s.Stop(t.Context())
	})
}

// A newer update takes over the pull request of its app. What is older is superseded when that
// is done, and not before: the older one may be merged until then.
func TestANewerUpdateTakesOver(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		p.opensNothing()
		s.accept("api 2")
		synctest.Wait()
		s.accept("api 3")
		synctest.Wait()
		equal(t, "wanted", []string{"api 2", "api 3"}, p.asked())
		equal(t, "happened before", []string(nil), s.happened())
		p.happens("api 3", gitops.ActionPropose)
		synctest.Wait()
		equal(t, "happened", []string{"api 3 proposed", "api 1 superseded", "api 2 superseded"}, s.happened())
		p.happens("api 2", gitops.ActionCommit) // it was merged at the last moment
		synctest.Wait()
		equal(t, "happened to the older one", []string{"api 2 committed"}, s.happened())
		equal(t, "finished", "map[committed:1 superseded:2]", s.recorder.counts())
		if line := s.line("update committed"); !strings.Contains(line, "tag=2") {
			t.Errorf("the log says %q", line)
		}
		equal(t, "wanted then", []string{"api 3"}, p.asked()) // as one that is proposed
		s.Stop(t.Context())
	})
}

// overtaken plays a test in which api 1 is proposed when api 2 is accepted, where hand edits
// are respected.
func overtaken(t *testing.T, test func(t *testing.T, s *site, p *fakeProposals)) {
	t.Helper()
	respects := pullRequest
	respects.RespectHandEdits = true
	proposing(t, lane.Config{Environments: []lane.Environment{respects}}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		p.opensNothing()
		s.accept("api 2")
		synctest.Wait()
		test(t, s, p)
	})
}

// The merge of the older one came first: it is committed, and the newer one is proposed on it.
func TestAMergeBeforeANewerUpdateTakesOver(t *testing.T) {
	overtaken(t, func(t *testing.T, s *site, p *fakeProposals) {
		p.happens("api 1", gitops.ActionCommit)
		synctest.Wait()
		p.happens("api 2", gitops.ActionPropose)
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed", "api 2 proposed"}, s.happened())
		equal(t, "wanted", []string{"api 2", "api 2 over 1", "api 2 over 1"}, p.asked())
		s.Stop(t.Context())
	})
}

// So it is where the newer one is blocked meanwhile, as by a person's commit in the pull request
// that was merged: it is wanted upon the tag that is there now, at once.
func TestAMergeWhileANewerUpdateIsBlocked(t *testing.T) {
	overtaken(t, func(t *testing.T, s *site, p *fakeProposals) {
		p.blocks("api 2", time.Hour)
		elapse(10 * time.Second)
		p.asked()
		p.happens("api 1", gitops.ActionCommit)
		synctest.Wait()
		equal(t, "wanted", []string{"api 2 over 1"}, p.asked())
		s.Stop(t.Context())
	})
}

// What cannot be proposed is blocked, and holds up no other app. No older update takes its
// place, and when its time has come it is wanted again.
func TestWhatCannotBeProposed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		p.opensNothing()
		s.accept("api 1", "api 2")
		s.Start()
		synctest.Wait()
		p.blocks("api 2", time.Minute)
		synctest.Wait()
		elapse(10 * time.Second)
		equal(t, "happened", []string{"api 2 proposal"}, s.happened())
		equal(t, "why", "the forge does not answer", s.update("dev", "api 2").BlockedBy[0].Reason)
		p.opensAgain()
		s.accept("web 1")
		elapse(40 * time.Second)
		equal(t, "happened to others", []string{"web 1 proposed"}, s.happened())
		equal(t, "wanted", []string{"api 2", "web 1", "web 1"}, p.asked())
		elapse(15 * time.Second)
		equal(t, "happened then", []string{"api 2 proposed", "api 1 superseded"}, s.happened())
		s.Stop(t.Context())
	})
}

// Results that could not be reported are reported again until the store has them, once,
// whether it took them the first time or not.
func TestResultsAreReportedUntilTheStoreTakesThem(t *testing.T) {
	for name, applied := range map[string]bool{"not taken": false, "taken": true} {
		t.Run(name, func(t *testing.T) {
			proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
				s.Start()
				synctest.Wait()
				s.queue.fail("Report", fault{err: errStoreDown, applied: applied}, fault{err: errStoreDown})
				s.accept("api 1")
				elapse(10 * time.Second)
				equal(t, "happened", []string{"api 1 proposed"}, s.happened())
				equal(t, "steps", 1, len(s.update("dev", "api 1").Steps))
				equal(t, "attempts", 1, s.update("dev", "api 1").Attempts)
				s.queue.fail("Report", fault{err: errStoreDown})
				changed := *s.update("dev", "api 1").Proposal
				changed.WaitsFor = []string{"a review"}
				p.result("api 1", gitops.ProposalResult{Proposal: &changed})
				elapse(5 * time.Second)
				equal(t, "waits for", []string{"a review"}, s.update("dev", "api 1").Proposal.WaitsFor)
				equal(t, "attempts after that", 1, s.update("dev", "api 1").Attempts)
				s.Stop(t.Context())
			})
		})
	}
}

// A result of an update that is not in hand any more is kept while the store cannot say what
// that update is, and left out where the store does not know it.
func TestResultsOfUpdatesThatAreNotInHand(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		s.accept("api 2")
		synctest.Wait()
		s.happened()
		s.queue.fail("Update", fault{err: errStoreDown}, fault{err: errStoreDown})
		p.happens("api 7", gitops.ActionCommit)
		p.happens("api 1", gitops.ActionCommit)
		elapse(10 * time.Second)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		if !s.logged("result of a pull request left out, the store does not know its update") {
			t.Error("what was left out is not logged")
		}
		s.Stop(t.Context())
	})
}

// A hint is passed on, also one that comes while the lane looks at the queue every second.
func TestHintsArePassedOn(t *testing.T) {
	proposing(t, lane.Config{
		Rollout: time.Hour, Configured: func(_, app string) bool { return app != "theirs" },
	}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		for _, leftAlone := range []string{"none", "one"} {
			if leftAlone == "one" {
				s.accept("theirs 1")
				elapse(2 * time.Second)
			}
			before, _ := p.counts()
			if err := s.queue.Nudge(t.Context(), []string{"dev"}); err != nil {
				t.Fatal(err)
			}
			elapse(2 * time.Second)
			if after, _ := p.counts(); after != before+1 {
				t.Errorf("with %s left alone: %d looks after a hint", leftAlone, after-before)
			}
		}
		s.Stop(t.Context())
	})
}
