package gitops_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestBlockedUntil(t *testing.T) {
	soon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later, never := soon.Add(time.Hour), time.Time{}
	for _, c := range []struct {
		name     string
		untils   []time.Time
		want     time.Time
		byItself bool
	}{
		{"nothing", nil, time.Time{}, true},
		{"one", []time.Time{soon}, soon, true},
		{"the last to lift decides", []time.Time{soon, later, soon}, later, true},
		{"one that does not lift", []time.Time{never}, time.Time{}, false},
		{"one of several that does not lift", []time.Time{later, never, soon}, time.Time{}, false},
	} {
		var blocks []gitops.Block
		for _, until := range c.untils {
			blocks = append(blocks, gitops.Block{Kind: gitops.BlockRefused, Until: until})
		}
		if until, byItself := gitops.BlockedUntil(blocks); !until.Equal(c.want) || byItself != c.byItself {
			t.Errorf("%s: until %v, by itself is %t; want %v, %t", c.name, until, byItself, c.want, c.byItself)
		}
	}
}

// An image is missing since the time that its last block says, whether that has lifted, was
// ended, or stands, but not where the registry did not say so.
func TestImageSince(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := since.Add(time.Minute)
	missing := gitops.Block{Kind: gitops.BlockImage, Since: since, Until: since.Add(time.Hour)}
	unknown := gitops.Block{Kind: gitops.BlockImage, Since: since}
	refused := gitops.Block{Kind: gitops.BlockRefused, Since: since, Until: since.Add(time.Hour)}
	for name, c := range map[string]struct {
		reported []gitops.Block
		want     time.Time
	}{
		"nothing":                           {nil, time.Time{}},
		"missing":                           {[]gitops.Block{missing}, since},
		"missing, beside a refusal":         {[]gitops.Block{refused, missing}, since},
		"missing, and ended at once":        {[]gitops.Block{missing.Ended(since)}, since},
		"missing, and ended":                {[]gitops.Block{missing.Ended(now)}, since},
		"the registry does not say":         {[]gitops.Block{unknown}, time.Time{}},
		"it does not say, and that is over": {[]gitops.Block{unknown.Ended(now)}, time.Time{}},
		"refused":                           {[]gitops.Block{refused, refused.Ended(now)}, time.Time{}},
	} {
		if got := gitops.ImageSince(c.reported); !got.Equal(c.want) {
			t.Errorf("%s: since %s; want %s", name, got, c.want)
		}
	}
	for _, b := range []gitops.Block{missing, unknown, refused} {
		if until, byItself := gitops.BlockedUntil([]gitops.Block{b.Ended(now)}); !byItself || until.After(now) {
			t.Errorf("what was ended at %s lifts at %s", now, until)
		}
	}
}

// Only an image's block may say since when, and not from the future.
func TestSinceOr(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	other, before := now.Add(-time.Second), now.Add(-time.Minute)
	for _, c := range []struct {
		b    gitops.Block
		want time.Time
	}{
		{gitops.Block{Kind: gitops.BlockImage, Since: before}, before}, {gitops.Block{Kind: gitops.BlockImage, Since: now}, now},
		{gitops.Block{Kind: gitops.BlockImage, Since: now.Add(1)}, other}, {gitops.Block{Kind: gitops.BlockImage}, other},
		{gitops.Block{Kind: gitops.BlockRefused, Since: before}, other}, {gitops.Block{Kind: gitops.BlockStop, Since: before}, other},
	} {
		if got := c.b.SinceOr(other, now); !got.Equal(c.want) {
			t.Errorf("%+v: since %s; want %s", c.b, got, c.want)
		}
	}
}

// The kinds are the API's, and a metric's labels.
func TestBlockKinds(t *testing.T) {
	if diff := cmp.Diff([]gitops.BlockKind{"refused", "stale", "image", "proposal", "pin", "freeze", "stop", "bad"}, gitops.BlockKinds()); diff != "" {
		t.Error(diff)
	}
}
