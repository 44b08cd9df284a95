package gitops_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestTrailersAreReadBackAsTheyWereWritten(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	key := gitops.DeliveryKey{Source: "github", ID: "72d3162e"}
	sent := gitops.Update{ID: "u1", Delivery: key, Actor: "ann", Environment: "dev", App: "shop", EventTime: at, AcceptedAt: at.Add(1500 * time.Millisecond), Sequence: 7}
	undated := gitops.Update{ID: "u2", Delivery: key, Environment: "prod", App: "cart", AcceptedAt: at, Sequence: 8}
	pushed := gitops.Update{ID: "u3", Delivery: key, Environment: "prod", App: "shop", Tag: "v2.0.0", OnlyUp: true, EventTime: at, AcceptedAt: at.Add(time.Second), Sequence: 9}
	capitals := gitops.Update{ID: "u4", Delivery: key, Environment: "Prod", App: "Shop.API", AcceptedAt: at, Sequence: 10}
	message := "chore: 3 updates (dev)\n\n* squashed\n\n" + sent.Trailers() + "\nmore words\n" + undated.Trailers() + pushed.Trailers() + capitals.Trailers()
	want := []gitops.UpdateTrailer{
		{Update: "u1", Delivery: key, Actor: "ann", Environment: "dev", App: "shop", Event: at, Accepted: at.Add(1500 * time.Millisecond), Sequence: 7},
		{Update: "u2", Delivery: key, Environment: "prod", App: "cart", Accepted: at, Sequence: 8},
		{Update: "u3", Delivery: key, Environment: "prod", App: "shop", Event: at, Accepted: at.Add(time.Second), Sequence: 9, Pushed: "v2.0.0"},
		{Update: "u4", Delivery: key, Environment: "Prod", App: "Shop.API", Accepted: at, Sequence: 10},
	}
	if diff := cmp.Diff(want, gitops.ParseTrailers([]byte(message))); diff != "" {
		t.Error(diff)
	}
}

// People write what they like into messages.
func TestTrailersThatCannotBeReadAreLeftOut(t *testing.T) {
	for message, want := range map[string][]gitops.UpdateTrailer{
		"":                         nil,
		"x\n\nTallyman-Actor: ann": nil,
		"x\n\nTallyman-Update: u\r\nTallyman-Delivery: none\nTallyman-Release: dev/shop accepted yesterday 7\n": {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Release: dev/shop later 2026-01-02T15:04:05Z 7":                           {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Release: shop accepted 2026-01-02T15:04:05Z 7":                            {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Release: dev/shop accepted 2026-01-02T15:04:05Z seven":                    {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Release: dev/shop accepted 2026-01-02T15:04:05Z 7 event long ago":         {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Release: dev/shop accepted 2026-01-02T15:04:05Z 7 event yesterday":        {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Release: dev/shop accepted 2026-01-02T15:04:05Z 7 pushed":                 {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Release: dev/shop accepted 2026-01-02T15:04:05Z 7 signed ann pushed v2.0.0": {{
			Update: "u", Environment: "dev", App: "shop", Accepted: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Sequence: 7, Pushed: "v2.0.0",
		}},
	} {
		if diff := cmp.Diff(want, gitops.ParseTrailers([]byte(message))); diff != "" {
			t.Errorf("%q: %s", message, diff)
		}
	}
}

// Whatever a message says, an update in it has the lines behind its own.
func FuzzParseTrailers(f *testing.F) {
	f.Add([]byte("x\n\nTallyman-Update: u\nTallyman-Delivery: a/b\nTallyman-Actor: c\nTallyman-Release: dev/shop accepted 2026-01-02T15:04:05Z 7 event 2026-01-02T15:04:04Z\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		updates := gitops.ParseTrailers(message)
		if n := bytes.Count(message, []byte(gitops.TrailerUpdate)); len(updates) > n {
			t.Errorf("%d updates of %d trailers", len(updates), n)
		}
		for _, u := range updates {
			if (u.App != "" || u.Environment != "") && u.Accepted.IsZero() {
				t.Errorf("%+v has no time", u)
			}
		}
	})
}

// What a commit says of a release is compared with an update that the store has
// still open, or has taken in again.
func TestATrailerTellsWhetherItsReleaseIsNewer(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	later := at.Add(time.Hour)
	u := gitops.Update{ID: "u", Environment: "dev", App: "shop", AcceptedAt: at, Sequence: 5}
	lateEvent := gitops.Update{ID: "u", Environment: "dev", App: "shop", AcceptedAt: later, EventTime: at, Sequence: 9}
	recovered := lateEvent
	recovered.Recovered = true
	of := func(sequence int64, accepted, event time.Time) gitops.UpdateTrailer {
		return gitops.UpdateTrailer{Update: "other", Environment: "dev", App: "shop", Sequence: sequence, Accepted: accepted, Event: event}
	}
	push := lateEvent
	push.Tag, push.OnlyUp = "2.0.0", true
	pushed := func(tag string, event time.Time) gitops.UpdateTrailer {
		t := of(3, at.Add(2*time.Minute), event)
		t.Pushed = tag
		return t
	}
	other := of(6, later, time.Time{})
	other.App = "cart"
	capitals := of(6, later, time.Time{})
	capitals.App = strings.ToUpper(capitals.App)
	itself := of(6, later, time.Time{})
	itself.Update = "u"
	for _, c := range []struct {
		name    string
		trailer gitops.UpdateTrailer
		update  gitops.Update
		newer   bool
	}{
		{"accepted later, which only the branch knows", of(6, later, time.Time{}), u, true},
		{"a later sequence before a restore gave it again", of(6, at.Add(-time.Hour), time.Time{}), u, false},
		{"a later time of a clock that was ahead", of(4, later, time.Time{}), u, false},
		{"another app", other, u, false},
		{"an app whose name differs only in case", capitals, u, false},
		{"itself", itself, u, false},
		{"an event from after the late one's", of(3, at.Add(time.Minute), at.Add(30*time.Second)), lateEvent, true},
		{"an event from before the late one's", of(3, at, at.Add(-time.Minute)), lateEvent, false},
		{"an order without a time of its own, against a sent event", of(3, at.Add(time.Minute), time.Time{}), lateEvent, false},
		{"an order without a time of its own, against a recovered event", of(3, at.Add(time.Minute), time.Time{}), recovered, true},
		{"a push from after a late push of a higher version", pushed("1.9.5", at.Add(time.Minute)), push, false},
		{"a push from after a late push of the same version", pushed("v2.0.0", at.Add(time.Minute)), push, true},
		{"a push from before a late push of the same version", pushed("v2.0.0", at.Add(-time.Minute)), push, false},
		{"a push from after a late push of a lower version", pushed("2.0.1", at.Add(time.Minute)), push, true},
		{"a push from after a late order", pushed("1.9.5", at.Add(time.Minute)), lateEvent, true},
		{"an order from after a late push", of(3, at.Add(2*time.Minute), at.Add(time.Minute)), push, true},
		{"an order from before a late push", of(3, at.Add(2*time.Minute), at.Add(-time.Minute)), push, false},
		{"an order without a time of its own, from after a late push", of(3, at.Add(61*time.Second), time.Time{}), push, true},
		{"an order without a time of its own, from about the time of a late push", of(3, at.Add(time.Minute), time.Time{}), push, false},
	} {
		if got := c.trailer.NewerThan(c.update); got != c.newer {
			t.Errorf("%s: newer is %t", c.name, got)
		}
	}
}
