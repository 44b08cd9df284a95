package routing_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
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

// Of two repositories that are away at once both are told, and are tried again each by
// itself.
func TestBothRepositoriesAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.shop.set(gitops.Errorf(gitops.Unauthorized, "the token is wrong"))
		s.pay.set(&gitops.Error{Code: gitops.RateLimited, Message: "slow down", RetryAfter: 5 * time.Minute})
		_, unknown := s.write(t, t.Context(), tasks("dev", "api", "pay"))
		same(t, "unknown", []string{"api", "pay"}, unknown)
		apps, outage := s.Away("dev")
		same(t, "away", []string{"pay", "api", "web"}, apps)
		if outage == nil {
			t.Fatal("there is no outage")
		}
		same(t, "the outage is of", []string{"pay", "shop"}, outage.Repositories())
		if outage.Reason != "pay: slow down; shop: the token is wrong" || time.Until(outage.RetryAt) > time.Second {
			t.Errorf("the outage is %+v", outage)
		}
		s.shop.set(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		apps, outage = s.Away("dev")
		same(t, "away when one is back", []string{"pay"}, apps)
		same(t, "the outage is of", []string{"pay"}, outage.Repositories())
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
