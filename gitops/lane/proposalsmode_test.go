package lane_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// An environment whose updates are written from now on has its pull requests followed until
// they end, or until something newer is written, which closes them. What was about to be
// proposed still is.
func TestAnEnvironmentIsWrittenDirectlyAgain(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1", "web 1")
		p.opensNothing()
		s.accept("job 1", "cron 1")
		synctest.Wait()
		p.asked()
		s.Configure(environments("dev"), nothing)
		s.accept("cron 2")
		synctest.Wait()
		equal(t, "happened to what is newer than a wish", []string{"cron 2 committed", "cron 1 superseded"}, s.happened())
		p.happens("web 1", gitops.ActionCommit)
		p.happens("job 1", gitops.ActionPropose)
		p.happens("cron 1", gitops.ActionCancel)
		s.accept("api 2")
		elapse(2 * time.Second)
		equal(t, "happened", []string{"web 1 committed", "job 1 proposed", "api 2 committed", "api 1 superseded"}, s.happened())
		equal(t, "wanted", []string{
			"close cron 1: the update is superseded: superseded by 2 (update " + id("dev", "cron 2") + ")", "job 1",
			"close api 1: the update is superseded: superseded by 2 (update " + id("dev", "api 2") + ")",
		}, p.asked())
		p.happens("api 1", gitops.ActionCancel)
		synctest.Wait()
		equal(t, "state", gitops.Superseded, s.update("dev", "api 1").State)
		s.Configure([]lane.Environment{pullRequest}, nothing)
		p.opensAgain()
		s.accept("api 3")
		synctest.Wait()
		p.happens("job 1", gitops.ActionClose)
		elapse(10 * time.Second)
		equal(t, "happened after the way back", []string{"api 3 proposed", "job 1 closed"}, s.happened())
		equal(t, "wanted after the way back", []string{"api 3", "api 3"}, p.asked())
		s.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// However the pull request of an update ended that something newer has superseded: its wish has
// ended with it, and keeps nothing from what comes next.
func TestAResultOfWhatEndedMeanwhileEndsItsWish(t *testing.T) {
	for _, action := range []gitops.Action{gitops.ActionCancel, gitops.ActionSupersede, gitops.ActionClose, gitops.ActionConfirm} {
		proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
			s.startProposed(p, "api 1")
			p.opensNothing()
			s.Configure(environments("dev"), nothing)
			s.accept("api 2") // which is written
			elapse(2 * time.Second)
			p.asked()
			s.Configure([]lane.Environment{pullRequest}, nothing)
			p.happens("api 1", action)
			synctest.Wait()
			p.opensAgain()
			s.accept("api 3")
			elapse(10 * time.Second)
			equal(t, "wanted after "+string(action), []string{"api 3", "api 3"}, p.asked())
			equal(t, "state", gitops.Superseded, s.update("dev", "api 1").State)
			s.Stop(t.Context())
		})
	}
}

// So it is when the process was started since.
func TestProposalsOfBeforeAreFollowed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1", "web 1")
		s.Stop(t.Context())
		next := s.with(lane.Config{Environments: environments("dev"), Proposals: p})
		next.Start()
		elapse(2 * time.Second)
		equal(t, "wanted", []string{"api 1", "web 1"}, p.asked())
		p.happens("web 1", gitops.ActionCommit)
		s.decide(gitops.ActionCancel, "api 1")
		elapse(2 * time.Second)
		equal(t, "happened", []string{"api 1 cancelled", "web 1 committed"}, s.sortedHappened())
		updates := s.queue.count("Updates")
		elapse(time.Hour)
		equal(t, "reads of updates when all have ended", updates, s.queue.count("Updates"))
		next.Stop(t.Context())
	})
}

// What was sent to the git server and may be there is looked for before it is proposed.
func TestAnEnvironmentIsProposedFromNowOn(t *testing.T) {
	proposing(t, lane.Config{Environments: environments("dev")}, func(t *testing.T, s *site, p *fakeProposals) {
		s.writer.then(fails(errGitDown), commitAll)
		s.accept("api 1")
		s.Start()
		synctest.Wait()
		s.Configure([]lane.Environment{pullRequest}, nothing)
		elapse(10 * time.Second)
		equal(t, "writes", [][]string{{"api 1"}, {"? api 1"}}, s.writer.asked())
		equal(t, "happened", []string{"api 1 proposed"}, s.happened())
		s.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// An environment that leaves and comes back before its pull requests are closed goes on with
// them.
func TestAnEnvironmentComesBackBeforeItsProposalsAreClosed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		p.opensNothing()
		s.Configure(nil, nothing)
		elapse(time.Minute)
		s.Configure([]lane.Environment{pullRequest}, nothing)
		elapse(20 * time.Minute)
		equal(t, "wanted", []string{`close api 1: environment "dev" is not configured`, "api 1"}, p.asked())
		p.happens("api 1", gitops.ActionCancel) // it was closed all the same: another is opened
		synctest.Wait()
		equal(t, "wanted when it was closed", []string{"api 1"}, p.asked())
		equal(t, "happened", []string(nil), s.happened())
		s.Configure(nil, nothing)
		elapse(time.Minute)
		p.happens("api 1", gitops.ActionCancel)
		synctest.Wait()
		equal(t, "happened when it left again", []string{"api 1 cancelled"}, s.happened())
		s.Stop(t.Context())
	})
}

// A drain leaves what is in hand as it is, in time, although there is no result of it.
func TestAStopWhileProposalsAreInHand(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		p.opensNothing()
		s.accept("web 1")
		synctest.Wait()
		began := time.Now()
		s.Stop(t.Context())
		equal(t, "time to stop", 0, time.Since(began))
		if _, left := p.counts(); left != 1 {
			t.Errorf("it left %d times", left)
		}
		equal(t, "states", []gitops.State{gitops.Proposed, gitops.Pending}, []gitops.State{s.update("dev", "api 1").State, s.update("dev", "web 1").State})
		equal(t, "released clean", true, s.releasedClean())
	})
}

// An environment that is written for a moment, between a look at the branch and the wish: what
// was sent to the git server then is looked for again.
func TestWhatWasSentInBetweenIsLookedForAgain(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		p.images.asking = func(gitops.Update) {
			if p.images.asking = nil; len(s.writer.asked()) == 1 {
				s.Configure(environments("dev"), nothing)
			}
		}
		asking := p.images.asking
		s.writer.then(func(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
			p.images.asking = asking
			return commitAll(ctx, tasks)
		}, func(context.Context, []gitops.WriteTask) (gitops.WriteResult, error) {
			s.Configure([]lane.Environment{pullRequest}, nothing)
			return gitops.WriteResult{}, errGitDown
		})
		s.accept("api 1")
		s.dies()
		s.Start()
		elapse(10 * time.Second)
		equal(t, "writes", [][]string{{"api 1"}, {"? api 1"}}, s.writer.asked())
		equal(t, "happened", []string{"api 1 proposed"}, s.happened())
		s.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// What was held for longer than anything may wait, and then could not be proposed, is not stale.
func TestWhatWasHeldForWeeksIsProposed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		p.opensNothing()
		s.heldForWeeks("api 1")
		next := s.with(lane.Config{Environments: []lane.Environment{pullRequest}, Proposals: p})
		next.Start()
		synctest.Wait()
		p.blocks("api 1", time.Minute)
		elapse(30 * time.Second)
		p.opensAgain()
		elapse(time.Minute)
		equal(t, "happened", []string{"api 1 freeze", "api 1 proposal", "api 1 proposed"}, s.happened())
		next.Stop(t.Context())
	})
}
