package values_test

import (
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// nearly are files of shapes that take most for their size, each a quarter of what is
// allowed.
var nearly = map[string]func() string{
	"flow list":        func() string { return "image: {tag: v1}\nl: [" + strings.Repeat("a,", 50_000) + "]\n" },
	"quoted strings":   func() string { return `{"image":{"tag":"v1"},"l":[` + strings.Repeat(`"a",`, 33_000) + `"a"]}` },
	"flow maps":        func() string { return "image: {tag: v1}\nl: [" + strings.Repeat("{a: b},", 16_000) + "]\n" },
	"block maps":       func() string { return "image: {tag: v1}\nl:\n" + strings.Repeat("- a:\n", 16_000) },
	"keys":             func() string { return "image: {tag: v1}\n" + repeat("k%d: a\n", 25_000) },
	"kustomize images": func() string { return "image: {tag: v1}\nimages:\n" + repeat("- name: a%d\n  newTag: b\n", 10_000) },
	"anchors":          func() string { return "image: {tag: v1}\nl: [" + repeat("&a%d a,", 25_000) + "]\n" },
	"comments":         func() string { return "image: {tag: v1}\n" + repeat("#\nk%d: a #b\n#c\n", 12_000) },
	"tags": func() string {
		return "%TAG !e! " + strings.Repeat("x", 180) + ":\n---\nimage: {tag: v1}\nl: [" + strings.Repeat("!e!a a,", 33_000) + "]\n"
	},
	"aliases": func() string { return "x: &a {a: 1}\nimage: {tag: v1}\nl: [" + strings.Repeat("*a,", 16_000) + "]\n" },
	"a merge key": func() string {
		return "a: &a {" + repeat("k%d: a,", 3000) + "}\nimage: {tag: v1}\n" + repeat("x%d: {<<: *a}\n", 10)
	},
	"empty lines": func() string { return "image: {tag: v1}\n" + strings.Repeat("\n", 1_000_000) },
	"one scalar":  func() string { return "image: {tag: v1}\nx: " + strings.Repeat("a", 1_000_000) },
}

// What an edit holds at a time is no more than the file's cost, which the memory for
// parsing is shared out by.
func TestNoFileTakesMoreThanItsCost(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	for name, make := range nearly {
		file := []byte(make())
		cost := values.Measure(file).Cost()
		held := mostHeld(func() {
			if _, changed, err := edit.Apply(file, values.Vars{Tag: "v2"}); err != nil || !changed {
				t.Errorf("%s: %v", name, err)
			}
		})
		t.Logf("%s: %d KiB, %d nodes, cost %d KiB, held %d KiB", name, len(file)>>10, values.Measure(file).Nodes, cost>>10, held>>10)
		if held > cost {
			t.Errorf("%s: %d KiB are held, and the cost is %d KiB", name, held>>10, cost>>10)
		}
	}
}

// mostHeld is how much more the heap holds at most while work runs, as collections of
// garbage find it: often enough that little is missed.
func mostHeld(work func()) (most int64) {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, int64(now.HeapAlloc)-int64(before.HeapAlloc))
			}
		}
	})
	work()
	close(done)
	watching.Wait()
	return most
}

// Aliases are counted by what they stand for, before anything is put in their places;
// and what is within itself, or too deep, is refused before anything walks over it.
func TestWhatAliasesStandForIsBounded(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		want values.Refusal
	}{
		"ten times ten times":  {laughs(7), values.FileTooLarge},
		"merged into each":     {"a: &a {" + repeat("k%d: a,", 20_000) + "}\nimage: {tag: v1}\n" + repeat("x%d: {<<: *a}\n", 20), values.FileTooLarge},
		"within itself":        {"a: &a [*a]\nimage: {tag: v1}\n", values.NotYAML},
		"merged into itself":   {"a: &a {<<: *a}\nimage: {tag: v1}\n", values.NotYAML},
		"lists in lists":       {"image: {tag: v1}\nl: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), values.FileTooLarge},
		"JSON in JSON":         {`{"image":{"tag":"v1"},"l":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", values.FileTooLarge},
		"lists without an end": {"image: {tag: v1}\nl: " + strings.Repeat("[", 100_000), values.NotYAML},
		"dashes in one line":   {"image: {tag: v1}\nl:\n" + strings.Repeat("- ", 100_000), values.NotYAML},
		"keys in one line":     {"image: {tag: v1}\nl:\n" + strings.Repeat("? ", 100_000), values.NotYAML},
		"a long directive":     {"%TAG !e! " + strings.Repeat("x", 100_000) + "\n---\nimage: {tag: v1}\nl: [!e!a a]\n", values.FileTooLarge},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := edit.Apply([]byte(c.file), values.Vars{Tag: "v2"})
		_, readErr := values.Read([]byte(c.file), values.Limits{})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, c.want) || !errors.Is(readErr, c.want) {
			t.Errorf("%s: %v; read: %v; want %s", name, err, readErr, c.want)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<20 {
			t.Errorf("%s: %d KiB were allocated", name, allocated>>10)
		}
	}
	if _, changed, err := edit.Apply([]byte(laughs(3)), values.Vars{Tag: "v2"}); err != nil || !changed {
		t.Errorf("aliases that stand for a thousand values: %v", err)
	}
}

// laughs has so many lists of ten aliases each of the one before.
func laughs(levels int) string {
	var b strings.Builder
	b.WriteString("image: {tag: v1}\na0: &a0 [1,1,1,1,1,1,1,1,1,1]\n")
	for n := 1; n < levels; n++ {
		name, below := "a"+string(rune('0'+n)), "*a"+string(rune('0'+n-1))
		b.WriteString(name + ": &" + name + " [" + strings.Repeat(below+",", 10) + "]\n")
	}
	return b.String()
}
