package lane_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// A person's cancellation closes the pull request first, whether the update is proposed
// already or about to be.
func TestCancellationsCloseProposals(t *testing.T) {
	for _, name := range []string{"proposed", "about to be"} {
		t.Run(name, func(t *testing.T) {
			proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
				p.opens = name == "proposed"
				s.accept("api 1")
				s.Start()
				synctest.Wait()
				p.asked()
				p.opensNothing()
				s.decide(gitops.ActionCancel, "api 1")
				elapse(3 * time.Second)
				equal(t, "wanted", []string{"close api 1: ann cancelled the update: not wanted"}, p.asked())
				if u := s.update("dev", "api 1"); u.State.Final() {
					t.Errorf("it is %s before its pull request is closed", u.State)
				}
				p.happens("api 1", gitops.ActionCancel)
				synctest.Wait()
				u := s.update("dev", "api 1")
				equal(t, "state", gitops.Cancelled, u.State)
				equal(t, "who and why", "ann: not wanted", u.Steps[len(u.Steps)-1].Actor+": "+u.Reason)
				s.Stop(t.Context())
				equal(t, "released clean", true, s.releasedClean())
			})
		})
	}
}

// What is to be closed comes before what is newer, which the pull request of then cannot take
// up any more. A merge that came first is a merge.
func TestACancellationBesideANewerUpdate(t *testing.T) {
	for action, want := range map[gitops.Action]string{gitops.ActionCancel: "api 1 cancelled", gitops.ActionCommit: "api 1 committed"} {
		proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
			s.startProposed(p, "api 1")
			p.opensNothing()
			s.decide(gitops.ActionCancel, "api 1")
			s.accept("api 2")
			synctest.Wait()
			p.happens("api 1", action)
			p.opensAgain()
			synctest.Wait()
			equal(t, "wanted", []string{"close api 1: ann cancelled the update: not wanted", "api 2", "api 2"}, p.asked())
			equal(t, "happened", []string{want, "api 2 proposed"}, s.happened())
			s.Stop(t.Context())
		})
	}
}

// A proposal may be open for weeks, through any number of holders: what is proposed is not
// stale, and what comes then is proposed in its place.
func TestAProposalIsOpenForWeeks(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		s.Stop(t.Context())
		elapse(21 * 24 * time.Hour)
		next := s.with(lane.Config{Environments: []lane.Environment{pullRequest}, Proposals: p})
		next.Start()
		elapse(time.Minute)
		equal(t, "wanted", []string{"api 1"}, p.asked())
		equal(t, "happened", []string(nil), s.happened())
		s.accept("api 2")
		synctest.Wait()
		equal(t, "happened then", []string{"api 2 proposed", "api 1 superseded"}, s.happened())
		if s.recorder.slowest > 60 {
			t.Errorf("it counts as late by %v s", s.recorder.slowest)
		}
		next.Stop(t.Context())
	})
}

// What could not be proposed for a week waits for a person, and is not proposed meanwhile.
func TestWhatCouldNotBeProposedForAWeekIsStale(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		p.opensNothing()
		s.skew.Store(-int64(7*24*time.Hour - time.Minute))
		s.accept("api 1")
		s.skew.Store(0)
		s.Start()
		synctest.Wait()
		p.blocks("api 1", 2*time.Minute)
		elapse(3 * time.Minute)
		equal(t, "happened", []string{"api 1 proposal", "api 1 stale"}, s.happened())
		equal(t, "wanted", []string{"api 1", "api 1 held by stale"}, p.asked())
		p.opensAgain()
		s.decide(gitops.ActionRetry, "api 1")
		elapse(2 * time.Second)
		equal(t, "happened after a retry", []string{"api 1 proposed"}, s.happened())
		s.Stop(t.Context())
	})
}

// Who has lost the lane forgets; the next holder finds all that is proposed, and what was about
// to be is wanted again, after a look at the branch where it may be there.
func TestTheNextHolderFollowsProposals(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1", "web 1")
		p.opensNothing()
		s.accept("job 1")
		synctest.Wait()
		theirs := s.steal(time.Minute)
		elapse(15 * time.Second) // ours is not extended
		if _, left := p.counts(); left != 1 {
			t.Errorf("it left %d times", left)
		}
		p.asked()
		p.opensAgain()
		if err := s.queue.Model.Release(t.Context(), theirs, true); err != nil {
			t.Fatal(err)
		}
		elapse(2 * time.Second)
		equal(t, "writes", [][]string{{"? job 1"}}, s.writer.asked()) // it was the other's to find out
		equal(t, "wanted", []string{"api 1", "web 1", "job 1", "job 1"}, p.asked())
		equal(t, "happened", []string{"job 1 proposed"}, s.happened())
		s.Stop(t.Context())
		if _, left := p.counts(); left != 2 {
			t.Errorf("it left %d times in all", left)
		}
	})
}

// A newer update takes the place of what is proposed. The next holder's Proposals is told of both
// all the same, the older one first: it may have been merged while no process had the lane.
func TestTheNextHolderTellsOfWhatIsProposedBeforeWhatIsNewer(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1", "web 1")
		theirs := s.steal(time.Minute)
		elapse(15 * time.Second) // ours is not extended
		s.accept("api 2")
		p.asked()
		if err := s.queue.Model.Release(t.Context(), theirs, true); err != nil {
			t.Fatal(err)
		}
		elapse(2 * time.Second)
		wanted := p.asked()
		equal(t, "wanted first", []string{"api 1", "api 2", "web 1"}, wanted[:3])
		s.Stop(t.Context())
		if !slices.ContainsFunc(p.calls, func(call []string) bool { return slices.Equal(call, wanted[:3]) }) {
			t.Errorf("something may have been done for api 1 before api 2 was wanted: %q", p.calls)
		}
	})
}

// What may be on the branch is looked for there before it is proposed, with the older ones of
// its app.
func TestWhatMayBeOnTheBranchIsLookedForBeforeItIsProposed(t *testing.T) {
	for name, c := range map[string]struct {
		look     writes
		happened []string
	}{
		"it is not there": {commitAll, []string{"api 2 proposed", "api 1 superseded"}},
		"it is there":     {find, []string{"api 1 committed", "api 2 committed"}},
	} {
		t.Run(name, func(t *testing.T) {
			proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
				s.accept("api 1", "api 2")
				s.dies()
				s.writer.then(c.look)
				s.Start()
				elapse(5 * time.Second)
				equal(t, "writes", [][]string{{"? api 1", "? api 2"}}, s.writer.asked())
				equal(t, "happened", c.happened, s.happened())
				s.Stop(t.Context())
			})
		})
	}
}

// A store that lost its last reports, in a failover, has an update proposed again whose end
// was reported: it is followed again within a quarter of an hour. One that is pending again is
// proposed again.
func TestAFailoverOfProposals(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		s.queue.fail("Report", fault{err: errLost})
		p.happens("api 1", gitops.ActionCommit)
		elapse(16 * time.Minute)
		equal(t, "wanted", []string{"api 1"}, p.asked())
		p.happens("api 1", gitops.ActionCommit)
		synctest.Wait()
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		s.queue.fail("Report", fault{err: errLost})
		s.accept("web 1")
		elapse(2 * time.Second)
		equal(t, "wanted of what is pending again", []string{"web 1", "web 1"}, p.asked()) // as pending, and then as proposed
		equal(t, "happened to it", []string{"web 1 proposed"}, s.happened())
		s.Stop(t.Context())
	})
}

// An app that leaves the configuration has its pull request closed, and the update of it that
// was about to be proposed is not. While replicas are replaced they are left to the others.
func TestAnAppThatLeavesHasItsProposalClosed(t *testing.T) {
	var out atomic.Bool
	proposing(t, lane.Config{
		Configured: func(_, app string) bool { return app == "job" || !out.Load() }, Rollout: 10 * time.Minute,
	}, func(t *testing.T, s *site, p *fakeProposals) {
		out.Store(false)
		s.startProposed(p, "api 1", "job 1")
		p.opensNothing()
		s.accept("web 1")
		synctest.Wait()
		p.asked()
		s.Configure([]lane.Environment{pullRequest}, func() { out.Store(true) })
		elapse(9 * time.Minute)
		equal(t, "wanted before", []string(nil), p.asked())
		p.opensAgain()
		elapse(2 * time.Minute)
		equal(t, "wanted", []string{
			`close api 1: app "api" is not configured for environment "dev"`, `close web 1: app "web" is not configured for environment "dev"`,
		}, p.asked())
		equal(t, "happened", []string{"api 1 cancelled", "web 1 cancelled"}, s.happened())
		equal(t, "why", `app "api" is not configured for environment "dev"`, s.update("dev", "api 1").Reason)
		s.Stop(t.Context())
	})
}

// An environment that leaves the configuration ends when its pull requests are closed; when
// the forge is away its lane waits for that, and says so.
func TestAnEnvironmentThatLeavesHasItsProposalsClosed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1", "web 1")
		p.opensNothing()
		s.Configure(nil, nothing)
		for range 4 {
			p.blocks("api 1", time.Minute) // as a forge that is away
			elapse(8 * time.Minute)
		}
		equal(t, "wanted", []string{`close api 1: environment "dev" is not configured`, `close web 1: environment "dev" is not configured`}, p.asked())
		equal(t, "happened while the forge is away", []string(nil), s.happened())
		equal(t, "holder meanwhile", "us", s.backlog().Holder)
		if !s.logged("environment is not configured, closing its pull requests") || !strings.Contains(s.line("pull request cannot be brought up to date, retrying"), "url=") {
			t.Error("it does not say what it waits for")
		}
		closed := *s.update("dev", "api 1").Proposal
		closed.EndedAt = time.Now()
		p.result("api 1", gitops.ProposalResult{Transition: &gitops.Transition{Action: gitops.ActionCancel}, Proposal: &closed})
		p.happens("web 1", gitops.ActionCancel) // whose forge is not configured any more
		synctest.Wait()
		equal(t, "happened", []string{"api 1 cancelled", "web 1 cancelled"}, s.happened())
		equal(t, "why", `environment "dev" is not configured`, s.update("dev", "api 1").Reason)
		equal(t, "why, where it stays open", `environment "dev" is not configured; its pull request could not be closed, close it by hand: https://forge/pulls/2`, s.update("dev", "web 1").Reason)
		equal(t, "holder", "", s.backlog().Holder)
		s.Stop(t.Context())
	})
}

// A process that begins without an environment finds its proposals. When nothing is heard of
// them, their updates end all the same, and people are told what is open.
func TestProposalsOfAnEnvironmentThatIsNotKnownAnyMore(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		s.Stop(t.Context())
		p.opensNothing()
		next := s.with(lane.Config{Environments: environments("qa"), Proposals: p})
		next.Start()
		elapse(9 * time.Minute)
		equal(t, "wanted", []string{`close api 1: environment "dev" is not configured`}, p.asked())
		equal(t, "happened", []string(nil), s.happened())
		elapse(2 * time.Minute)
		equal(t, "happened then", []string{"api 1 cancelled"}, s.happened())
		equal(t, "why", `environment "dev" is not configured; its pull request could not be closed, close it by hand: https://forge/pulls/1`, s.update("dev", "api 1").Reason)
		equal(t, "holder", "", s.backlog().Holder)
		next.Stop(t.Context())
	})
}
