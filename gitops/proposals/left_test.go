package proposals_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// left has the files of api not be known any more.
func (s *site) left() {
	unknown := proposalstest.Fault{Err: gitops.Errorf(gitops.NotFound, `app "api" is no longer configured for environment "prod"`)}
	for range 100 {
		s.w.Fail("base", unknown)
	}
}

func leaves(w *gitops.ProposalWish) { w.Close = `app "api" is not configured for environment "prod"` }

// What is open of an app that left the configuration is closed, also by a process that has never
// seen its files, and a merge that comes first counts.
func TestAnAppThatLeftTheConfiguration(t *testing.T) {
	for name, people := range map[string]func(s *site){
		"nobody does anything": func(*site) {},
		"the base moves":       func(s *site) { s.w.EditBase("", "", "", "bo") },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				u := s.propose("1.1.0")
				s.room.Close()
				s.start()
				s.left()
				people(s)
				s.want(u, leaves)
				s.after(time.Minute)
				s.is(u, gitops.Cancelled)
				s.pulls("closed 1.1.0")
				s.noTopic()
			})
		})
	}
	t.Run("it is merged", func(t *testing.T) {
		inWorld(t, func(s *site) {
			u := s.propose("1.1.0")
			s.w.Merge(1, "squash", "bo")
			s.left()
			s.want(u, leaves)
			s.after(time.Minute)
			s.is(u, gitops.Committed)
		})
	})
	t.Run("it comes back", func(t *testing.T) {
		inWorld(t, func(s *site) {
			u := s.propose("1.1.0")
			s.room.Close()
			s.start()
			s.left()
			s.w.Before("close", func() {
				s.w.Calm()
				s.want(u)
			})
			s.want(u, leaves)
			s.after(time.Minute)
			s.is(u, gitops.Proposed)
			s.baseHas("1.0.0")
			s.pulls("closed 1.1.0", "open 1.1.0")
		})
	})
}

// An update that came to be held before its pull request was open does not take over the open one
// of an older update, and keeps nobody from merging that.
func TestWhatIsHeldTakesOverNothing(t *testing.T) {
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
		s.count(0, "disarm")
		s.want(second)
		s.after(time.Minute)
		s.is(second, gitops.Proposed)
		s.is(first, gitops.Superseded)
	})
}

// A merge that the base branch does not show yet is waited for, whatever the forge's clock says.
func TestAMergeIsWaitedForByTheOwnClock(t *testing.T) {
	for _, ahead := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		inWorld(t, func(s *site) {
			s.w.Set(func(w *proposalstest.World) { w.Clock = ahead })
			u := s.propose("1.1.0")
			s.w.Before("open", func() { s.w.Merge(1, "squash", "bo") }) // after the branches were looked at
			s.look()
			s.after(20 * time.Second)
			s.is(u, gitops.Committed)
		})
		inWorld(t, func(s *site) {
			s.w.Set(func(w *proposalstest.World) { w.Clock = ahead })
			u := s.propose("1.1.0")
			s.w.Merge(1, "squash", "bo")
			s.w.Rewind()
			s.look()
			s.is(u, gitops.Proposed)
			s.after(11 * time.Minute)
			s.is(u, gitops.Superseded)
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

// A process that was paused for long writes the text of an older update when it goes on: the
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
