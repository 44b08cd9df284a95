package missed_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// A dispatch that came under two ids counts once, and the store has the first alone. The
// other was not missed, and GitHub is asked for it once.
func TestADuplicateIsNotMissed(t *testing.T) {
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	s.sent(1, "g1", "main-1", true)
	s.clock.Pass(time.Second)
	s.github.AddDelivery(githubtest.Delivery{ID: 2, GUID: "g2", DeliveredAt: s.clock.Now(), Payload: payload("main-1", "g1")})
	s.expect("github accepted", "recovered", "github duplicate")
	s.expect()
	for _, path := range []string{"/app/hook/deliveries/1", "/app/hook/deliveries/2"} {
		if calls := s.github.Count(http.MethodGet, path); calls != 1 {
			t.Errorf("%s was asked for %d times", path, calls)
		}
	}
}

// Of what is rejected or ignored a sender's hundredth in an hour is not kept: the sweep
// does not fetch the rest again and again.
func TestWhatIsNotKeptIsFetchedOnce(t *testing.T) {
	const sent, kept = 103, 100
	s := newSite(t)
	s.expect()
	s.clock.Pass(time.Minute)
	for id := range int64(sent) {
		s.sent(id+1, fmt.Sprint("g", id), "prod-1", true)
	}
	got, err := s.sweep()
	s.must(err)
	count := make(map[string]int)
	for _, outcome := range got {
		count[outcome]++
	}
	want := map[string]int{"github rejected": sent, "recovered": sent, "not kept": sent - kept, "swept": 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
	s.expect()
}
