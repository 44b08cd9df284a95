package proposals_test

import (
	"context"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// The App loses its right, or its installation, while pull requests are open that ask for nothing:
// lanes are told, the branch tells of merges, and what happened meanwhile is found afterwards.
func TestForgeRefusesAll(t *testing.T) {
	for name, err := range map[string]error{
		"forbidden": gitops.Errorf(gitops.Forbidden, "the GitHub App lacks the permission Pull requests: write"),
		"not found": gitops.Errorf(gitops.NotFound, "the GitHub App is not installed"),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(s *site) {
				api := s.propose("1.1.0")
				web := s.orderOf("web", "2.0.0")
				s.want(web)
				s.after(10 * time.Second)
				for range 200 {
					for _, op := range []string{"open", "get", "pulls"} {
						s.w.Fail(op, proposalstest.Fault{Err: err})
					}
				}
				s.after(5 * time.Minute)
				o := s.room.Away("prod")
				if o == nil || o.Code != gitops.CodeOf(err) || !contains(o.Reason, gitops.PublicOf(err)) || !o.RetryAt.After(time.Now()) {
					t.Errorf("the outage is %+v", o)
				}
				s.w.Merge(1, "squash", "bo")
				s.w.Close(2, "bo")
				s.look()
				s.is(api, gitops.Committed)
				s.is(web, gitops.Proposed)
				s.w.Calm()
				s.after(5 * time.Minute)
				s.is(web, gitops.Closed)
				newer := s.order("1.2.0")
				s.want(newer)
				s.after(20 * time.Second)
				s.is(newer, gitops.Proposed)
				if o := s.room.Away("prod"); o != nil {
					t.Errorf("still an outage: %+v", o)
				}
			})
		})
	}
}

// What fails again and again says so, also where each time it might have been a race.
func TestEndlessRaceIsSaid(t *testing.T) {
	for op, err := range map[string]error{"create": proposals.ErrExists, "push": &proposals.MovedError{Branch: "tallyman/prod/api"}} {
		t.Run(op, func(t *testing.T) {
			inWorld(t, func(s *site) {
				for range 40 {
					s.w.Fail(op, proposalstest.Fault{Err: err})
				}
				u := s.order("1.1.0")
				s.want(u)
				s.after(time.Minute)
				if b := s.blocked["1.1.0"]; b.Kind != gitops.BlockProposal || !contains(b.Reason, "tallyman cannot ") || !contains(b.Reason, err.Error()) {
					t.Errorf("blocked by %+v", b)
				}
				s.after(time.Hour)
				s.is(u, gitops.Proposed)
			})
		})
	}
}

// A branch that moved while it was read, or a request that ended before its time, is asked for
// again soon, and blocks nothing.
func TestMovedWhileRead(t *testing.T) {
	for op, err := range map[string]error{
		"topic": gitops.Errorf(gitops.Conflict, "a branch changed while it was read"), "build": gitops.Errorf(gitops.Conflict, "a branch changed while it was read"),
		"base": context.Canceled, "pulls": context.Canceled,
	} {
		t.Run(op, func(t *testing.T) {
			inWorld(t, func(s *site) {
				s.propose("1.1.0")
				s.w.Fail(op, proposalstest.Fault{Err: err})
				s.w.EditBase("prod", "web", "1.0.1", "ann")
				u := s.order("1.2.0")
				s.want(u)
				s.after(15 * time.Second)
				s.is(u, gitops.Proposed)
				if b := s.blocked["1.2.0"]; b.Reason != "" {
					t.Errorf("blocked by %+v", b)
				}
			})
		})
	}
	t.Run("origin", func(t *testing.T) {
		inWorld(t, func(s *site) {
			u := s.order("1.1.0")
			s.want(u)
			s.after(10 * time.Second)
			s.w.Merge(1, "squash", "bo")
			s.restart() // which knows of no pull request
			s.w.Fail("origin", proposalstest.Fault{Err: gitops.Errorf(gitops.Conflict, "a branch changed while it was read")})
			s.after(20 * time.Second)
			s.count(2, "origin")
			s.is(u, gitops.Committed)
		})
	})
}
