package lane_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// A hold that begins, changes or ends reaches what is proposed within 5 s, although nothing
// else happens, and so does the end of a freeze.
func TestHoldsReachWhatIsProposed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1", "web 1")
		elapse(time.Minute)
		s.holds.hold("api", gitops.BlockStop, time.Time{})
		elapse(5 * time.Second)
		equal(t, "wanted when it is stopped", []string{"api 1 held by stop"}, p.asked())
		s.holds.hold("api 1", gitops.BlockBad, time.Time{})
		elapse(5 * time.Second)
		equal(t, "wanted when it is bad, too", []string{"api 1 held by stop held by bad"}, p.asked())
		s.holds.free("api")
		s.holds.free("api 1")
		s.holds.hold("web", gitops.BlockFreeze, time.Now().Add(time.Hour))
		elapse(5 * time.Second)
		equal(t, "wanted afterwards", []string{"api 1", "web 1 held by freeze"}, p.asked())
		elapse(time.Hour)
		equal(t, "wanted after the freeze", []string{"web 1"}, p.asked())
		equal(t, "happened", []string(nil), s.happened())
		s.Stop(t.Context())
	})
}

// What is held is not wanted, and neither is an older one of its app that is proposed given up
// for it.
func TestWhatIsHeldIsNotProposed(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		s.holds.hold("api 2", gitops.BlockBad, time.Time{})
		s.holds.hold("web", gitops.BlockFreeze, time.Now().Add(time.Minute))
		s.accept("api 2", "web 1")
		elapse(30 * time.Second)
		equal(t, "wanted", []string(nil), p.asked())
		equal(t, "happened", []string{"api 2 bad", "web 1 freeze"}, s.happened())
		elapse(time.Minute)
		equal(t, "happened after the freeze", []string{"web 1 proposed"}, s.happened())
		s.Stop(t.Context())
	})
}

// A hold that comes while an update waits for its pull request holds it, also where that could
// not be opened; and when it ends the update is wanted as before.
func TestAHoldComesBeforeThePullRequest(t *testing.T) {
	for _, name := range []string{"wanted", "blocked"} {
		t.Run(name, func(t *testing.T) {
			proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
				p.opensNothing()
				s.accept("api 1")
				s.Start()
				synctest.Wait()
				if name == "blocked" {
					p.blocks("api 1", time.Hour)
					synctest.Wait()
					equal(t, "happened", []string{"api 1 proposal"}, s.happened())
				}
				s.holds.hold("api", gitops.BlockFreeze, time.Now().Add(time.Minute))
				elapse(30 * time.Second)
				equal(t, "happened then", []string{"api 1 freeze"}, s.happened())
				equal(t, "attempts", 1+len(name)/7, s.update("dev", "api 1").Attempts)
				equal(t, "wanted", []string{"api 1", "api 1 held by freeze"}, p.asked())
				s.decide(gitops.ActionRetry, "api 1")
				synctest.Wait()
				equal(t, "happened to a retry", []string{"api 1 freeze"}, s.happened())
				p.opensAgain()
				elapse(time.Minute)
				equal(t, "happened after it", []string{"api 1 proposed"}, s.happened())
				s.Stop(t.Context())
			})
		})
	}
}

// A hold of the newest has the next newest proposed, in its place.
func TestTheNewestIsHeldBeforeItsPullRequest(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		p.opensNothing()
		s.accept("api 1", "api 2")
		s.Start()
		synctest.Wait()
		s.holds.hold("api 2", gitops.BlockBad, time.Time{})
		elapse(10 * time.Second)
		equal(t, "wanted", []string{"api 2", "api 1"}, p.asked())
		equal(t, "happened", []string{"api 2 bad"}, s.happened())
		s.Stop(t.Context())
	})
}

// Without an answer of Holds nothing is wanted, and what is known of pull requests is reported
// all the same.
func TestProposalsWhileItIsNotKnownWhatHolds(t *testing.T) {
	proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		s.holds.failWith(errStoreDown)
		s.accept("web 1")
		elapse(30 * time.Second)
		equal(t, "wanted", []string(nil), p.asked())
		p.happens("api 1", gitops.ActionCommit)
		elapse(time.Minute)
		equal(t, "happened", []string{"api 1 committed"}, s.happened())
		s.holds.failWith(nil)
		elapse(2 * time.Minute)
		equal(t, "happened at last", []string{"web 1 proposed"}, s.happened())
		s.Stop(t.Context())
	})
}

// respecting has api 1 written and api 2 proposed, where edits by hand are respected.
func respecting(t *testing.T, script func(t *testing.T, s *site, p *fakeProposals)) {
	t.Helper()
	respects := pullRequest
	respects.RespectHandEdits = true
	proposing(t, lane.Config{Environments: []lane.Environment{respects}}, func(t *testing.T, s *site, p *fakeProposals) {
		s.startProposed(p, "api 1")
		p.happens("api 1", gitops.ActionCommit)
		elapse(time.Minute)
		s.happened()
		script(t, s, p)
	})
}

// edit is what is known of an edit by hand.
func edit(at time.Time) gitops.ProposalResult {
	return gitops.ProposalResult{HandEdit: &gitops.HandEdit{Tag: "9", Commit: "c1c2c3c4c5c6c7c8", Author: "Ann Lee", At: at}}
}

// What automation asks for after an edit by hand is held by the edit's pin; when that is lifted
// it is proposed over the edit.
func TestAnEditByHandBeforeTheProposal(t *testing.T) {
	respecting(t, func(t *testing.T, s *site, p *fakeProposals) {
		s.holds.pins()
		edited := time.Now()
		elapse(time.Minute)
		p.opensNothing()
		s.accept("api 2")
		synctest.Wait()
		p.result("api 2", edit(edited))
		elapse(time.Minute)
		equal(t, "happened", []string{"api 2 pin"}, s.happened())
		equal(t, "wanted", []string{"api 2 over 1"}, p.asked())
		s.holds.free("api")
		s.rejudge(gitops.BlockPin)
		elapse(2 * time.Second)
		p.result("api 2", edit(edited))
		p.opensAgain()
		elapse(2 * time.Second)
		equal(t, "wanted after the pin", []string{"api 2 over 1", "api 2 over 9", "api 2 over 9"}, p.asked())
		equal(t, "happened after the pin", []string{"api 2 proposed"}, s.happened())
		s.Stop(t.Context())
	})
}

// An edit by hand ends what is proposed: its pull request is closed, and the reason names the
// commit and its author.
func TestAnEditByHandEndsAProposal(t *testing.T) {
	for name, c := range map[string]struct {
		edited time.Duration // after the update
		after  string
	}{
		"after the update":  {time.Minute, "update was accepted"},
		"before the update": {-time.Minute, "update was proposed"},
	} {
		t.Run(name, func(t *testing.T) {
			respecting(t, func(t *testing.T, s *site, p *fakeProposals) {
				s.holds.pins()
				s.accept("api 2")
				accepted := time.Now()
				elapse(2 * time.Minute)
				p.result("api 2", edit(accepted.Add(c.edited)))
				elapse(10 * time.Second)
				equal(t, "happened", []string{"api 2 proposed", "api 2 superseded"}, s.happened())
				equal(t, "reason", "Ann Lee set api to 9 by hand in commit c1c2c3c4c5c6, after this "+c.after+". "+
					"To write 2 all the same, order it by name: tallyman update api 2 --env dev", s.update("dev", "api 2").Reason)
				_, edits := s.holds.counts()
				equal(t, "commits", []string{"c1c2c3c4c5c6c7c8"}, edits)
				s.accept("api 3")
				elapse(10 * time.Second)
				equal(t, "happened to the next", []string{"api 3 pin"}, s.happened())
				s.Stop(t.Context())
			})
		})
	}
}

// A person's order is proposed over an edit from before it, and ends by one from after it.
func TestAPersonsOrderAndEditsByHand(t *testing.T) {
	respecting(t, func(t *testing.T, s *site, p *fakeProposals) {
		edited := time.Now()
		elapse(time.Minute)
		p.opensNothing()
		s.order("api 2")
		synctest.Wait()
		p.result("api 2", edit(edited))
		p.opensAgain()
		synctest.Wait()
		equal(t, "wanted", []string{"api 2 over 1", "api 2 over 9", "api 2 over 9"}, p.asked())
		equal(t, "happened", []string{"api 2 proposed"}, s.happened())
		elapse(time.Minute)
		p.result("api 2", edit(time.Now()))
		synctest.Wait()
		equal(t, "happened after an edit", []string{"api 2 superseded"}, s.happened())
		s.Stop(t.Context())
	})
}

// An edit that cannot be recorded is asked about again.
func TestAnEditByHandThatIsNotRecorded(t *testing.T) {
	respecting(t, func(t *testing.T, s *site, p *fakeProposals) {
		s.holds.editErr = func() error { return errStoreDown }
		s.accept("api 2")
		synctest.Wait()
		p.asked()
		p.result("api 2", edit(time.Now()))
		elapse(9 * time.Second)
		equal(t, "wanted at once", []string(nil), p.asked())
		elapse(10 * time.Second)
		equal(t, "wanted after a while", []string{"api 2 over 1"}, p.asked())
		equal(t, "happened", []string{"api 2 proposed"}, s.happened())
		s.Stop(t.Context())
	})
}

// What a person closed stays closed for its tag, unless a person asks for it again.
func TestWhatAPersonClosedStaysClosed(t *testing.T) {
	for _, does := range []lane.Environment{pullRequest, {Name: "dev"}} {
		proposing(t, lane.Config{}, func(t *testing.T, s *site, p *fakeProposals) {
			s.startProposed(p, "api 1")
			closed := *s.update("dev", "api 1").Proposal
			closed.EndedBy = "bob"
			p.result("api 1", gitops.ProposalResult{Transition: &gitops.Transition{Action: gitops.ActionClose}, Proposal: &closed})
			synctest.Wait()
			s.happened()
			s.Configure([]lane.Environment{does}, nothing)
			again := s.acceptAgain("", "api 1")
			synctest.Wait()
			equal(t, "wanted", []string(nil), p.asked())
			equal(t, "writes", [][]string(nil), s.writer.asked())
			equal(t, "happened", []string{"api 1 closed"}, s.happened())
			u, err := s.queue.Update(t.Context(), again)
			equal(t, "reason", "bob closed the pull request of this tag before: https://forge/pulls/1. "+
				"To propose 1 all the same, order it by name: tallyman update api 1 --env dev", u.Reason)
			equal(t, "error", nil, err)
			s.acceptAgain("token:ann", "api 1")
			s.accept("web 1")
			synctest.Wait()
			want := []string{"api 1 proposed", "web 1 proposed"}
			if !does.PullRequest {
				want = []string{"api 1 committed", "web 1 committed"}
			}
			equal(t, "happened to an order and another app", want, s.sortedHappened())
			s.Stop(t.Context())
		})
	}
}

// acceptAgain accepts an update of dev whose app and tag were accepted before.
func (s *site) acceptAgain(principal, name string) (id string) {
	s.t.Helper()
	app, tag, _ := strings.Cut(name, " ")
	stored, _, err := s.queue.Accept(s.t.Context(), gitops.Delivery{
		Source: "test", ID: "again " + principal + name, ReceivedAt: s.storeNow(), Outcome: gitops.OutcomeAccepted, Principal: principal,
		Updates: []gitops.Update{{Environment: "dev", App: app, Tag: tag}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return stored.Updates[0].ID
}
