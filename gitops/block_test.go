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

// The kinds are the API's, and a metric's labels.
func TestBlockKinds(t *testing.T) {
	if diff := cmp.Diff([]gitops.BlockKind{"refused", "stale", "image", "pin", "freeze", "stop", "bad"}, gitops.BlockKinds()); diff != "" {
		t.Error(diff)
	}
}
