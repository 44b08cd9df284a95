package git

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// A large directory does not make a page of many commits large.
func TestAPageIsMeasuredByTheOneBefore(t *testing.T) {
	for _, tt := range []struct{ commits, bytes, all, want int }{
		{64, 64 << 10, 64, 4096}, {64, 64 * 85 << 10, 64, 96}, {4096, 1 << 30, 4096, 64}, {0, 0, 0, 64}, {4096, 1 << 20, 9000, 9000},
	} {
		if got := nextPage(tt.commits, tt.bytes, tt.all); got != tt.want {
			t.Errorf("after %d commits of %d bytes come %d, want %d", tt.commits, tt.bytes, got, tt.want)
		}
	}
}

// servers are ways in which servers send parts of a commit.
var servers = map[string][]string{
	"filters":           nil,
	"no filters":        {"uploadpack.allowFilter", "false"},
	"not this filter":   {"uploadpackfilter.tree.allow", "false"},
	"not either filter": {"uploadpackfilter.allow", "false"},
}

func overEachServer(t *testing.T, test func(*testing.T, *origin)) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		for name, setting := range servers {
			t.Run(name, func(t *testing.T) {
				o := newOrigin(t)
				if setting != nil {
					o.git(append([]string{"config"}, setting...)...)
				}
				test(t, o)
			})
		}
	})
}

func (o *origin) revisions(args ...string) map[Hash]bool {
	o.Helper()
	all := make(map[Hash]bool)
	for name := range strings.FieldsSeq(o.git(append([]string{"rev-list"}, args...)...)) {
		h, _ := ParseHash(name)
		all[h] = true
	}
	return all
}

// A search reads commits and nothing else, page by page, whatever the server sends.
func TestAPagerReadsTheWholeHistory(t *testing.T) {
	overEachServer(t, func(t *testing.T, o *origin) {
		o.bury(700, time.Unix(1_700_000_000, 0))
		o.git("repack", "-adq", "--write-bitmap-index")
		r := o.remote()
		a := o.advertised(r, UploadPack)
		for _, withBase := range []bool{true, false} {
			pages := Pages{Tip: a.Tip, Capabilities: a.Capabilities, Filter: FilterTrees, Keep: OnlyCommits, First: 100, Most: 100_000}
			if withBase {
				pages.Base, pages.BaseCommit = a.Tip, o.parsed(a.Tip)
			}
			p := NewPager(r, pages)
			n := 0
			for ; p.More(); n++ {
				fetched, err := p.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for name, o := range fetched {
					if o.Kind != KindCommit {
						t.Fatalf("%s %s was kept", o.Kind, name)
					}
				}
			}
			if want := o.revisions("main"); len(p.Commits) != len(want) {
				t.Errorf("%d commits, want %d", len(p.Commits), len(want))
			}
			if n != 2 {
				t.Errorf("%d pages, want 2", n)
			}
		}
	})
}

func (o *origin) parsed(name Hash) Commit {
	o.Helper()
	c, err := ParseCommit([]byte(o.git("cat-file", "commit", name.String()) + "\n"))
	if err != nil {
		o.Fatal(err)
	}
	return c
}

// A pager ends where it was told to, and says so.
func TestAPagerEndsAtItsBound(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.bury(100, time.Unix(1_700_000_000, 0))
	r := o.remote()
	a := o.advertised(r, UploadPack)
	p := NewPager(r, Pages{Tip: a.Tip, Capabilities: a.Capabilities, Filter: FilterTrees, Keep: OnlyCommits, First: 10, Most: 30})
	for p.More() {
		if _, err := p.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	complete := p.Commits.Walk(a.Tip, nil, time.Time{}, func(Hash, Commit) {})
	if len(p.Commits) < 30 || len(p.Commits) > 40 || complete {
		t.Errorf("%d commits, complete %t", len(p.Commits), complete)
	}
}

// What came onto a branch since a commit that is here is found, however much it is.
func TestAPagerReadsWhatCameSince(t *testing.T) { overEachServer(t, testAPagerReadsWhatCameSince) }

func testAPagerReadsWhatCameSince(t *testing.T, o *origin) {
	o.bury(20, time.Unix(1_700_000_000, 0))
	old := o.hash("main")
	o.bury(60, time.Unix(1_700_100_000, 0))
	r := o.remote()
	a := o.advertised(r, UploadPack)
	p := NewPager(r, Pages{
		Tip: a.Tip, Capabilities: a.Capabilities, Base: old, BaseCommit: o.parsed(old), Filter: FilterTrees, Keep: OnlyCommits, First: 16, Most: 1000,
	})
	since := make(Commits)
	for !p.Commits.Walk(a.Tip, p.Commits.Ancestors(old), time.Time{}, since.Add) {
		if !p.More() {
			t.Fatal("the way to the old tip was not found")
		}
		if _, err := p.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		clear(since)
	}
	if want := o.revisions("main", "^"+old.String()); len(since) != len(want) {
		t.Errorf("%d commits came since, want %d", len(since), len(want))
	}
}

// A search ends at its time, or at the bound of its pages with the time that it reached.
func TestAPagerReadsSinceATime(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	from := time.Unix(1_700_000_000, 0)
	o.bury(400, from)
	r := o.remote()
	a := o.advertised(r, UploadPack)
	search := func(most int, since time.Time) (*Pager, Commits, time.Time) {
		p := NewPager(r, Pages{Tip: a.Tip, Capabilities: a.Capabilities, Filter: FilterTrees, Keep: OnlyCommits, First: 128, Most: most})
		found, reached, err := p.Since(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range p.Commits {
			if _, ok := found[name]; !ok && found != nil && !c.Made.Before(reached) {
				t.Errorf("since %s the commit %s of %s was not found", reached, name, c.Made)
			}
		}
		return p, found, reached
	}
	since := from.Add(390 * time.Minute)
	if p, _, reached := search(10_000, since); !reached.Equal(since) || len(p.Commits) > 200 {
		t.Errorf("reached %s in %d commits", reached, len(p.Commits))
	}
	if _, found, reached := search(200, from); len(found) == 0 || !reached.After(from) || reached.After(from.Add(390*time.Minute)) {
		t.Errorf("%d commits back to %s, where 200 are read", len(found), reached)
	}
	if _, found, _ := search(20, from); found != nil {
		t.Errorf("%d commits, of 20 that say nothing about a time", len(found))
	}
}

// What a server left out because it took it to be here comes when all is read again.
func TestAPagerReadsAgain(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.bury(100, time.Unix(1_700_000_000, 0))
	r := o.remote()
	a := o.advertised(r, UploadPack)
	p := NewPager(r, Pages{Tip: a.Tip, Capabilities: a.Capabilities, Filter: FilterBlobs, First: 10, Most: 1000})
	for range 2 {
		if _, err := p.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	again, err := p.Again(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range p.Commits {
		if _, ok := again[name]; !ok {
			t.Errorf("the commit %s did not come again", name)
		}
		if _, ok := again[c.Tree]; !ok {
			t.Errorf("the tree %s did not come again", c.Tree)
		}
	}
}

// What is held comes as what differs from it: a large directory in a few bytes.
func TestAPagerAsksForDeltasOfWhatIsHeld(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		files := make(map[string]string)
		for n := range 1000 {
			files[fmt.Sprintf("charts/app-%04d/values.yaml", n)] = file(n, "none")
		}
		o.commit(gitserver.Change{Files: files})
		r := o.remote()
		a := o.advertised(r, UploadPack)
		first, err := NewPager(r, Pages{Tip: a.Tip, Capabilities: a.Capabilities, Filter: FilterBlobs, First: 1, Most: 1}).Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		base := o.parsed(a.Tip)
		root, err := NewDirectory(base.Tree, first, NewIndex(nil), 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		o.commit(gitserver.Change{Files: map[string]string{"charts/app-0500/values.yaml": file(500, "next")}})
		pages := Pages{Tip: o.advertised(r, UploadPack).Tip, Base: a.Tip, BaseCommit: base, Capabilities: a.Capabilities, Filter: FilterBlobs, First: 16, Most: 16}
		read := func() (objects, bytes int) {
			o.server.ResetCounts()
			fetched, err := NewPager(r, pages).Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(fetched), int(o.server.Counts().BytesOut)
		}
		objects, whole := read()
		pages.Held = NewIndex(root).Object
		same, thin := read()
		if same != objects || thin > whole/10 {
			t.Errorf("%d objects in %d bytes, and %d in %d without what is held", same, thin, objects, whole)
		}
	})
}

// A server that offers filters and does not apply one is not asked for it again, and
// what it said is known.
func TestAPagerKnowsWhyPagesAreWhole(t *testing.T) {
	t.Parallel()
	for name, setting := range servers {
		o := newOrigin(t)
		if setting != nil {
			o.git(append([]string{"config"}, setting...)...)
		}
		o.bury(100, time.Unix(1_700_000_000, 0))
		r := o.remote()
		a := o.advertised(r, UploadPack)
		p := NewPager(r, Pages{Tip: a.Tip, Capabilities: a.Capabilities, Filter: FilterTrees, First: 10, Most: 1000})
		o.server.ResetCounts()
		for range 2 {
			if _, err := p.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		refuses := strings.HasPrefix(name, "not ")
		want := map[bool]int{true: 3, false: 2}[refuses]
		if n := o.server.Counts().Requests[gitserver.Fetch]; n != want || (p.Unfiltered != nil) != refuses {
			t.Errorf("%s: %d fetches, want %d; it said %v", name, n, want, p.Unfiltered)
		}
	}
}
