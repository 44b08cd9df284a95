package proposals_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// A limit is over when its time is, also where nothing is left to be written that would show it.
func TestLimitEndsWithoutAWrite(t *testing.T) {
	inWorld(t, func(s *site) {
		web := s.orderOf("web", "2.0.0")
		s.want(web)
		s.after(10 * time.Second)
		s.w.Fail("create", proposalstest.Fault{Err: &gitops.Error{Code: gitops.RateLimited, Message: "slowly", RetryAfter: 10 * time.Minute}})
		api := s.order("1.1.0")
		s.want(api)
		s.after(10 * time.Second)
		s.want(api, func(w *gitops.ProposalWish) { w.Close = "ann cancelled it" })
		s.after(10 * time.Second)
		s.is(api, gitops.Cancelled)
		if s.room.Away("prod") == nil {
			t.Fatal("nothing limits")
		}
		for len(s.room.Changed("prod")) > 0 {
			<-s.room.Changed("prod")
		}
		s.after(10 * time.Minute)
		if o := s.room.Away("prod"); o != nil {
			t.Errorf("the outage is %+v", o)
		}
		if len(s.room.Changed("prod")) == 0 {
			t.Error("no lane is told that it has ended")
		}
		s.is(web, gitops.Proposed)
	})
}

// What the gate does not let pass takes nothing of what a forge bears in an hour.
func TestHeldTakesNoTurn(t *testing.T) {
	inWorld(t, func(s *site) {
		var held atomic.Bool
		s.gate = func(u gitops.Update) (string, error) {
			if held.Load() && u.App == "api" {
				return "", gitops.Errorf(gitops.Unavailable, "no store")
			}
			return "", nil
		}
		u := s.order("1.1.0")
		s.w.Before("push", func() { held.Store(true) })
		s.want(u)
		s.after(40 * time.Minute)
		s.count(0, "create")
		held.Store(false)
		s.after(time.Minute)
		s.is(u, gitops.Proposed)
	})
}

// Rules that cannot be read are said in the log, as often as they are asked for.
func TestUnreadRulesAreLogged(t *testing.T) {
	inWorld(t, func(s *site) {
		var log logtest.Log
		s.room.Close()
		s.room = proposals.New(proposals.Config{Repository: "shop", Branches: s.p.Branches(), Forge: s.p.Forge(), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		s.propose("1.1.0")
		s.w.Fail("rules", proposalstest.Fault{Err: gitops.Errorf(gitops.NotFound, "not installed")})
		s.w.EditBase("prod", "web", "1.0.1", "ann")
		s.look()
		if n := len(log.Lines("rules of the base branch not read", "not installed")); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
}

// What keeps a step back for as long as an outage of the store is logged once, and not each time.
func TestHeldStepIsLoggedOnce(t *testing.T) {
	inWorld(t, func(s *site) {
		var log logtest.Log
		s.room.Close()
		s.room = proposals.New(proposals.Config{
			Repository: "shop", Branches: s.p.Branches(), Forge: s.p.Forge(), Logger: slog.New(slog.NewJSONHandler(&log, nil)),
			Gate: func(context.Context, []gitops.Update) ([]gitops.Held, func(), error) {
				return nil, nil, gitops.Errorf(gitops.Unavailable, "no store")
			},
		})
		s.want(s.order("1.1.0"))
		s.after(10 * time.Minute)
		if n := len(log.Lines("step of a proposal held")); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
}
