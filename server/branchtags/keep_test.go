package branchtags

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A cache that takes over what another one read reads only the files of what is new, and
// those that changed since.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := edit(t, ".tag", "")
		target := func(app string) Target {
			return Target{Environment: "dev", App: app, Files: []File{{app + ".yaml", set}}}
		}
		b := &branch{files: map[string]string{"a.yaml": "tag: v1\n", "b.yaml": "tag: v1\n", "c.yaml": "tag: v1\n"}}
		before := New([]Target{target("a"), target("b")}, b.view, 3*time.Second, b)
		before.BranchTags(t.Context(), time.Time{})
		b.sinceLast()
		now := New([]Target{target("a"), target("b"), target("c")}, b.view, 3*time.Second, b)
		now.Keep(before)
		if apps := now.last.Load().Apps["dev"]; len(apps) != 3 || apps[0].Tag != "v1" || apps[2].Tag != "" {
			t.Errorf("kept: %+v", apps)
		}
		time.Sleep(time.Minute)
		b.push(map[string]string{"b.yaml": "tag: v2\n"})
		got := now.BranchTags(t.Context(), time.Time{}).Apps["dev"]
		if len(got) != 3 || got[0].Tag != "v1" || got[1].Tag != "v2" || got[2].Tag != "v1" {
			t.Errorf("read: %+v", got)
		}
		if _, reads := b.sinceLast(); !cmp.Equal(reads, []string{"b.yaml", "c.yaml"}) {
			t.Errorf("it read %v", reads)
		}
	})
}
