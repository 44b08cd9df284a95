package proposals_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// What other tools got wrong with pull requests, each as its users met it.

func protected(w *proposalstest.World) { w.Rules.Protected = true }

func TestTrapPersonsCommitSurvives(t *testing.T) {
	inWorld(t, func(s *site) {
		first := s.propose("1.1.0")
		head, _ := s.w.PushOnto("prod", "api", "", "bo")
		s.look()
		second := s.order("1.2.0")
		s.want(second)
		s.after(time.Minute)
		s.is(first, gitops.Proposed)
		s.is(second, gitops.Pending)
		if now, _ := s.w.Topic("prod", "api"); now != head {
			t.Errorf("the topic is at %s, not at the person's commit %s", now, head)
		}
		if b := s.blocked["1.2.0"]; b.Kind != gitops.BlockProposal || !contains(b.Reason, "commit of `bo`") || b.Until.IsZero() {
			t.Errorf("blocked by %+v", b)
		}
		if c := s.w.Comments(1); len(c) != 1 || !contains(c[0], "`bo`") {
			t.Errorf("comments: %q", c)
		}
		if !contains(first.Proposal.WaitsFor, "a person's commit") || !contains(s.w.Pulls()[0].Text.Body, "**A person's commit:**") {
			t.Errorf("waits for %q; it says:\n%s", first.Proposal.WaitsFor, s.w.Pulls()[0].Text.Body)
		}
		s.after(20 * time.Minute)
		s.count(1, "comment")
		s.w.Drop("prod", "api")
		s.look()
		s.after(time.Minute)
		s.is(second, gitops.Proposed)
		s.pulls("open 1.2.0")
	})
}

func TestTrapPersonsCommitIsMergedWithIt(t *testing.T) {
	for _, tag := range []string{"", "1.1.1"} {
		t.Run("tag "+tag, func(t *testing.T) {
			inWorld(t, func(s *site) {
				u := s.propose("1.1.0")
				s.w.PushOnto("prod", "api", tag, "bo")
				s.look()
				s.w.Merge(1, "squash", "bo")
				s.look()
				s.after(time.Minute)
				if tag == "" {
					s.is(u, gitops.Committed)
				} else {
					s.is(u, gitops.Superseded)
				}
				s.noTopic()
				s.count(1, "push")
			})
		})
	}
}

// Whoever arms a person's commit is that person.
func TestTrapPersonsCommitIsNotArmed(t *testing.T) {
	inWorld(t, func(s *site) {
		s.env.Merge = proposals.MergeAuto
		s.w.Set(protected)
		s.propose("1.1.0")
		s.w.PushOnto("prod", "api", "9.9.9", "eve")
		s.look()
		s.w.Fulfil(1)
		s.after(5 * time.Minute)
		s.baseHas("1.0.0")
		s.count(1, "disarm")
	})
}

func TestTrapClosedByAPersonStaysClosed(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		s.w.Close(1, "bo")
		s.look()
		s.is(u, gitops.Closed)
		for _, part := range []string{"bo closed pull request #1 (https://forge.example/pull/1)", "tallyman update api 1.1.0 --env prod"} {
			if !contains(u.Reason, part) {
				t.Errorf("the reason %q does not say %q", u.Reason, part)
			}
		}
		s.after(20 * time.Minute)
		s.pulls("closed 1.1.0")
		s.noTopic()
		again := s.order("1.1.0") // by name
		s.want(again)
		s.after(10 * time.Second)
		s.is(again, gitops.Proposed)
		s.pulls("closed 1.1.0", "open 1.1.0")
	})
}

func TestTrapOtherFilesMoveOnBase(t *testing.T) {
	inWorld(t, func(s *site) {
		s.propose("1.1.0")
		for range 3 {
			s.w.EditBase("prod", "", "", "ann")
			s.w.EditBase("prod", "web", time.Now().String(), "ann")
			s.look()
		}
		s.after(5 * time.Minute)
		s.count(1, "push")
		s.count(0, "edit")
	})
}

func TestTrapStrictFollowsTheBase(t *testing.T) {
	inWorld(t, func(s *site) {
		s.w.Set(func(w *proposalstest.World) { w.Rules.Strict = true })
		u := s.propose("1.1.0")
		s.w.EditBase("prod", "web", "2", "ann")
		s.look()
		s.count(2, "push")
		s.after(5 * time.Minute)
		s.count(2, "push")
		s.is(u, gitops.Proposed)
		s.pulls("open 1.1.0")
	})
}

func TestTrapArmedAgain(t *testing.T) {
	disarm := func(s *site) { // what GitHub does of itself
		for _, p := range s.w.Pulls() {
			if p.Armed {
				_ = s.w.Process().Forge().Disarm(t.Context(), p)
			}
		}
	}
	for name, event := range map[string]func(s *site){
		"after an update": func(s *site) { disarm(s); s.propose("1.2.0") },
		"after a rebuild": func(s *site) { s.w.EditBase("prod", "api", "1.0.1", "ann"); disarm(s) },
		"after the queue ejected it": func(s *site) {
			s.w.Enqueue(1)
			s.look()
			s.w.Dequeue(1, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				s.env.Merge = proposals.MergeAuto
				s.w.Set(protected)
				s.propose("1.1.0")
				event(s)
				s.look()
				s.after(10 * time.Second)
				if p := s.w.Pulls()[0]; !p.Armed || p.State != proposals.PullOpen {
					t.Errorf("not armed again: %+v", p)
				}
			})
		})
	}
}

func TestTrapBaseHasTheTag(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		s.w.EditBase("prod", "api", "1.1.0", "ann")
		s.look()
		s.after(10 * time.Second)
		s.is(u, gitops.Unchanged)
		s.pulls("closed 1.1.0")
		s.noTopic()
		s.count(1, "push")
	})
}

func TestTrapRaceOfCreations(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.order("1.1.0")
		s.w.Before("create", func() { // a person opens it from the branch that was pushed
			if _, err := s.w.Process().Forge().Create(t.Context(), "tallyman/prod/api", proposals.Text{Title: "api to mine", Body: "Tallyman-none"}); err != nil {
				t.Error(err)
			}
		})
		s.want(u)
		s.after(30 * time.Second)
		s.is(u, gitops.Proposed)
		s.pulls("open 1.1.0")
	})
}

func TestTrapMergedOnceAfterACrash(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		s.room.Close()
		s.w.Merge(1, "squash", "bo")
		s.restart()
		s.after(20 * time.Second)
		s.is(u, gitops.Committed)
		if n := s.w.Carried("prod", "api")["1.1.0"]; n != 1 || slices.Index(s.log, "1.1.0 commit") != len(s.log)-1 {
			t.Errorf("%d commits; reported %q", n, s.log)
		}
		s.count(2, "push", "create")
	})
}

func TestTrapNotNowIsRetried(t *testing.T) {
	inWorld(t, func(s *site) {
		s.env.Merge = proposals.MergeAuto
		s.w.Fail("arm", proposalstest.Fault{Err: proposals.ErrNotNow}, proposalstest.Fault{Err: proposals.ErrHeadMoved}, proposalstest.Fault{Err: proposals.ErrNotNow})
		u := s.order("1.1.0")
		s.want(u)
		s.after(time.Minute)
		s.is(u, gitops.Committed)
		s.count(4, "arm")
	})
}

func TestTrapLostEventsHeal(t *testing.T) {
	for name, tt := range map[string]struct {
		event func(w *proposalstest.World)
		want  gitops.State
	}{
		"merge":                 {func(w *proposalstest.World) { w.Merge(1, "rebase", "bo") }, gitops.Committed},
		"close":                 {func(w *proposalstest.World) { w.Close(1, "bo") }, gitops.Closed},
		"the branch is deleted": {func(w *proposalstest.World) { w.DeleteBranch("prod", "api", "bo") }, gitops.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				u := s.propose("1.1.0")
				tt.event(s.w)
				s.after(4 * time.Minute)
				s.is(u, tt.want)
			})
		})
	}
}

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
		s.w.DeleteBranch("prod", "web", "bo")
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
		s.w.Set(func(w *proposalstest.World) {})
		if found := s.w.Check(); len(found) > 0 {
			t.Error(found)
		}
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
