package handedit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// object writes a commit as it is.
func (o *origin) object(commit string) string {
	o.Helper()
	name := filepath.Join(o.TempDir(), "commit")
	if err := os.WriteFile(name, []byte(commit), 0o600); err != nil {
		o.Fatal(err)
	}
	return o.git("hash-object", "-t", "commit", "-w", "--literally", name)
}

// A search that ends before it has found the commit takes the newest change of the file for
// it, and without one says that it is nobody's in particular. It never says that a tag is
// tallyman's which it has not seen it write.
func TestASearchThatEndsBeforeTheCommit(t *testing.T) {
	t.Parallel()
	more := func(o *origin) string {
		return o.commit(gitserver.Change{Message: "more", Files: map[string]string{path: file("v2") + "more: 1\n"}})
	}
	large := func(o *origin) { // more commits than there is memory for
		text := strings.Repeat("0123456789abcdef", 1<<14)
		var b strings.Builder
		for i := range 20 {
			message := fmt.Sprint(i, text)
			fmt.Fprintf(&b, "commit refs/heads/main\ncommitter Another <another@example.com> 1700000000 +0000\ndata %d\n%s\n", len(message), message)
			if i == 0 {
				b.WriteString("from refs/heads/main^0\n")
			}
		}
		if err := o.repo.Import(strings.NewReader(b.String())); err != nil {
			o.Fatal(err)
		}
	}
	const memory = 8 << 20
	for name, c := range map[string]struct {
		make func(o *origin) (by string) // "" for nobody in particular, "tallyman" for ours
	}{
		"the file was changed since": {func(o *origin) string { large(o); return more(o) }},
		"it was not":                 {func(o *origin) string { large(o); return "" }},
		"tallyman wrote the app since": {func(o *origin) string {
			large(o)
			o.written("prod", "shop", map[string]string{"x": "1"})
			return "tallyman"
		}},
		"and then the file was changed": {func(o *origin) string {
			large(o)
			o.written("prod", "shop", map[string]string{"x": "1"})
			return more(o)
		}},
		"tallyman wrote another app in it": {func(o *origin) string {
			large(o)
			o.written("prod", "cart", map[string]string{path: file("v2") + "a: 1\n"})
			return ""
		}},
		"one claims that tallyman wrote it": {func(o *origin) string {
			large(o)
			o.commit(gitserver.Change{Message: "x\n\n" + trailers("prod", "shop")})
			return ""
		}},
		"the server has no more than a part": {func(o *origin) string { o.bury(100); o.shallow(50); return "" }},
		"... with a change of the file":      {func(o *origin) string { o.bury(100); by := more(o); o.shallow(50); return by }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			o.byHand("fix", "v2")
			by := c.make(o)
			a, err := o.finder(memory, time.Minute).Find(t.Context(), question)
			if err != nil || a.Tip != o.tip() || a.ByHand != (by != "tallyman") {
				t.Fatalf("got %+v, %v", a, err)
			}
			if n := o.server.Counts().Requests[gitserver.Fetch]; n > 6 {
				t.Errorf("%d requests, and no page has more after the first ones", n)
			}
			want := gitops.HandEdit{Tag: a.Edit.Tag}
			switch by {
			case "":
				want.Author = handedit.Nobody
			case "tallyman":
			default:
				want = o.made(a.Edit.Tag, by)
			}
			if a.Edit != want {
				t.Errorf("the edit is %+v, want %+v", a.Edit, want)
			}
		})
	}
}

// shallow makes the repository one that has only so many commits.
func (o *origin) shallow(depth int) {
	o.Helper()
	o.server.ResetCounts()
	oldest := o.git("rev-parse", fmt.Sprintf("main~%d", depth))
	if err := os.WriteFile(filepath.Join(o.repo.Dir, "shallow"), []byte(oldest+"\n"), 0o600); err != nil {
		o.Fatal(err)
	}
}

// A server that answers, and then no more, is waited for only so long; one that does not
// answer at all is an outage.
func TestASearchEndsInTime(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	by := o.byHand("fix", "v2")
	o.bury(10)
	never := make(chan struct{})
	defer close(never)
	for n, c := range []struct {
		fetches int // that are answered
		outage  bool
	}{{0, true}, {1, false}} {
		left := c.fetches
		o.server.Heal()
		o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Times: -1, Wait: never, When: func() bool { left--; return left < 0 }})
		a, err := o.finder(40<<20, 500*time.Millisecond).Find(t.Context(), question)
		switch {
		case c.outage && gitops.CodeOf(err) != gitops.Unavailable:
			t.Errorf("%d: %+v, %v, want an outage", n, a, err)
		case !c.outage && (err != nil || a.Edit.Commit != by || !a.ByHand):
			t.Errorf("%d: %+v, %v, want %s", n, a, err, by)
		}
	}
}
