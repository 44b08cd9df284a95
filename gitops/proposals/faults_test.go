package proposals_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// everyFault runs a test in a world where calls of each of the methods fail in each way, without
// being done and after they were done. The forge merges by itself what its rules allow.
func everyFault(t *testing.T, ops []string, test func(s *site, fail func())) {
	t.Helper()
	for _, op := range ops {
		for name, err := range map[string]error{
			"unavailable": gitops.Errorf(gitops.Unavailable, "the server is down"),
			"limited":     &gitops.Error{Code: gitops.RateLimited, Message: "slowly", RetryAfter: 90 * time.Second},
			"forbidden":   gitops.Errorf(gitops.Forbidden, "Pull requests: write is missing"),
			"rejected":    gitops.Errorf(gitops.Rejected, "GH013: repository rule violations"),
			"moved":       &proposals.MovedError{Branch: "tallyman/prod/api"},
			"exists":      proposals.ErrExists,
			"no commits":  proposals.ErrNoCommits,
			"head moved":  proposals.ErrHeadMoved,
			"not now":     proposals.ErrNotNow,
		} {
			for _, applied := range []bool{false, true} {
				inWorld(t, func(s *site) {
					s.w.Set(protected)
					s.env.Merge = proposals.MergeAuto
					test(s, func() { s.w.Fail(op, proposalstest.Fault{Err: err, Applied: applied}) })
					if len(s.w.Calls(op)) == 0 {
						s.Errorf("%s was never called: nothing is tested", op)
					}
				})
				if t.Failed() {
					t.Fatalf("that was %s: %s, applied: %t", op, name, applied)
				}
			}
		}
	}
}

// Each call on the way to a merge fails in each way: there is one pull request, it is merged
// once, and all is told as it is.
func TestEveryCallFailsTwice(t *testing.T) {
	ops := []string{"look", "base", "origin", "topic", "build", "push", "delete", "pulls", "open", "get", "create", "edit", "arm"}
	everyFault(t, ops, func(s *site, fail func()) {
		fail()
		first := s.order("1.1.0")
		s.want(first)
		s.after(5 * time.Minute)
		fail()
		second := s.order("1.2.0")
		s.want(second)
		s.after(5 * time.Minute)
		fail()
		s.w.Fulfil(1)
		s.look()
		s.after(10 * time.Minute)
		s.pulls("merged 1.2.0")
		s.is(first, gitops.Superseded)
		s.is(second, gitops.Committed)
		s.baseHas("1.2.0")
		if n := s.w.Carried("prod", "api"); n["1.2.0"] != 1 || n["1.1.0"] != 0 {
			s.Errorf("on the base branch: %v", n)
		}
	})
}

// Each call by which a merge without trailers is found fails in each way: it is told once.
func TestEveryCallAfterAMergeFailsTwice(t *testing.T) {
	everyFault(t, []string{"look", "base", "contains", "origin", "topic", "get", "open", "delete"}, func(s *site, fail func()) {
		s.w.Set(func(w *proposalstest.World) { w.Squash = proposalstest.SquashBlank })
		u := s.propose("1.1.0")
		fail()
		s.w.Merge(1, "squash", "bo")
		s.look()
		s.after(10 * time.Minute)
		s.is(u, gitops.Committed)
		if tip, _ := s.w.Base("prod", "api"); u.Commit != tip.String() {
			s.Errorf("the commit is %s, not %s", u.Commit, tip)
		}
		s.baseHas("1.1.0")
	})
}

// Each call that a merge does not need fails in each way: a person's commit is neither merged by
// tallyman nor pushed over, it has one comment at most, and what is cancelled is closed.
func TestEveryOtherCallFailsTwice(t *testing.T) {
	everyFault(t, []string{"rules", "disarm", "edit", "comment", "close"}, func(s *site, fail func()) {
		u := s.propose("1.1.0")
		fail()
		s.w.EditBase("prod", "web", "2.0.0", "ann")
		s.look()
		s.after(5 * time.Minute)
		s.is(u, gitops.Proposed)
		head, _ := s.w.PushOnto("prod", "api", "9.9.9", "eve")
		s.look()
		s.after(5 * time.Minute)
		s.w.Fulfil(1)
		s.look()
		if at, _ := s.w.Topic("prod", "api"); at != head {
			s.Errorf("the topic is at %s, not at the person's commit %s", at, head)
		}
		if c := s.w.Comments(1); len(c) > 1 {
			s.Errorf("comments: %q", c)
		}
		fail()
		s.want(u, leaves)
		s.after(5 * time.Minute)
		s.is(u, gitops.Cancelled)
		s.pulls("closed 1.1.0")
		s.baseHas("1.0.0")
	})
}

// A right that is missing, a repository that is not there and a rule hold the update with the
// words of what is missing, and are tried again ever more slowly.
func TestMissingRightHolds(t *testing.T) {
	for op, err := range map[string]error{
		"create": gitops.Errorf(gitops.Forbidden, "the GitHub App lacks the permission Pull requests: write"),
		"pulls":  gitops.Errorf(gitops.NotFound, "the GitHub App is not installed in acme/shop"),
		"push":   gitops.Errorf(gitops.Rejected, "GH013: Repository rule violations found for refs/heads/tallyman/prod/api"),
	} {
		t.Run(op, func(t *testing.T) {
			inWorld(t, func(s *site) {
				for range 6 {
					s.w.Fail(op, proposalstest.Fault{Err: err})
				}
				u := s.order("1.1.0")
				s.want(u)
				s.after(30 * time.Second)
				b := s.blocked["1.1.0"]
				if b.Kind != gitops.BlockProposal || !contains(b.Reason, gitops.PublicOf(err)) || !contains(b.Reason, "tallyman cannot ") || b.Until.IsZero() {
					t.Errorf("blocked by %+v", b)
				}
				s.count(1, op)
				s.look() // no hint makes it faster
				s.count(1, op)
				s.after(7*time.Minute + 30*time.Second - time.Minute)
				s.count(4, op) // after 1, 2 and 4 minutes
				s.after(60 * time.Minute)
				s.count(7, op)
				s.is(u, gitops.Proposed)
				if s.room.Away("prod") != nil {
					t.Errorf("an outage: %+v", s.room.Away("prod"))
				}
			})
		})
	}
}

// What tallyman lacks for an open pull request is said where people see what it waits for.
func TestMissingRightOfAnOpenOne(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		s.w.Fail("edit", proposalstest.Fault{Err: gitops.Errorf(gitops.Forbidden, "no right")})
		s.want(u, func(w *gitops.ProposalWish) { w.Held = []gitops.Block{{Kind: gitops.BlockStop, Reason: "stopped"}} })
		s.after(10 * time.Second)
		if !contains(u.Proposal.WaitsFor, "tallyman cannot edit its pull request: no right") {
			t.Errorf("waits for %q", u.Proposal.WaitsFor)
		}
		s.after(2 * time.Minute)
		if contains(u.Proposal.WaitsFor, "tallyman cannot") {
			t.Errorf("still waits for %q", u.Proposal.WaitsFor)
		}
	})
}

// A limit is of the forge's writes alone: branches are pushed, and what happens is seen.
func TestRateLimited(t *testing.T) {
	inWorld(t, func(s *site) {
		web := s.orderOf("web", "2.0.0")
		s.want(web)
		s.after(10 * time.Second)
		s.w.Fail("create", proposalstest.Fault{Err: &gitops.Error{Code: gitops.RateLimited, Message: "slowly", RetryAfter: 10 * time.Minute}})
		api := s.order("1.1.0")
		s.want(api)
		s.after(10 * time.Second)
		s.is(api, gitops.Pending)
		if len(s.blocked) > 0 {
			t.Errorf("blocked: %v", s.blocked)
		}
		if o := s.room.Away("prod"); o == nil || o.Repository != "shop" || o.Code != gitops.RateLimited || !contains(o.Reason, ": slowly") || time.Until(o.RetryAt) < 9*time.Minute {
			t.Errorf("the outage is %+v", o)
		}
		s.w.Merge(1, "squash", "bo")
		s.look()
		s.is(web, gitops.Committed)
		newer := s.order("1.2.0")
		s.want(newer)
		s.after(10 * time.Second)
		if _, tag := s.w.Topic("prod", "api"); tag != "1.2.0" {
			t.Errorf("the topic has %s", tag)
		}
		s.after(9 * time.Minute)
		s.count(2, "create")
		s.after(time.Minute)
		s.is(newer, gitops.Proposed)
		s.count(3, "create")
		if s.room.Away("prod") != nil {
			t.Errorf("still an outage: %+v", s.room.Away("prod"))
		}
	})
}

// While the forge is away nothing is written for each update, and the branch alone tells of a
// merge whose commit has trailers.
func TestForgeAway(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.propose("1.1.0")
		for range 200 {
			for _, op := range []string{"open", "get", "pulls"} {
				s.w.Fail(op, proposalstest.Fault{Err: gitops.Errorf(gitops.Unavailable, "the forge is down")})
			}
		}
		s.w.Merge(1, "squash", "bo")
		waits := s.orderOf("web", "2.0.0")
		s.want(waits)
		s.look()
		s.after(time.Minute)
		s.is(u, gitops.Committed)
		s.is(waits, gitops.Pending)
		if o := s.room.Away("prod"); o == nil || o.Code != gitops.Unavailable || o.Reason != "pull requests can be neither opened nor followed: the forge is down" {
			t.Errorf("the outage is %+v", o)
		}
		if len(s.blocked) > 0 {
			t.Errorf("blocked: %v", s.blocked)
		}
		s.w.Forget()
		s.after(10 * time.Minute)
		if n := len(s.w.Calls("open", "get", "pulls")); n > 6 {
			t.Errorf("a forge that is down was asked %d times in 10 minutes", n)
		}
		s.w.Calm()
		s.after(3 * time.Minute)
		s.is(waits, gitops.Proposed)
		if s.room.Away("prod") != nil {
			t.Errorf("still an outage: %+v", s.room.Away("prod"))
		}
	})
}

// A newer wish, and a person's retry, do not wait for what held the one before.
func TestRetryIsAtOnce(t *testing.T) {
	inWorld(t, func(s *site) {
		s.w.Fail("create", proposalstest.Fault{Err: gitops.Errorf(gitops.Forbidden, "no")}, proposalstest.Fault{Err: gitops.Errorf(gitops.Forbidden, "no")})
		u := s.order("1.1.0")
		s.want(u)
		s.after(5 * time.Second)
		u.RetriedAt = time.Now()
		s.want(u)
		s.after(5 * time.Second)
		s.count(2, "create")
		newer := s.order("1.2.0")
		s.want(newer)
		s.after(5 * time.Second)
		s.is(newer, gitops.Proposed)
	})
}

// The base branch reaches the topic by now: the forge says that there is nothing new.
func TestNoCommits(t *testing.T) {
	inWorld(t, func(s *site) {
		u := s.order("1.1.0")
		s.w.Before("create", func() { s.w.EditBase("prod", "api", "1.1.0", "ann") })
		s.w.Fail("create", proposalstest.Fault{Err: errors.Join(proposals.ErrNoCommits)})
		s.want(u)
		s.after(time.Minute)
		s.is(u, gitops.Unchanged)
		s.pulls()
	})
}

// One app's step fails as if a server were away, again and again: the others go on, and its
// update says so.
func TestOneAppAloneFails(t *testing.T) {
	for _, op := range []string{"push", "create", "pulls", "topic"} {
		t.Run(op, func(t *testing.T) {
			inWorld(t, func(s *site) {
				for range 5 {
					s.w.Fail(op, proposalstest.Fault{Err: gitops.Errorf(gitops.Unavailable, "the branch is locked"), Branch: "tallyman/prod/api"})
				}
				api := s.order("1.1.0")
				s.want(api)
				web := s.orderOf("web", "2.0.0")
				s.want(web)
				s.after(20 * time.Second)
				s.is(web, gitops.Proposed)
				s.after(time.Minute)
				if b := s.blocked["1.1.0"]; !contains(b.Reason, "the branch is locked") && op != "topic" {
					t.Errorf("blocked by %+v", b)
				}
				s.w.Close(web.Proposal.Number, "bo")
				s.look()
				s.is(web, gitops.Closed)
				s.after(time.Hour)
				s.is(api, gitops.Proposed)
			})
		})
	}
}
