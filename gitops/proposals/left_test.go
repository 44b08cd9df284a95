package proposals_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
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
		"nothing happens": func(*site) {},
		"the base moves":  func(s *site) { s.w.EditBase("", "", "", "bo") },
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

// A pull request that a person has go into another branch is not armed for that: another one is
// A rule that keeps topic branches from being deleted keeps nothing from its end.
func TestABranchThatCannotBeDeleted(t *testing.T) {
	no := proposalstest.Fault{Err: gitops.Errorf(gitops.Rejected, "GH013: Repository rule violations found: Cannot delete this branch")}
	for name, ends := range map[string]func(s *site, u *gitops.Update) gitops.State{
		"cancelled": func(s *site, u *gitops.Update) gitops.State { s.want(u, leaves); return gitops.Cancelled },
		"closed":    func(s *site, _ *gitops.Update) gitops.State { s.w.Close(1, "bo"); return gitops.Closed },
		"merged":    func(s *site, _ *gitops.Update) gitops.State { s.w.Merge(1, "squash", "bo"); return gitops.Committed },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				u := s.propose("1.1.0")
				for range 9 {
					s.w.Fail("delete", no)
				}
				state := ends(s, u)
				s.look()
				s.is(u, state)
				s.propose("1.2.0")
			})
		})
	}
}

// While the git server is away, what is stopped is disarmed and what is cancelled is closed: the
// A process that was paused for long writes the text of an older update when it goes on: the

// A merge of the older tag, which has no proof as a squash, is no edit by hand for the newer one
// that waits: the lane does not know of the merge yet.
func TestAMergeIsNoEditByHandForTheNewerTag(t *testing.T) {
	for _, at := range []string{"look", "push"} {
		inWorld(t, func(s *site) {
			over := func(tag string) func(w *gitops.ProposalWish) {
				return func(w *gitops.ProposalWish) { w.Expected = tag }
			}
			first, second := s.order("1.1.0"), s.order("1.2.0")
			s.want(first, over("1.0.0"))
			s.after(10 * time.Second)
			s.w.Before(at, func() { s.w.Merge(1, "squash", "bo") })
			s.want(second, over("1.0.0"))
			s.after(20 * time.Second)
			s.is(first, gitops.Committed)
			s.is(second, gitops.Proposed)
			if contains(s.log, "hand edit") {
				t.Errorf("merged at %s: %q", at, s.log)
			}
			s.want(second, over("1.1.0"))
			s.after(20 * time.Second)
			s.pulls("merged 1.1.0", "open 1.2.0")
			s.w.EditBase("prod", "api", "1.0.9", "bo")
			s.look()
			if !contains(s.log, "1.2.0 hand edit 1.0.9") {
				t.Errorf("an edit by hand after it: %q", s.log)
			}
		})
	}
}
