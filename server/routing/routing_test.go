package routing_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/routing"
)

// What one repository cannot take is unknown, its apps are away, and it is tried again
// beside the lanes until it answers.
func TestARepositoryThatFailsIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		committed, unknown := s.write(t, t.Context(), tasks("dev", "api", "pay", "web"))
		same(t, "committed in the order of the tasks", []string{"api", "pay", "web"}, committed)
		same(t, "unknown", nil, unknown)
		s.pay.set(errDown)
		committed, unknown = s.write(t, t.Context(), tasks("dev", "api", "pay", "web"))
		same(t, "committed", []string{"api", "web"}, committed)
		same(t, "unknown", []string{"pay"}, unknown)
		apps, outage := s.Away("dev")
		same(t, "away", []string{"pay"}, apps)
		if outage == nil || outage.Repository != "pay" || outage.Reason != "no answer" || outage.Code != gitops.Unavailable {
			t.Errorf("the outage is %+v", outage)
		}
		if apps, outage := s.Away("prod"); apps != nil || outage != nil {
			t.Errorf("where all is in one repository, %v are away: %+v", apps, outage)
		}
		asked := len(s.pay.asked)
		if _, unknown = s.write(t, t.Context(), tasks("dev", "pay")); len(s.pay.asked) != asked || !slices.Equal(unknown, []string{"pay"}) {
			t.Errorf("a repository that is away is asked, and %q are unknown", unknown)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s.pay.shakes < 10 || s.pay.shakes > 30 {
			t.Errorf("in 10 minutes it is tried %d times", s.pay.shakes)
		}
		s.pay.set(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if apps, outage := s.Away("dev"); apps != nil || outage != nil {
			t.Errorf("it is back, and %v are away: %+v", apps, outage)
		}
		committed, _ = s.write(t, t.Context(), tasks("dev", "pay"))
		same(t, "committed when it is back", []string{"pay"}, committed)
	})
}

// Where all is in one repository its outage is the lane's, and the server is left alone for
// as long as it asks.
func TestAnOutageOfTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pay.set(errDown)
		if _, err := s.Write(t.Context(), tasks("prod", "api", "pay")); !errors.Is(err, errDown) {
			t.Errorf("the outage is %v", err)
		}
		s.pay.set(&gitops.Error{Code: gitops.RateLimited, Message: "slow down", RetryAfter: 5 * time.Minute})
		s.write(t, t.Context(), tasks("dev", "pay"))
		if _, outage := s.Away("dev"); outage == nil || time.Until(outage.RetryAt) != 5*time.Minute {
			t.Errorf("it asked to be left alone for 5 minutes, and the outage is %+v", outage)
		}
	})
}

// A repository that does not answer holds a lane up once, and not for long.
func TestARepositoryThatHangsIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.pay.hold = make(chan struct{})
		began := time.Now()
		committed, unknown := s.write(t, t.Context(), tasks("dev", "api", "pay"))
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it holds the lane up for %s", took)
		}
		same(t, "committed", []string{"api"}, committed)
		same(t, "unknown", []string{"pay"}, unknown)
		if apps, _ := s.Away("dev"); !slices.Equal(apps, []string{"pay"}) {
			t.Errorf("away are %q", apps)
		}
		synctest.Wait() // the write was given up
	})
}

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
