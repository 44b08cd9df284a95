package routing_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/routing"
)

// Whoever gives a write up says nothing of the repository.
func TestAWriteThatIsGivenUpIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pay.hold = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, unknown := s.write(t, ctx, tasks("dev", "api", "pay")); !slices.Equal(unknown, []string{"pay"}) {
			t.Errorf("unknown are %q", unknown)
		}
		if apps, outage := s.Away("dev"); outage != nil {
			t.Errorf("away are %q: %+v", apps, outage)
		}
	})
}

// Of an app that is configured no longer each repository is asked, since any may have its
// update.
func TestAnUpdateOfAnAppThatIsGoneIsLookedForEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		gone := tasks("dev", "gone")
		gone[0].SearchOnly = true
		if committed, unknown := s.write(t, t.Context(), gone); committed != nil || unknown != nil {
			t.Errorf("it is nowhere, and %q, %q", committed, unknown)
		}
		same(t, "shop is asked for", []string{"gone"}, s.shop.asked)
		same(t, "pay is asked for", []string{"gone"}, s.pay.asked)
		s.pay.set(errDown)
		if _, unknown := s.write(t, t.Context(), gone); !slices.Equal(unknown, []string{"gone"}) {
			t.Errorf("one of them did not answer, and unknown are %q", unknown)
		}
	})
}

// An app may leave the configuration after its update was taken to be written. That one
// repository does not know its file says nothing of what may be in another; that it is
// in one does.
func TestAFailureInOneRepositoryIsNoAnswerOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.shop.fails = true
		s.pay.set(errDown)
		r, err := s.Write(t.Context(), tasks("dev", "gone", "pay"))
		if err != nil || len(r.Transitions) > 0 {
			t.Errorf("known are %+v, %v", r.Transitions, err)
		}
		same(t, "unknown", []string{"gone", "pay"}, r.Unknown)
		s = newSite(t)
		s.shop.set(errDown)
		if committed, unknown := s.write(t, t.Context(), tasks("dev", "gone")); !slices.Equal(committed, []string{"gone"}) || unknown != nil {
			t.Errorf("it is in one, and committed are %q, unknown %q", committed, unknown)
		}
	})
}

// What a repository said of some updates before it failed counts, also a failure.
func TestWhatIsKnownBeforeAnErrorCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.shop.fails, s.shop.before = true, 1
		s.shop.set(errDown)
		r, err := s.Write(t.Context(), tasks("dev", "api", "pay", "web"))
		if err != nil || len(r.Transitions) != 2 || r.Transitions[0] != (gitops.Transition{Update: "api", Action: gitops.ActionFail}) {
			t.Errorf("known are %+v, %v", r.Transitions, err)
		}
		same(t, "unknown", []string{"web"}, r.Unknown)
	})
}

// A repository that a reload removes is closed when the configuration and the last write
// have ended, and not before.
func TestARepositoryIsClosedAfterItsLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pay.hold = make(chan struct{})
		written := make(chan []string)
		go func() {
			committed, _ := s.write(t, t.Context(), tasks("dev", "pay"))
			written <- committed
		}()
		synctest.Wait()
		before := s.now.Repositories
		s.now.Repositories = map[string]*routing.Repository{"shop": before["shop"], "pay": s.add("pay", newFake())}
		before["pay"].Release()
		synctest.Wait()
		if s.pay.isClosed() {
			t.Error("it is closed while it is written")
		}
		close(s.pay.hold)
		same(t, "what was under way", []string{"pay"}, <-written)
		synctest.Wait()
		if !s.pay.isClosed() || s.shop.isClosed() {
			t.Errorf("after the last use, closed are pay %t, shop %t", s.pay.isClosed(), s.shop.isClosed())
		}
		committed, _ := s.write(t, t.Context(), tasks("dev", "pay"))
		same(t, "the new one takes", []string{"pay"}, committed)
		if before["pay"].Keep() {
			t.Error("what is closed is kept")
		}
	})
}

// The router hangs when one of its repositories does, and ends with all of them.
func TestLastStepAndAbortAreOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pay.step = time.Now().Add(-time.Hour)
		if last := s.LastStep(); !last.Equal(s.pay.step) {
			t.Errorf("the last step is %s", last)
		}
		s.Abort()
		if !s.pay.aborted || !s.shop.aborted {
			t.Error("not all are aborted")
		}
	})
}

// What a repository says of an update that is not on the branch reaches the lane, whichever
// way it says so; and that it is held in one says nothing of another that did not answer.
func TestWhatIsNotWrittenIsSaidInEachWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.shop.says = &gitops.WriteResult{
			Held:      []gitops.Held{{Update: "api", BlockedBy: []gitops.Block{{Kind: gitops.BlockStop}}}, {Update: "gone"}},
			HandEdits: []gitops.HandEdit{{Update: "web", Tag: "9", Commit: "c1"}},
		}
		r, err := s.Write(t.Context(), tasks("dev", "api", "web", "pay"))
		if err != nil || len(r.Transitions) != 1 || r.Transitions[0].Update != "pay" || len(r.Unknown) > 0 {
			t.Errorf("known are %+v, unknown %q, %v", r.Transitions, r.Unknown, err)
		}
		if len(r.Held) != 1 || r.Held[0].Update != "api" || r.Held[0].BlockedBy[0].Kind != gitops.BlockStop {
			t.Errorf("held are %+v", r.Held)
		}
		if len(r.HandEdits) != 1 || r.HandEdits[0] != s.shop.says.HandEdits[0] {
			t.Errorf("edited by hand are %+v", r.HandEdits)
		}
		s.pay.set(errDown)
		if r, err = s.Write(t.Context(), tasks("dev", "gone")); err != nil || len(r.Held) > 0 {
			t.Errorf("held are %+v, %v", r.Held, err)
		}
		same(t, "unknown", []string{"gone"}, r.Unknown)
	})
}
