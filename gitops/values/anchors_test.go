package values_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// randomAnchors writes small documents full of anchors, aliases and merge keys.
type randomAnchors struct {
	*rand.Rand
	names []string // of the anchors so far
	maps  []string // those of maps
	count int
}

func (r *randomAnchors) document() string {
	var b strings.Builder
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		fmt.Fprintf(&b, "%s: %s\n", key, r.node(3))
	}
	return b.String()
}

func (r *randomAnchors) node(depth int) string {
	if len(r.names) > 0 && r.IntN(4) == 0 {
		return "*" + r.names[r.IntN(len(r.names))] + " "
	}
	anchor, name := "", ""
	if r.IntN(2) == 0 {
		name = fmt.Sprintf("n%d", r.count)
		anchor = "&" + name + " "
		r.count++
	}
	text := anchor + r.content(depth)
	if name != "" { // not before: an anchor must not be used within its own node
		r.names = append(r.names, name)
		if strings.HasPrefix(text, anchor+"{") {
			r.maps = append(r.maps, name)
		}
	}
	return text
}

func (r *randomAnchors) content(depth int) string {
	kind := r.IntN(8)
	switch {
	case depth == 0 || kind == 0:
		return []string{"v0", "v1", "1.10", `"v0"`}[r.IntN(4)]
	case kind == 1:
		return "[" + r.node(depth-1) + ", " + r.node(depth-1) + "]"
	}
	var pairs []string
	if r.IntN(4) == 0 {
		pairs = r.merge(pairs)
	}
	for _, key := range []string{"tag", "x", "z"} {
		if r.IntN(2) == 0 {
			pairs = append(pairs, key+": "+r.node(depth-1))
		}
	}
	if r.IntN(4) == 0 && (len(pairs) == 0 || !strings.HasPrefix(pairs[0], "<<")) {
		pairs = r.merge(pairs)
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// merge adds a merge key, when there is a map to merge.
func (r *randomAnchors) merge(pairs []string) []string {
	if len(r.maps) == 0 {
		return pairs
	}
	merge := "*" + r.maps[r.IntN(len(r.maps))]
	if r.IntN(3) == 0 {
		merge = "[" + merge + ", *" + r.maps[r.IntN(len(r.maps))] + "]"
	}
	return append(pairs, "<<: "+merge+" ")
}

// However values are shared, an edit changes its own path and no other for both
// readers, or it lets them follow and names each, or it is refused.
func TestSharedValuesChangeByNameAlone(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(6000) {
		r := &randomAnchors{Rand: rand.New(rand.NewPCG(seed, 7))}
		file := []byte(r.document())
		steps := []string{string("abcde"[r.IntN(5)])}
		for range r.IntN(3) {
			steps = append(steps, []string{"tag", "x", "z"}[r.IntN(3)])
		}
		target := values.Target{Key: "." + strings.Join(steps, "."), Create: r.IntN(4) == 0, Anchor: []string{"", "follow"}[r.IntN(2)]}
		edit, err := values.Compile([]values.Target{target})
		if err != nil {
			t.Fatal(err)
		}
		result, err := edit.Set(file, values.Vars{Tag: "v2"})
		var refusal values.Refusal
		switch {
		case errors.As(err, &refusal):
			outcomes[string(refusal)]++
			continue
		case err != nil:
			t.Fatal(err)
		}
		outcomes["edited "+target.Anchor]++
		var want, union []string
		for _, p := range result.Paths {
			want = append(want, "0"+strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(p))
		}
		judged := true
		for _, leavesOf := range []func([]byte) (map[string]any, error){helmLeaves, coreLeaves} {
			paths, err := judgeBy(leavesOf, file, result.Text, "v2")
			judged = judged && !errors.Is(err, errUnjudged)
			if err != nil && !errors.Is(err, errUnjudged) || target.Anchor == "" && len(paths) > 1 {
				t.Fatalf("seed %d, %+v\n%s\nbecame\n%s\n%v: %v", seed, target, file, result.Text, err, paths)
			}
			union = append(union, paths...) // a merge below a key overrides it for Helm alone
		}
		slices.Sort(want)
		slices.Sort(union)
		if union = slices.Compact(union); judged && !slices.Equal(union, want) || !slices.Contains(want, "0/"+strings.Join(steps, "/")) {
			t.Fatalf("seed %d, %+v\n%s\nbecame\n%s\n%v and not %v", seed, target, file, result.Text, union, want)
		}
	}
	t.Log(outcomes)
	if outcomes["edited "] < 100 || outcomes["edited follow"] < 100 || outcomes["shared_anchor"] < 50 {
		t.Errorf("too few of a kind: %v", outcomes)
	}
}
