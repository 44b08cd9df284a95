package proposals_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

func TestTrapSquashWithoutTrailers(t *testing.T) {
	for _, stale := range []bool{false, true} {
		inWorld(t, func(s *site) {
			s.w.Set(func(w *proposalstest.World) { w.Squash, w.Stale = proposalstest.SquashBlank, stale })
			u := s.propose("1.1.0")
			s.w.Merge(1, "squash", "bo")
			s.look()
			s.is(u, gitops.Committed)
			if tip, _ := s.w.Base("prod", "api"); u.Commit != tip.String() {
				t.Errorf("stale: %t: the commit is %s, not %s", stale, u.Commit, tip)
			}
		})
	}
}

func TestTrapTwoUpdatesOneProposal(t *testing.T) {
	inWorld(t, func(s *site) {
		for _, tag := range []string{"1.1.0", "1.2.0", "1.3.0"} {
			s.want(s.order(tag))
		}
		s.after(time.Minute)
		s.pulls("open 1.3.0")
		s.count(2, "create", "push")
	})
}

func TestTrapBranchLeftAfterAMerge(t *testing.T) {
	inWorld(t, func(s *site) {
		s.w.Fail("delete", proposalstest.Fault{Err: gitops.Errorf(gitops.Rejected, "GH013: rule violations")})
		s.propose("1.1.0")
		s.w.Merge(1, "squash", "bo")
		s.look()
		if head, _ := s.w.Topic("prod", "api"); head.IsZero() {
			t.Fatal("the branch is deleted: nothing is tested")
		}
		next := s.propose("1.2.0")
		s.pulls("merged 1.1.0", "open 1.2.0")
		s.w.Merge(2, "squash", "bo")
		s.w.DeleteBranch("prod", "api", "bo")
		s.look()
		s.is(next, gitops.Committed)
		s.after(5 * time.Minute)
		s.noTopic()
	})
}

func TestTrapBranchFarBehind(t *testing.T) {
	inWorld(t, func(s *site) {
		s.propose("1.1.0")
		s.w.Close(1, "bo")
		s.w.Fail("delete", proposalstest.Fault{Err: gitops.Errorf(gitops.Forbidden, "no")})
		s.look()
		for range 5 {
			s.w.EditBase("prod", "web", time.Now().String(), "ann")
		}
		s.propose("1.2.0")
		s.pulls("closed 1.1.0", "open 1.2.0")
	})
}

func TestTrapSameTagRedelivered(t *testing.T) {
	inWorld(t, func(s *site) {
		first := s.propose("1.1.0")
		second := s.propose("1.1.0")
		s.is(first, gitops.Superseded)
		s.pulls("open 1.1.0")
		s.count(1, "push")
		s.w.Merge(1, "merge", "bo")
		s.look()
		s.is(second, gitops.Committed)
	})
}

func TestTrapRollbackOnBaseIsNotRepeated(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		s.w.Merge(1, "squash", "bo")
		s.look()
		s.is(u, gitops.Committed)
		s.w.EditBase("prod", "api", "1.0.0", "ann")
		s.look()
		s.after(10 * time.Minute)
		s.pulls("merged 1.1.0")
		s.baseHas("1.0.0")
	})
}

// A pull request that tallyman closed and whose branch was rewritten since is not opened again.
func TestTrapNeverReopened(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		if !s.w.Close(1, proposalstest.Bot) {
			t.Fatal("not closed")
		}
		s.look()
		s.after(10 * time.Second)
		s.is(u, gitops.Proposed)
		s.pulls("closed 1.1.0", "open 1.1.0")
		if u.Proposal.Number != 2 {
			t.Errorf("the proposal is #%d", u.Proposal.Number)
		}
	})
}

func TestTrapForeignPullRequests(t *testing.T) {
	inWorld(t, func(s *site) {
		s.w.Foreign("feature")
		u := s.propose("1.1.0")
		if u.Proposal.Number != 2 {
			t.Errorf("the proposal is #%d", u.Proposal.Number)
		}
		s.count(1, "create")
	})
}

func TestTrapQueuedHeadIsLocked(t *testing.T) {
	for _, merged := range []bool{true, false} {
		inWorld(t, func(s *site) {
			first := s.propose("1.1.0")
			s.w.Enqueue(1)
			second := s.order("1.2.0")
			s.want(second)
			s.after(2 * time.Minute)
			s.is(second, gitops.Pending)
			if b := s.blocked["1.2.0"]; !contains(b.Reason, "merge queue") {
				t.Errorf("blocked by %+v", b)
			}
			s.w.Dequeue(1, merged)
			s.after(time.Minute)
			s.is(second, gitops.Proposed)
			if merged {
				s.is(first, gitops.Committed)
			} else {
				s.is(first, gitops.Superseded)
			}
		})
	}
}

// Whoever deletes the branch of an open pull request refuses it, also where the forge leaves it
// open, and the close that tallyman makes up for fails or is answered as failed.
func TestTrapTheBranchIsDeleted(t *testing.T) {
	for name, faults := range map[string][]proposalstest.Fault{
		"closed": nil, "not applied": {{Err: gitops.Errorf(gitops.Unavailable, "down")}}, "applied": {{Err: gitops.Errorf(gitops.Unavailable, "down"), Applied: true}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				u := s.propose("1.1.0")
				s.w.Fail("close", faults...)
				s.w.LoseBranch("prod", "api")
				s.after(10 * time.Minute)
				s.is(u, gitops.Closed)
				if !contains(u.Reason, "somebody deleted the branch of pull request #1 (https://forge.example/pull/1)") || u.Proposal.EndedBy != "" || u.Proposal.EndedAt.IsZero() {
					t.Errorf("the reason is %q, the proposal %+v", u.Reason, u.Proposal)
				}
				s.pulls("closed 1.1.0")
				s.count(1, "create")
			})
		})
	}
}

// A branch that comes back in time, as a person's undo does, is as if nothing had been.
func TestTrapTheBranchComesBack(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		head, _ := s.w.Topic("prod", "api")
		s.w.LoseBranch("prod", "api")
		s.look()
		s.w.RestoreBranch("prod", "api", head)
		s.after(10 * time.Minute)
		s.is(u, gitops.Proposed)
		s.pulls("open 1.1.0")
	})
}
