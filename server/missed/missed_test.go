package missed_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// What never arrived is taken in, the newest first, with the time at which GitHub
// first tried; what arrived, or was taken in before, is not.
func TestSweep(t *testing.T) {
	s := newSite(t)
	s.sent(1, "before", "main-0", false) // before tallyman was there: not for it
	s.clock.Pass(time.Hour)
	s.expect()
	s.clock.Pass(time.Hour)
	first := s.clock.Now()
	s.sent(2, "g1", "main-1", false)
	s.clock.Pass(time.Minute)
	s.sent(3, "g2", "main-2", true)
	s.arrives("g2", "main-2")
	s.clock.Pass(time.Minute)
	s.sent(4, "g3", "main-3", false)
	s.sent(5, "g1", "main-1", false) // tried again by hand, in vain
	s.sent(6, "g4", "prod-4", false)
	s.sent(7, "g5", "main-5", true) // GitHub believes that it arrived: it was answered, and then lost
	s.clock.Pass(time.Minute)
	s.expect("github accepted", "recovered", "github rejected", "recovered", "github accepted", "recovered", "github accepted", "recovered")
	d := s.stored("g1")
	if !d.EventTime.Equal(first) || !d.ReceivedAt.Equal(s.clock.Now()) || d.Actor != "github:ann" || d.Remote != "" || d.Credential != "GitHub App's list of deliveries" || !d.Recovered {
		t.Errorf("%+v", d)
	}
	// main-1 happened before main-2, which came by itself.
	for guid, want := range map[string]gitops.State{"g1": gitops.Superseded, "g3": gitops.Pending, "g5": gitops.Pending} {
		if got := s.stored(guid).Updates[0].State; got != want {
			t.Errorf("%s is %s, want %s", guid, got, want)
		}
	}
	if d := s.stored("g4"); d.Outcome != gitops.OutcomeRejected {
		t.Errorf("%+v", d)
	}
	s.expect()
	if calls := s.github.Count(http.MethodGet, "/app/hook/deliveries/2"); calls != 0 {
		t.Errorf("the older attempt was asked for %d times", calls)
	}
}

// Several lost releases of one app, as after a restored backup: the newest is what
// is written in the end, also among those of one second.
func TestTheNewestIsTakenInFirst(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	s.sent(1, "g1", "main-1", false)
	s.clock.Pass(time.Minute)
	s.sent(2, "g2", "main-2", false)
	s.sent(3, "g3", "main-3", false)
	s.clock.Pass(time.Minute)
	s.expect("github accepted", "recovered", "github accepted", "recovered", "github accepted", "recovered")
	if got := s.stored("g1").Updates[0].State; got != gitops.Superseded {
		t.Errorf("the oldest is %s", got)
	}
	second, third := s.stored("g2").Updates[0], s.stored("g3").Updates[0]
	if second.State != gitops.Pending || third.State != gitops.Pending || second.Sequence > third.Sequence {
		t.Errorf("%+v\n%+v", second, third)
	}
}

// A store that has deliveries but no checkpoint was filled by a tallyman that did not
// sweep: it looks from the last one on.
func TestFirstSweepOfAnOldStore(t *testing.T) {
	s := newSite(t)
	s.sent(1, "long ago", "main-0", false)
	s.clock.Pass(time.Hour)
	s.arrives("g1", "main-1")
	s.clock.Pass(time.Hour)
	s.sent(2, "g2", "main-2", false)
	s.clock.Pass(time.Hour)
	s.expect("github accepted", "recovered")
	// What is told late, or by another clock, is found all the same.
	s.github.AddDelivery(githubtest.Delivery{ID: 3, GUID: "g3", DeliveredAt: s.clock.Now().Add(-overlap / 2), Payload: payload("main-3", "g3")})
	s.expect("github accepted", "recovered")
}

const overlap = 10 * time.Minute

// No more than three days are looked back, also where a GitHub remembers more.
func TestSweepAfterALongTime(t *testing.T) {
	s := newSite(t)
	s.expect()
	for id := range int64(250) {
		s.sent(id+1, fmt.Sprint("g", id), fmt.Sprint("main-", id), false)
	}
	s.clock.Pass(4 * 24 * time.Hour)
	s.github.SetNow(func() time.Time { return s.clock.Now().Add(-2 * 24 * time.Hour) })
	s.sent(1000, "new", "main-new", false)
	s.expect("github accepted", "recovered")
	if calls := s.github.Count(http.MethodGet, "/app/hook/deliveries"); calls != 2 { // the first sweep's, and this one's
		t.Errorf("asked for %d pages", calls)
	}
}

// Where GitHub has no payload any more it is asked to send it again, once.
func TestRedelivery(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	s.sent(1, "g1", "main-1", false)
	s.github.Inject(githubtest.Fault{Method: http.MethodGet, Path: "/app/hook/deliveries/1", Times: 2, Status: 404, Body: `{"message": "Not Found"}`})
	s.expect("redelivered")
	s.expect()
	if diff := cmp.Diff([]int64{1}, s.github.Redelivered()); diff != "" {
		t.Error(diff)
	}
	// GitHub does so, in vain, and remembers of that attempt what it sent.
	first := s.clock.Now()
	s.clock.Pass(time.Hour)
	s.expect()
	s.clock.Pass(time.Minute)
	s.sent(2, "g1", "main-1", false)
	s.expect("github accepted", "recovered")
	if d := s.stored("g1"); !d.EventTime.Equal(first) {
		t.Errorf("it happened at %s, and not at %s", d.EventTime, first)
	}
}

// What cannot be read would not have been taken when it came, either. It is
// counted once, and holds up nothing.
func TestUnreadable(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	s.github.AddDelivery(githubtest.Delivery{ID: 1, GUID: "g1", DeliveredAt: s.clock.Now(), Payload: `"text"`})
	s.github.AddDelivery(githubtest.Delivery{ID: 2, GUID: "g2", DeliveredAt: s.clock.Now(), Payload: payload("main-2", "g2"), Headers: map[string]string{"X-GitHub-Delivery": "g9"}})
	s.github.AddDelivery(githubtest.Delivery{ID: 3, GUID: "g3", DeliveredAt: s.clock.Now(), Payload: payload("main-3", "g3"), Headers: map[string]string{"content-type": "application/x-www-form-urlencoded"}})
	s.expect("unreadable", "unreadable", "github accepted", "recovered")
	s.expect()
}

// A sweep that GitHub or the store lets down goes on the next time where it was,
// and what came meanwhile is not held up.
func TestSweepGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		fault githubtest.Fault
		first []string
		code  gitops.Code
		again []string
	}{
		"the list": {githubtest.Fault{Path: "/app/hook/deliveries", Times: 1, Status: 500}, nil, gitops.Unavailable,
			[]string{"github accepted", "recovered", "github accepted", "recovered", "swept"}},
		"one": {githubtest.Fault{Path: "/app/hook/deliveries/1", Times: 1, Status: 502}, []string{"github accepted", "recovered"}, gitops.Unavailable,
			[]string{"github accepted", "recovered", "swept"}},
		"asked too often": {githubtest.Fault{Path: "/app/hook/deliveries/1", Times: 1, Status: 429}, nil, gitops.RateLimited,
			[]string{"github accepted", "recovered", "github accepted", "recovered", "swept"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.expect()
			s.clock.Pass(time.Hour)
			s.sent(1, "g1", "main-1", false)
			s.sent(2, "g2", "main-2", false)
			s.clock.Pass(time.Hour)
			c.fault.Method = http.MethodGet
			s.github.Inject(c.fault)
			got, err := s.sweep()
			if gitops.CodeOf(err) != c.code || err == nil {
				t.Errorf("ended with %v", err)
			}
			if diff := cmp.Diff(c.first, got); diff != "" {
				t.Error(diff)
			}
			s.clock.Pass(time.Hour)
			if got, err = s.sweep(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(c.again, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A GitHub that answers for nothing is not asked for everything.
func TestSweepGivesUp(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	for id := range int64(5) {
		s.sent(id+1, fmt.Sprint("g", id), "main-1", false)
		s.github.Inject(githubtest.Fault{Method: http.MethodGet, Path: fmt.Sprint("/app/hook/deliveries/", id+1), Times: 1, Status: 502})
	}
	if got, err := s.sweep(); gitops.CodeOf(err) != gitops.Unavailable || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	if calls := s.github.Count(http.MethodGet, "/app/hook/deliveries/4"); calls != 0 {
		t.Errorf("asked for the fourth %d times", calls)
	}
}

// A few events that GitHub never answers for do not keep the others out.
func TestSweepGoesRoundWhatFails(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	for id := range int64(5) {
		s.sent(id+1, fmt.Sprint("g", id), "main-1", false)
		if id < 3 {
			s.github.Inject(githubtest.Fault{Method: http.MethodGet, Path: fmt.Sprint("/app/hook/deliveries/", id+1), Times: 2, Status: 502})
		}
	}
	if got, err := s.sweep(); gitops.CodeOf(err) != gitops.Unavailable || got != nil {
		t.Errorf("at first: %v, %v", got, err)
	}
	got, err := s.sweep()
	if diff := cmp.Diff([]string{"github accepted", "recovered", "github accepted", "recovered"}, got); diff != "" || gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("then: %v\n%s", err, diff)
	}
	// The checkpoint is where the first of those that were left is, so none is forgotten.
	s.expect("github accepted", "recovered", "github accepted", "recovered", "github accepted", "recovered")
}

// Run ends with its context.
func TestRunEnds(t *testing.T) {
	s := newSite(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.sweeper.Run(ctx)
	}()
	stop()
	<-ended
}

// Hints are stored nowhere, so none of them can be told from one that never arrived: they are
// left out, and cost GitHub's API nothing.
func TestHintsAreNotMissed(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	for i, kind := range []string{"push", "pull_request", "pull_request_review", "merge_group", "installation"} {
		s.github.AddDelivery(githubtest.Delivery{ID: int64(i + 1), GUID: kind, Event: kind, DeliveredAt: s.clock.Now(), Status: "failed to connect to host", StatusCode: 502, Payload: `{}`})
	}
	s.sent(9, "g1", "main-1", false)
	s.expect("github accepted", "recovered")
	for i := range 5 {
		if calls := s.github.Count(http.MethodGet, fmt.Sprintf("/app/hook/deliveries/%d", i+1)); calls != 0 {
			t.Errorf("hint %d was asked for", i+1)
		}
	}
	if again := s.github.Redelivered(); again != nil {
		t.Errorf("redelivered: %v", again)
	}
}
