package proposals_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// Each call fails in each way, without being done and after it was done: there is one pull
// request, it is merged once, and all is told as it is.
func TestEveryCallFailsTwice(t *testing.T) {
	errs := map[string]error{
		"unavailable": gitops.Errorf(gitops.Unavailable, "the server is down"),
		"limited":     &gitops.Error{Code: gitops.RateLimited, Message: "slowly", RetryAfter: 90 * time.Second},
		"forbidden":   gitops.Errorf(gitops.Forbidden, "Pull requests: write is missing"),
		"rejected":    gitops.Errorf(gitops.Rejected, "GH013: repository rule violations"),
		"moved":       &proposals.MovedError{Branch: "tallyman/prod/api"},
		"exists":      proposals.ErrExists,
		"no commits":  proposals.ErrNoCommits,
		"head moved":  proposals.ErrHeadMoved,
		"not now":     proposals.ErrNotNow,
	}
	for _, op := range []string{"look", "base", "origin", "contains", "topic", "build", "push", "delete", "pulls", "open", "get", "create", "edit", "arm"} {
		for name, err := range errs {
			for _, applied := range []bool{false, true} {
				inWorld(t, func(s *site) {
					s.w.Set(protected)
					s.env.Merge = proposals.MergeAuto
					fault := proposalstest.Fault{Err: err, Applied: applied}
					s.w.Fail(op, fault)
					first := s.order("1.1.0")
					s.want(first)
					s.after(5 * time.Minute)
					s.w.Fail(op, fault)
					second := s.order("1.2.0")
					s.want(second)
					s.after(5 * time.Minute)
					s.w.Fail(op, fault)
					s.w.Fulfil(1)
					s.look()
					s.after(10 * time.Minute)
					s.pulls("merged 1.2.0")
					s.is(first, gitops.Superseded)
					s.is(second, gitops.Committed)
					s.baseHas("1.2.0")
					if n := s.w.Carried("prod", "api"); n["1.2.0"] != 1 || n["1.1.0"] != 0 {
						t.Errorf("on the base branch: %v", n)
					}
				})
				if t.Failed() {
					t.Fatalf("that was %s: %s, applied: %t", op, name, applied)
				}
			}
		}
	}
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
