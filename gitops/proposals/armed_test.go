package proposals_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// An update that comes to be held before its pull request is there takes over no pull request
// of an older update, and does not keep people from merging that.
func TestWhatIsHeldTakesOverNothing(t *testing.T) {
	for name, c := range map[string]struct {
		people func(s *site)
		first  gitops.State // in the end
	}{
		"the hold is lifted":  {func(*site) {}, gitops.Superseded},
		"it is merged before": {func(s *site) { s.w.Merge(1, "squash", "bo"); s.look() }, gitops.Committed},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				s.env.Merge = proposals.MergeAuto
				s.w.Set(protected)
				first := s.propose("1.1.0")
				second := s.order("1.2.0")
				s.want(second, func(w *gitops.ProposalWish) {
					w.Held = []gitops.Block{{Kind: gitops.BlockBad, Reason: "marked as bad"}}
				})
				s.after(time.Minute)
				s.is(second, gitops.Pending)
				s.is(first, gitops.Proposed)
				s.pulls("open 1.1.0")
				s.count(1, "push")
				s.count(0, "disarm")
				c.people(s)
				s.want(second)
				s.after(time.Minute)
				s.is(second, gitops.Proposed)
				s.is(first, c.first)
			})
		})
	}
}

// What is taken out of the queue, or disarmed, is armed again at once, and then ever more slowly.
func TestArmedAgainEverMoreSlowly(t *testing.T) {
	inWorld(t, func(s *site) {
		s.env.Merge = proposals.MergeAuto
		s.w.Set(func(w *proposalstest.World) { w.Rules = proposals.Rules{Protected: true, Queue: true} })
		u := s.propose("1.1.0")
		s.w.Fulfil(1)
		ejected := 0
		for end := time.Now().Add(6 * time.Hour); time.Now().Before(end); s.look() {
			if s.w.Dequeue(1, false) {
				ejected++
			}
		}
		if ejected < 6 || ejected > 14 {
			t.Errorf("queued %d times within 6 hours", ejected)
		}
		newer := s.propose("1.2.0") // begins from nothing
		s.w.Fulfil(1)
		s.look()
		s.w.Dequeue(1, true)
		s.look()
		s.is(u, gitops.Superseded)
		s.is(newer, gitops.Committed)
	})
}

// What cannot be merged for long, such as a draft, is asked for ever more slowly, and at once
// when it has changed.
func TestWhatCannotBeArmedWaits(t *testing.T) {
	inWorld(t, func(s *site) {
		s.env.Merge = proposals.MergeAuto
		never := make([]proposalstest.Fault, 100)
		for i := range never {
			never[i].Err = proposals.ErrNotNow
		}
		s.w.Fail("arm", never...)
		u := s.propose("1.1.0")
		s.after(6 * time.Hour)
		if n := len(s.w.Calls("arm")); n < 20 || n > 40 {
			t.Errorf("asked for %d times within 6 hours", n)
		}
		s.w.Calm()
		s.w.Fulfil(1)
		s.look()
		s.is(u, gitops.Committed)
	})
}

// A pull request that a person gives another base branch is let go, and a new one is
// opened, by whichever process.
func TestAnotherBaseBranch(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		inWorld(t, func(s *site) {
			s.env.Merge = proposals.MergeAuto
			s.w.Set(protected)
			u := s.propose("1.1.0")
			s.w.Retarget(1)
			if restarts {
				s.restart()
			}
			s.look()
			s.after(20 * time.Second)
			if all := s.w.Pulls(); len(all) != 2 || all[0].Armed || !all[1].Armed || u.Proposal.Number != 2 {
				t.Errorf("%+v, and the update's is %+v", all, u.Proposal)
			}
			s.w.Fulfil(2)
			s.look()
			s.is(u, gitops.Committed)
		})
	}
}

// While the git server is away, what is armed is disarmed and what is to end is closed: the
// forge may go on merging.
func TestTakenBackWhileTheGitServerIsAway(t *testing.T) {
	away := proposalstest.Fault{Err: gitops.Errorf(gitops.Unavailable, "git is away")}
	for name, c := range map[string]struct {
		change func(w *gitops.ProposalWish)
		state  proposals.PullState
		then   gitops.State
	}{
		"stopped":   {func(w *gitops.ProposalWish) { w.Held = []gitops.Block{{Kind: gitops.BlockStop, Reason: "stopped"}} }, proposals.PullOpen, gitops.Proposed},
		"cancelled": {leaves, proposals.PullClosed, gitops.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				s.env.Merge = proposals.MergeAuto
				s.w.Set(protected)
				u := s.propose("1.1.0")
				for range 1000 {
					s.w.Fail("look", away)
				}
				s.look()
				s.want(u, c.change)
				s.after(5 * time.Second)
				if p := s.w.Pulls()[0]; p.Armed || p.State != c.state {
					t.Errorf("it is %+v", p)
				}
				s.after(20 * time.Minute)
				s.w.Calm()
				s.after(5 * time.Minute)
				s.is(u, c.then)
				s.baseHas("1.0.0")
			})
		})
	}
}

// A process that was paused writes an older text over the pull request. The
// holder of the lane writes its own again, and leaves a person's words alone.
func TestTheTextOfAPausedProcessIsReplaced(t *testing.T) {
	inWorld(t, func(s *site) {
		s.propose("1.1.0")
		paused := s.w.Process().Forge()
		old := s.w.Pulls()[0].Text
		s.propose("1.2.0")
		if err := paused.Edit(t.Context(), 1, old); err != nil {
			t.Fatal(err)
		}
		s.look()
		s.pulls("open 1.2.0")
		s.w.Forget()
		words := s.w.Pulls()[0].Text
		words.Title += ", please"
		if err := paused.Edit(t.Context(), 1, words); err != nil {
			t.Fatal(err)
		}
		s.look()
		s.after(5 * time.Minute)
		s.count(1, "edit")
	})
}
