package proposals_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// amongApps runs a test in a world of so many apps: see [appName].
func amongApps(t *testing.T, n int, test func(s *site)) {
	t.Helper()
	tags := map[string]string{}
	for i := range n {
		tags["prod/"+appName(i)] = "1.0.0"
	}
	inWorldOf(t, tags, test)
}

func appName(i int) string { return fmt.Sprintf("app%03d", i) }

// limits holds writes to what GitHub bears.
func limits(t *testing.T, calls []proposalstest.Call) {
	t.Helper()
	for i, c := range calls {
		if i > 0 && c.At.Sub(calls[i-1].At) < time.Second {
			t.Errorf("%s of %s comes %s after the write before", c.Op, c.Branch, c.At.Sub(calls[i-1].At))
		}
		if i >= 80 && c.At.Sub(calls[i-80].At) < time.Minute {
			t.Errorf("81 writes within %s", c.At.Sub(calls[i-80].At))
		}
		if i >= 500 && c.At.Sub(calls[i-500].At) < time.Hour {
			t.Errorf("501 writes within %s", c.At.Sub(calls[i-500].At))
		}
	}
}

// 200 apps have a new tag within a minute: each gets one pull request with one commit, in
// acceptance order, within the forge's limits, and no lane waits.
func TestManyAppsAtOnce(t *testing.T) {
	const apps = 200
	amongApps(t, apps, func(s *site) {
		for i := range apps {
			u := s.orderOf(appName(i), "2.0.0")
			before := time.Now()
			s.want(u)
			if took := time.Since(before); took != 0 {
				t.Fatalf("Want took %s", took)
			}
			time.Sleep(300 * time.Millisecond)
		}
		s.after(4 * time.Minute)
		for _, u := range s.updates {
			s.is(u, gitops.Proposed)
		}
		created := s.w.Calls("create")
		if len(created) != apps || len(s.w.Calls("push")) != apps {
			t.Errorf("%d pull requests, %d pushes", len(created), len(s.w.Calls("push")))
		}
		for i, c := range created {
			if c.Branch != proposals.Branch("prod", s.updates[i].App) {
				t.Fatalf("number %d is %s", i, c.Branch)
			}
		}
		limits(t, s.w.Calls(proposalstest.Writes...))

		// While nothing happens an hour costs two requests for each sweep, and none for each app.
		s.w.Forget()
		time.Sleep(time.Hour)
		synctest.Wait()
		if all := s.w.Calls(); len(all) > 45 {
			t.Errorf("%d calls in a quiet hour, such as %v", len(all), all[0])
		}
		s.w.Forget()
		s.w.Merge(7, "squash", "bo")
		s.after(4 * time.Minute)
		s.is(s.updates[6], gitops.Committed)
		if all := s.w.Calls(append(proposalstest.Writes, "get", "pulls")...); len(all) > 12 {
			t.Errorf("one merge among %d costs %d requests: %v", apps, len(all), all)
		}
	})
}

// No hour has more than 350 creations, and what takes something back does not wait for it.
func TestMoreThanAnHourBears(t *testing.T) {
	const apps = 450
	amongApps(t, apps, func(s *site) {
		s.env.Merge = proposals.MergeAuto
		s.w.Set(protected)
		for i := range apps {
			s.want(s.orderOf(appName(i), "2.0.0"))
		}
		s.after(15 * time.Minute)
		s.count(350, "create")
		s.want(s.updates[3], func(w *gitops.ProposalWish) { w.Close = "cancelled" })
		s.after(10 * time.Second)
		s.is(s.updates[3], gitops.Cancelled)
		s.want(s.updates[5], func(w *gitops.ProposalWish) { w.Held = []gitops.Block{{Kind: gitops.BlockStop, Reason: "stopped"}} })
		s.want(s.orderOf(appName(6), "3.0.0"))
		s.after(20 * time.Second)
		s.w.Forget()
		s.want(s.updates[5])
		s.after(20 * time.Second) // its text waits, as that of the newer tag
		s.count(0, "edit")
		s.count(1, "arm")
		time.Sleep(50 * time.Minute)
		s.after(time.Second)
		s.count(100, "create")
		limits(t, s.w.Calls("create"))
	})
}

// Many hints cost a bounded number of requests.
func TestManyHints(t *testing.T) {
	const apps = 50
	amongApps(t, apps, func(s *site) {
		for i := range apps {
			s.want(s.orderOf(appName(i), "2.0.0"))
		}
		s.after(2 * time.Minute)
		s.w.Forget()
		for range 600 {
			s.room.Look("prod")
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(s.w.Calls("look")); n > 13 {
			t.Errorf("%d looks in a minute", n)
		}
		if n := len(s.w.Calls("get")); n > 40 || n < 20 {
			t.Errorf("%d pull requests asked for in a minute", n)
		}
	})
}

// What is urgent does not wait behind many new pull requests.
func TestUrgentFirst(t *testing.T) {
	amongApps(t, 60, func(s *site) {
		s.w.Set(protected)
		s.env.Merge = proposals.MergeAuto
		first := s.orderOf(appName(0), "2.0.0")
		s.want(first)
		s.after(5 * time.Second)
		for i := 1; i < 60; i++ {
			s.want(s.orderOf(appName(i), "2.0.0"))
		}
		s.after(10 * time.Second)
		s.want(first, func(w *gitops.ProposalWish) {
			w.Held = []gitops.Block{{Kind: gitops.BlockStop, Reason: "stopped"}}
		})
		s.after(2 * time.Second)
		s.count(1, "disarm")
	})
}
