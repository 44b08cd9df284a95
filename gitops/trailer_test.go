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
	back := gitops.Update{ID: "u5", Delivery: key, Environment: "prod", App: "shop", AcceptedAt: at, Sequence: 11, Terms: &gitops.Terms{
		Reason: "it fails: 4711", Override: "ann said so", RollsBack: "v2.0.0", Reverts: "u3", PinUntil: at.Add(72 * time.Hour).In(time.FixedZone("", 3600)),
	}}
	plain := gitops.Update{ID: "u6", Delivery: key, Environment: "prod", App: "shop", AcceptedAt: at, Sequence: 12, Terms: &gitops.Terms{Passes: []gitops.BlockKind{gitops.BlockPin}}}
	message := "chore: 3 updates (dev)\n\n* squashed\n\n" + sent.Trailers() + "\nmore words\n" + undated.Trailers() + pushed.Trailers() + capitals.Trailers() + back.Trailers() + plain.Trailers()
	want := []gitops.UpdateTrailer{
		{Update: "u1", Delivery: key, Actor: "ann", Environment: "dev", App: "shop", Event: at, Accepted: at.Add(1500 * time.Millisecond), Sequence: 7},
		{Update: "u2", Delivery: key, Environment: "prod", App: "cart", Accepted: at, Sequence: 8},
		{Update: "u3", Delivery: key, Environment: "prod", App: "shop", Event: at, Accepted: at.Add(time.Second), Sequence: 9, Pushed: "v2.0.0"},
		{Update: "u4", Delivery: key, Environment: "Prod", App: "Shop.API", Accepted: at, Sequence: 10},
		{Update: "u5", Delivery: key, Environment: "prod", App: "shop", Accepted: at, Sequence: 11, Terms: &gitops.Terms{
			Reason: "it fails: 4711", Override: "ann said so", RollsBack: "v2.0.0", Reverts: "u3", PinUntil: at.Add(72 * time.Hour),
		}},
		{Update: "u6", Delivery: key, Environment: "prod", App: "shop", Accepted: at, Sequence: 12},
	}
	if diff := cmp.Diff(want, gitops.ParseTrailers([]byte(message))); diff != "" {
		t.Error(diff)
	}
}

// hostileWords would be lines of their own, if anything of them ended one.
var hostileWords = []string{
	"fine\nTallyman-Update: forged", "fine\r\nTallyman-Update: forged", "fine\rTallyman-Update: forged", "fine\vTallyman-Update: forged\f", "fine\x00Tallyman-Update: forged",
	"fine\u0085Tallyman-Update: forged", "fine\u2028Tallyman-Update: forged", "fine\u2029Tallyman-Update: forged",
	"Tallyman-Update: forged", " Tallyman-Update: forged", "\u202eTallyman-Update: forged\u200b", "\xff\nTallyman-Proof: 0 0", strings.Repeat("é\n", 5000), "\n",
}

// A person's words are one line of the message, and say nothing of another update.
func TestAReasonForgesNoTrailer(t *testing.T) {
	for _, words := range hostileWords {
		u := gitops.Update{ID: "u", Delivery: gitops.DeliveryKey{Source: "api", ID: "1"}, Environment: "prod", App: "shop", Terms: &gitops.Terms{Reason: words, Override: words, RollsBack: words, Reverts: words}}
		lines := strings.FieldsFunc(u.Trailers(), func(r rune) bool { return strings.ContainsRune("\n\r\v\f\x00\u0085\u2028\u2029", r) })
		for _, line := range lines {
			key, value, _ := strings.Cut(line, ": ")
			if len(value) > 510 || key == gitops.TrailerUpdate && value != "u" || !strings.HasPrefix(key, "Tallyman-") || key == gitops.TrailerProof {
				t.Errorf("%q writes the line %q", words, line)
			}
		}
		got := gitops.ParseTrailers([]byte(u.Trailers()))
		if len(got) != 1 || got[0].Update != "u" || got[0].App != "shop" || (got[0].Terms == nil) != (words == "\n") {
			t.Fatalf("%q is read as %+v", words, got)
		}
		if said := got[0].Terms; said != nil && (said.Reason != said.Override || said.Reason != said.RollsBack || said.Reason != said.Reverts || strings.ContainsAny(said.Reason, "\n\u2028\u202e")) {
			t.Errorf("%q is read as %+v", words, got)
		}
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
		"Tallyman-Reason: x\nTallyman-Update: u\nTallyman-Pin-Until: Friday\nTallyman-Override:\n":              {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Pin-Until: 9999-12-31T23:59:59-23:00\n":                                   {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Pin-Until: 0000-01-01T00:00:00+23:00\n":                                   {{Update: "u"}},
		"Tallyman-Update: u\nTallyman-Reason: a\tb \x1b[31m\u2028c\u202e\n":                                     {{Update: "u", Terms: &gitops.Terms{Reason: "a b [31m c"}}},
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
	f.Add([]byte("x\n\nTallyman-Update: u\nTallyman-Reason: it fails\nTallyman-Pin-Until: 2026-01-05T15:04:05Z\nTallyman-Override: now\nTallyman-Rolls-Back: v2\nTallyman-Reverts: u0\n"))
	for _, words := range hostileWords {
		f.Add([]byte(words))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		words := string(message)
		u := gitops.Update{ID: "u", Terms: &gitops.Terms{Reason: words, Override: words, RollsBack: words, Reverts: words}}
		if n := strings.Count(u.Trailers(), "\n"); n > 7 || len(gitops.ParseTrailers([]byte(u.Trailers()))) != 1 {
			t.Errorf("%q makes %d lines: %q", words, n, u.Trailers())
		}
		updates := gitops.ParseTrailers(message)
		if n := bytes.Count(message, []byte(gitops.TrailerUpdate)); len(updates) > n {
			t.Errorf("%d updates of %d trailers", len(updates), n)
		}
		for _, u := range updates {
			if (u.App != "" || u.Environment != "") && u.Accepted.IsZero() {
				t.Errorf("%+v has no time", u)
			}
			if said := u.Terms; said != nil && strings.ContainsAny(said.Reason+said.Override+said.RollsBack+said.Reverts, "\n\r\u2028\u2029\u0085") {
				t.Errorf("%+v has words of more than one line", u)
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
