package gitops_test

import (
	"bytes"
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
	message := "chore: 2 updates (dev)\n\n* squashed\n\n" + sent.Trailers() + "\nmore words\n" + undated.Trailers()
	want := []gitops.UpdateTrailer{
		{Update: "u1", Delivery: key, Actor: "ann", Environment: "dev", App: "shop", Event: at, Accepted: at.Add(1500 * time.Millisecond), Sequence: 7},
		{Update: "u2", Delivery: key, Environment: "prod", App: "cart", Accepted: at, Sequence: 8},
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
