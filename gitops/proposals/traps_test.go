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

// Whoever arms a person's commit is that person, also where people merge since a reload.
func TestTrapPersonsCommitIsNotArmed(t *testing.T) {
	for _, merge := range []proposals.Merge{proposals.MergeAuto, proposals.MergePerson} {
		inWorld(t, func(s *site) {
			s.env.Merge = proposals.MergeAuto
			s.w.Set(protected)
			s.propose("1.1.0")
			s.w.PushOnto("prod", "api", "9.9.9", "eve")
			s.env.Merge = merge
			s.look()
			s.w.Fulfil(1)
			s.after(5 * time.Minute)
			s.baseHas("1.0.0")
			s.count(1, "disarm")
		})
	}
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

// What was armed for one tag is not merged with another in its place, nor with the words of the
// one before.
func TestTrapArmedForTheTagBefore(t *testing.T) {
	inWorld(t, func(s *site) {
		s.env.Merge = proposals.MergeAuto
		s.w.Set(protected)
		s.propose("1.1.0")
		second := s.order("1.2.0")
		s.w.Before("edit", func() { s.w.Fulfil(1) })
		s.want(second)
		s.after(time.Minute)
		s.is(second, gitops.Committed)
		origin, err := originOf(s)
		if err != nil || len(origin.Updates) != 1 || origin.Updates[0] != second.ID {
			t.Errorf("the base branch has the trailers of %q, %v, not of %s", origin.Updates, err, second.ID)
		}
	})
}

func originOf(s *site) (proposals.Origin, error) {
	b := s.w.Process().Branches()
	if _, err := b.Look(s.Context()); err != nil {
		return proposals.Origin{}, err
	}
	return b.Origin(s.Context(), "prod", "api")
}

// A person armed the tag before, and not the newer one.
func TestTrapArmedByAPerson(t *testing.T) {
	inWorld(t, func(s *site) {
		s.w.Set(protected)
		s.propose("1.1.0")
		s.w.Arm(1)
		s.look()
		s.count(0, "disarm")
		s.propose("1.2.0")
		s.w.Fulfil(1)
		s.look()
		s.baseHas("1.0.0")
	})
}
