package proposals_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// People merge in four ways, and the commit that is told is on the base branch.
func TestMergedByPeople(t *testing.T) {
	for _, method := range []string{"merge", "squash", "rebase", "queue"} {
		for name, squash := range map[string]proposalstest.SquashText{"text": proposalstest.SquashBody, "commits": proposalstest.SquashCommits, "blank": proposalstest.SquashBlank} {
			t.Run(method+"/"+name, func(t *testing.T) {
				inWorld(t, func(s *site) {
					s.w.Set(func(w *proposalstest.World) { w.Squash = squash })
					u := s.propose("1.1.0")
					if method == "queue" {
						s.w.Enqueue(1)
						s.look()
						s.w.Dequeue(1, true)
					} else {
						s.w.Merge(1, method, "bo")
					}
					s.look()
					s.is(u, gitops.Committed)
					s.baseHas("1.1.0")
					s.noTopic()
					if !s.w.OnBase(u.Commit) {
						t.Errorf("commit %s is not on the base branch", u.Commit)
					}
					if by := u.Proposal.EndedBy; method != "queue" && by != "bo" {
						t.Errorf("ended by %q", by)
					}
					s.pulls("merged 1.1.0")
					s.count(1, "push")
				})
			})
		}
	}
}

func TestProposed(t *testing.T) {
	inWorld(t, func(s *site) {
		s.env.Labels = []string{"deploy"}
		u := s.propose("1.1.0")
		s.pulls("open 1.1.0")
		p := s.w.Pulls()[0]
		head, tag := s.w.Topic("prod", "api")
		if tag != "1.1.0" || u.Proposal == nil || u.Proposal.Head != head.String() || u.Proposal.Number != 1 || u.Proposal.URL != p.URL || !u.Proposal.OpenedAt.Equal(p.OpenedAt) {
			t.Errorf("the proposal is %+v, the topic at %s has %s", u.Proposal, head, tag)
		}
		if len(p.Text.Labels) != 1 || p.Text.Labels[0] != "deploy" {
			t.Errorf("labels %v", p.Text.Labels)
		}
	})
}

// An update that is older than the newest gives its pull request to it.
func TestNewerTagTakesThePullRequest(t *testing.T) {
	inWorld(t, func(s *site) {
		first := s.propose("1.1.0")
		second := s.propose("1.2.0")
		s.is(first, gitops.Superseded)
		s.is(second, gitops.Proposed)
		s.pulls("open 1.2.0")
		s.w.Merge(1, "squash", "bo")
		s.look()
		s.is(second, gitops.Committed)
		s.baseHas("1.2.0")
	})
}

// The merge of the older tag comes between what was seen and the push.
func TestMergeWinsOverANewerTag(t *testing.T) {
	for _, at := range []string{"look", "build", "push", "get"} {
		t.Run(at, func(t *testing.T) {
			inWorld(t, func(s *site) {
				first := s.propose("1.1.0")
				second := s.order("1.2.0")
				s.w.Before(at, func() { s.w.Merge(1, "squash", "bo") })
				s.want(second)
				s.after(time.Minute)
				s.is(first, gitops.Committed)
				s.is(second, gitops.Proposed)
				s.pulls("merged 1.1.0", "open 1.2.0")
				s.baseHas("1.1.0")
			})
		})
	}
}

// The merge comes after the push, and before anybody was told: the base has the newer tag.
func TestMergeRightAfterThePush(t *testing.T) {
	inWorld(t, func(s *site) {
		first := s.propose("1.1.0")
		second := s.order("1.2.0")
		s.w.Before("edit", func() { s.w.Merge(1, "merge", "bo") })
		s.want(second)
		s.after(5 * time.Minute) // nobody tells of it: a sweep finds it
		s.is(second, gitops.Committed)
		s.is(first, gitops.Superseded)
		s.pulls("merged 1.2.0")
		s.baseHas("1.2.0")
	})
}

func TestCancelled(t *testing.T) {
	why := func(w *gitops.ProposalWish) { w.Close = "ann cancelled it" }
	t.Run("open", func(t *testing.T) {
		inWorld(t, func(s *site) {
			u := s.propose("1.1.0")
			s.want(u, why)
			s.after(time.Minute)
			s.is(u, gitops.Cancelled)
			s.pulls("closed 1.1.0")
			s.noTopic()
			if u.Reason != "ann cancelled it" {
				t.Errorf("the reason is %q", u.Reason)
			}
		})
	})
	t.Run("armed", func(t *testing.T) {
		inWorld(t, func(s *site) {
			s.env.Merge = proposals.MergeAuto
			s.w.Set(func(w *proposalstest.World) { w.Rules.Protected = true })
			u := s.propose("1.1.0")
			s.want(u, why)
			s.w.Before("close", func() { s.w.Fulfil(1) })
			s.after(time.Minute)
			s.is(u, gitops.Cancelled)
			s.baseHas("1.0.0")
		})
	})
	t.Run("never opened", func(t *testing.T) {
		inWorld(t, func(s *site) {
			u := s.order("1.1.0")
			s.want(u, why)
			s.after(time.Minute)
			s.is(u, gitops.Cancelled)
			s.pulls()
			s.count(0, "push", "close")
		})
	})
	t.Run("another's pull request stays", func(t *testing.T) {
		inWorld(t, func(s *site) {
			first := s.propose("1.1.0")
			second := s.order("1.2.0")
			s.want(second, why)
			s.after(time.Minute)
			s.is(second, gitops.Cancelled)
			s.is(first, gitops.Proposed)
			s.pulls("open 1.1.0")
		})
	})
	t.Run("merged first", func(t *testing.T) {
		inWorld(t, func(s *site) {
			u := s.propose("1.1.0")
			s.w.Before("close", func() { s.w.Merge(1, "squash", "bo") })
			s.want(u, why)
			s.after(time.Minute)
			s.is(u, gitops.Committed)
			s.baseHas("1.1.0")
		})
	})
}

// What holds an update keeps tallyman from merging it, and is said in the pull request.
func TestHeld(t *testing.T) {
	inWorld(t, func(s *site) {
		s.env.Merge = proposals.MergeAuto
		s.w.Set(func(w *proposalstest.World) { w.Rules.Protected = true })
		u := s.propose("1.1.0")
		if !s.w.Pulls()[0].Armed {
			t.Fatal("not armed")
		}
		s.want(u, func(w *gitops.ProposalWish) {
			w.Held = []gitops.Block{{Kind: gitops.BlockFreeze, Reason: "@all frozen until Monday"}}
		})
		s.after(30 * time.Second)
		p := s.w.Pulls()[0]
		if p.Armed || !contains(p.Text.Body, "**Held:** tallyman does not merge this: `@all frozen until Monday`") || !contains(u.Proposal.WaitsFor, "@all frozen until Monday") {
			t.Errorf("armed: %t, waits for %q; it says:\n%s", p.Armed, u.Proposal.WaitsFor, p.Text.Body)
		}
		s.w.Fulfil(1)
		s.look()
		s.baseHas("1.0.0")
		s.want(u)
		s.after(30 * time.Second)
		s.is(u, gitops.Committed)
		s.count(2, "arm")
	})
}

// A rollback does not take up the pull request of the tag that it leaves.
func TestRollbackOpensAnother(t *testing.T) {
	inWorld(t, func(s *site) {
		first := s.propose("1.1.0")
		back := s.order("0.9.0")
		back.Terms = &gitops.Terms{RollsBack: "1.0.0"}
		s.want(back)
		s.after(30 * time.Second)
		s.is(back, gitops.Proposed)
		s.is(first, gitops.Superseded)
		s.pulls("closed 1.1.0", "open 0.9.0")
	})
}

// A tag that a person put on the base branch closes the pull request.
func TestHandEdit(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.order("1.1.0")
		expected := func(w *gitops.ProposalWish) { w.Expected = "1.0.0" }
		s.want(u, expected)
		s.after(10 * time.Second)
		s.w.EditBase("prod", "api", "1.0.9", "ann")
		s.look()
		s.after(10 * time.Second)
		s.pulls("closed 1.1.0")
		if got := s.log[len(s.log)-1]; got != "1.1.0 hand edit 1.0.9" {
			t.Errorf("reported last: %s", got)
		}
		s.noTopic()
	})
}
