package feedback_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// holdPace holds calls to the bounds: writes 3 s apart, 150 an hour, and calls a second.
func holdPace(t *testing.T, calls []called) {
	t.Helper()
	var writes []time.Time
	for i, c := range calls {
		if i > 0 && c.at.Sub(calls[i-1].at) < time.Second {
			t.Fatalf("two calls within %s", c.at.Sub(calls[i-1].at))
		}
		if !c.write {
			continue
		}
		writes = append(writes, c.at)
		if n := len(writes); n > 1 && c.at.Sub(writes[n-2]) < 3*time.Second {
			t.Fatalf("two writes within %s", c.at.Sub(writes[n-2]))
		}
		if n := len(writes); n > 150 && c.at.Sub(writes[n-151]) < time.Hour {
			t.Fatalf("151 writes within %s", c.at.Sub(writes[n-151]))
		}
	}
}

// many has updates of many apps accepted and written within a minute.
func (s *site) many(n int) {
	for i := range n {
		app := fmt.Sprintf("app-%03d", i)
		s.mu.Lock()
		s.sources[app] = "shop/" + app
		s.mu.Unlock()
		s.hub.set(func() { s.hub.refs["shop/"+app+" "+sha] = sha })
		s.ends(s.order("prod", app, "1.0.0", sha), gitops.ActionCommit, "")
		s.pass(time.Minute / time.Duration(n))
	}
}

// 200 updates within a minute are told within the limits, in their order, each once.
func TestManyUpdatesWithinAMinute(t *testing.T) {
	play(t, func(s *site) {
		s.many(200)
		if calls := s.counts("written"); calls == 0 {
			t.Error("nothing is told at first")
		}
		s.pass(10 * time.Minute)
		if late := now().Sub(s.late()); late < 9*time.Minute || late > 12*time.Minute {
			t.Errorf("the backlog is %s old", late)
		}
		s.pass(5 * time.Hour)
		all := s.hub.shown()
		for i, line := range all {
			if want := fmt.Sprintf("shop/app-%03d prod 1a2b3c4 1.0.0: success", i); line != want {
				t.Fatalf("%s, want %s", line, want)
			}
		}
		if len(all) != 200 || s.counts("written") != 400 || !s.late().IsZero() {
			t.Errorf("%d deployments, %d writes, behind since %s", len(all), s.counts("written"), s.late())
		}
		holdPace(t, s.hub.asked())
	})
}

// Replicas that die one after another keep the pace of one.
func TestThePaceOutlivesReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.start("zero")()
		s.many(200)
		for n := range 300 {
			stop := s.start(fmt.Sprint("replica-", n))
			s.pass(20 * time.Second)
			stop()
		}
		s.check()
		calls := s.hub.asked()
		holdPace(t, calls)
		if len(calls) < 200 {
			t.Errorf("only %d calls were made", len(calls))
		}
	})
}

// GitHub's limits are obeyed for as long as it says, an hour at most, and longer each time
// where it does not say.
func TestLimitsAreObeyed(t *testing.T) {
	limited := func(after time.Duration) fault {
		return fault{err: &gitops.Error{Code: gitops.RateLimited, Message: "slow down", RetryAfter: after}}
	}
	for name, c := range map[string]struct {
		faults []fault
		pauses []time.Duration
	}{
		"as it says":        {[]fault{limited(47 * time.Second)}, []time.Duration{47 * time.Second}},
		"an hour at most":   {[]fault{limited(11 * 24 * time.Hour)}, []time.Duration{time.Hour}},
		"longer each time":  {[]fault{limited(0), limited(0), limited(0)}, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute}},
		"then what it says": {[]fault{limited(0), limited(5 * time.Second)}, []time.Duration{time.Minute, 5 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *site) {
				s.hub.set(func() { s.hub.faults = c.faults })
				s.ends(s.order("prod", "api", "1.0.0", sha), gitops.ActionCommit, "")
				s.ends(s.order("prod", "web", "1.0.0", sha), gitops.ActionCommit, "")
				s.pass(3 * time.Hour)
				calls := s.hub.asked()
				for i, pause := range c.pauses {
					if got := calls[i+1].at.Sub(calls[i].at); got != pause {
						t.Errorf("pause %d is %s, want %s", i, got, pause)
					}
				}
				s.expect("shop/api prod 1a2b3c4 1.0.0: success", "shop/web prod 1a2b3c4 1.0.0: success")
			})
		})
	}
}

// A repository that refuses, fails or hangs holds up no other for longer than a call lasts;
// it is said once, and what it was to be told is told when it answers.
func TestARepositoryThatFailsHoldsUpNoOther(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		hangs   bool
		refuses bool
	}{
		"no permission": {err: gitops.Errorf(gitops.Forbidden, "it takes Deployments: write"), refuses: true},
		"not installed": {err: gitops.Errorf(gitops.NotFound, "the GitHub App is not installed on shop/api"), refuses: true},
		"away":          {err: gitops.Errorf(gitops.Unavailable, "away")},
		"it hangs":      {hangs: true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *site) {
				s.hub.set(func() { s.hub.repositories[api], s.hub.hangs[api] = c.err, c.hangs })
				var first, last string
				for n := range 150 { // more than are looked at at once
					last = s.order("prod", "api", fmt.Sprintf("1.0.%d", n), sha)
					s.ends(last, gitops.ActionCommit, "")
					if n == 0 {
						first = last
					}
				}
				for n := range 20 {
					began := now()
					s.ends(s.order("prod", "web", fmt.Sprintf("2.0.%d", n), sha), gitops.ActionCommit, "")
					for s.counts("written") < 2*n+2 {
						s.pass(time.Second)
					}
					if took := now().Sub(began); took > 35*time.Second {
						t.Fatalf("another repository waits for %s", took)
					}
				}
				s.pass(time.Hour)
				if n := len(s.log.Lines("GitHub not told", api)); n != 1 {
					t.Errorf("it is said %d times", n)
				}
				if (s.refused() == 1) != c.refuses || s.late().IsZero() {
					t.Errorf("%d refuse, behind since %s", s.refused(), s.late())
				}
				if said := s.noted(last).Reason; c.refuses && said != c.err.Error()+". tallyman retries for a day" {
					t.Errorf("of %s and %s is said %q", first, last, said)
				}
				s.hub.set(func() { s.hub.repositories, s.hub.hangs = map[string]error{}, map[string]bool{} })
				s.hub.asked()
				s.pass(61 * time.Minute)
				shown := s.hub.shown()
				if len(shown) != 21 || shown[20] != "shop/api prod 1a2b3c4 1.0.149: success" { // what is overtaken makes none
					t.Errorf("shown is %q", shown[max(0, len(shown)-2):])
				}
				if s.refused() != 0 || !s.late().IsZero() || s.noted(last).Deployment != 21 {
					t.Errorf("%d refuse, behind since %s, noted %+v", s.refused(), s.late(), s.noted(last))
				}
			})
		})
	}
}

// What GitHub would refuse again is left out, and said once.
func TestWhatIsRefusedForGood(t *testing.T) {
	play(t, func(s *site) {
		refused := gitops.Errorf(gitops.Rejected, "GitHub refuses it (making a deployment in shop/api): Validation Failed")
		s.hub.set(func() { s.hub.faults = []fault{{}, {}, {err: refused}} }) // the list, the commit, the deployment
		id := s.order("prod", "api", "1.0.0", sha)
		s.ends(id, gitops.ActionCommit, "")
		s.pass(time.Hour)
		s.expect()
		if s.counts("refused") != 1 || s.noted(id).Reason != refused.Message || len(s.log.Lines("no deployment of the update", id)) != 1 {
			t.Errorf("counted %v, noted %+v", s.counted, s.noted(id))
		}
		s.ends(s.order("prod", "api", "1.0.1", sha), gitops.ActionCommit, "")
		s.pass(time.Minute)
		s.expect("shop/api prod 1a2b3c4 1.0.1: success")
	})
}

// After an outage of GitHub what is obsolete is not told, what is older than a day neither,
// and a Deployment that was begun before it is ended.
func TestABacklogIsCollapsed(t *testing.T) {
	play(t, func(s *site) {
		begun := s.order("prod", "api", "1.0.0", sha)
		s.pass(time.Minute)
		s.hub.set(func() {
			for _, repository := range []string{api, web} {
				s.hub.repositories[repository] = gitops.Errorf(gitops.Unavailable, "away")
			}
		})
		stale := s.order("prod", "web", "1.0.0", sha)
		s.ends(stale, gitops.ActionCommit, "")
		s.pass(13 * time.Hour)
		s.ends(begun, gitops.ActionCommit, "")
		for n := range 60 {
			s.ends(s.order("prod", "api", fmt.Sprintf("1.1.%d", n), sha), gitops.ActionCommit, "")
			s.pass(12 * time.Minute)
		}
		s.hub.asked()
		s.hub.set(func() { s.hub.repositories = map[string]error{} })
		s.pass(time.Hour)
		s.expect("shop/api prod 1a2b3c4 1.0.0: queued inactive", "shop/api prod 1a2b3c4 1.1.59: success")
		if calls := s.hub.asked(); len(calls) > 10 {
			t.Errorf("%d calls for one deployment and an end", len(calls))
		}
		if s.counts("too_old") != 1 || !strings.Contains(s.noted(stale).Reason, "more than a day before GitHub could be told") {
			t.Errorf("counted %v, noted %+v", s.counted, s.noted(stale))
		}
	})
}

// What waits is bounded: the oldest is left out, and counted.
func TestTheBacklogIsBounded(t *testing.T) {
	play(t, func(s *site) {
		s.hub.set(func() { s.hub.repositories[api] = gitops.Errorf(gitops.Unavailable, "away") })
		const n = 10_500
		for i := range n / 500 {
			d := gitops.Delivery{Source: "api", ID: fmt.Sprint("many-", i), ReceivedAt: now(), Outcome: gitops.OutcomeAccepted}
			for e := range 500 {
				d.Updates = append(d.Updates, gitops.Update{Environment: fmt.Sprint("env-", e), App: "api", Tag: fmt.Sprint("1.0.", i)})
			}
			_, _, err := s.store.Accept(t.Context(), d)
			s.must(err)
		}
		s.pass(2 * time.Minute)
		if left := s.counts("too_old"); left != n-10_000 {
			t.Errorf("%d are left out", left)
		}
	})
}

// A Deployment that is not among the newest is found by its commit.
func TestAnOldDeploymentIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		stop := s.start("first")
		id := s.order("prod", "api", "1.0.0", sha)
		s.pass(time.Minute)
		s.report("prod", queue.Report{Transitions: []gitops.Transition{{Update: id, Action: gitops.ActionPropose}}})
		s.pass(time.Minute)
		for n := range 5 {
			s.ends(s.order("prod", "api", "2.0.0", other), gitops.ActionFail, fmt.Sprint("no such key ", n))
			s.pass(time.Hour)
		}
		stop()
		s.hub.set(func() { s.hub.page = 3 })
		s.ends(id, gitops.ActionCommit, "")
		defer s.start("second")()
		s.pass(time.Minute)
		if shown := s.hub.shown(); len(shown) != 6 || shown[0] != "shop/api prod 1a2b3c4 1.0.0: queued pending success" {
			t.Errorf("shown is %q", shown)
		}
		s.check()
	})
}
