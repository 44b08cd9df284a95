package acts

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What undoes a pin or a rollback brings back what was there, a pin included, as far as its
// time is not over.
func TestWhatUndoesAPin(t *testing.T) {
	pin := gitops.Hold{ID: "h9", Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.0", Since: friday}
	mark := gitops.Hold{Kind: gitops.HoldBad, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1"}
	over := pinned
	over.Until = friday
	again := Again(pinned, friday)
	back := func(from, to string, holds ...gitops.Hold) Rollback {
		return Rollback{From: from, To: to, Holds: holds}
	}
	for name, c := range map[string]struct{ got, want string }{
		"nothing was ordered":          {Unpin(pin, nil, "1.4.0"), "tallyman unpin api --env prod"},
		"the tag was ordered":          {Unpin(pin, nil, "1.4.2"), "tallyman unpin api --env prod && tallyman update api 1.4.2 --env prod"},
		"what was there is not known":  {Unpin(pin, nil, ""), "tallyman unpin api --env prod"},
		"a pin was there":              {Unpin(pin, []gitops.Hold{pinned}, "1.4.1"), again},
		"its tag had been passed":      {Unpin(pin, []gitops.Hold{pinned}, "1.4.2"), "tallyman unpin api --env prod && tallyman update api 1.4.2 --env prod"},
		"a pin that is over":           {Unpin(pin, []gitops.Hold{over}, "1.4.1"), "tallyman unpin api --env prod && tallyman update api 1.4.1 --env prod"},
		"back from a pinned tag":       {back("1.4.1", "1.4.0", pin, mark).Forward("prod", "api", []gitops.Hold{pinned}), "tallyman unmark-bad api 1.4.1 --env prod && " + again},
		"back from it, without a mark": {back("1.4.1", "1.4.0", pin).Forward("prod", "api", []gitops.Hold{pinned}), again},
		"back from another tag":        {back("1.4.2", "1.4.0", pin).Forward("prod", "api", []gitops.Hold{pinned}), "tallyman unpin api --env prod && tallyman update api 1.4.2 --env prod"},
		"back to what is there":        {back("1.4.0", "1.4.0", pin).Forward("prod", "api", nil), "tallyman unpin api --env prod"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}
