package apphistory

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/guard"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
)

const commitName = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"

// commitOf is what is said of a commit of the app shop to v2, in a file that was before
// and is after it.
func commitOf(t *testing.T, set values.Target, before, after string) (api.Commit, error) {
	t.Helper()
	edit, err := values.Compile([]values.Target{set})
	if err != nil {
		t.Fatal(err)
	}
	r := New(
		func(environment, app string) []File { return []File{{"shop.yaml", edit}} },
		func(ctx context.Context, _, _ string, q history.Query) (history.History, error) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > api.CommitWithin {
				t.Errorf("the git server may take until %s", deadline)
			}
			if q.Tip.String() != commitName || q.Path != "shop.yaml" || q.Commits != 2 {
				t.Errorf("asked for %+v", q)
			}
			read := func(content string) history.Version {
				text, err := q.Read(ctx, content, []byte(content))
				return history.Version{Value: text, Err: err}
			}
			v := read(after)
			v.Commit, v.Author, v.Proof = commitName, git.Signature{Name: "Bot", Email: "bot@example.com"}, "k1"
			return history.History{Versions: []history.Version{v, read(before)}}, nil
		},
		guard.New(1<<30, slog.New(slog.DiscardHandler)),
	)
	return r.Commit(t.Context(), gitops.Update{ID: "u1", App: "shop", Environment: "dev", Tag: "v2", Repository: "host/shop", Commit: commitName})
}

// Of the commit an update shows its own lines, and of a line its own entry: other
// updates, a person's changes and what else stands there are not for its reader.
func TestACommitShowsTheUpdatesOwnChanges(t *testing.T) {
	tag := values.Target{Key: ".image.tag", Value: "{tag}"}
	for name, c := range map[string]struct {
		set           values.Target
		before, after string
		want          []string
	}{
		"a line": {tag, "password: s3cret\nimage:\n  tag: v1\nreplicas: 1\n", "password: s3cret\nimage:\n  tag: v2\nreplicas: 1\n",
			[]string{"-  tag: v1", "+  tag: v2"}},
		"another update, and a person": {tag, "image:\n  tag: v1\nother: v1\npassword: s3cret\n", "image:\n  tag: v2\nother: v2\npassword: s3cret2\n",
			[]string{"-  tag: v1", "+  tag: v2"}},
		"a person adds a line": {tag, "image:\n  tag: v1\n", "password: s3cret\nimage:\n  tag: v2\n",
			[]string{"-  tag: v1", "+  tag: v2"}},
		"a flow mapping": {tag, "image: {password: s3cret, tag: v1, token: s3cret}\n", "image: {password: s3cret, tag: v2, token: s3cret}\n",
			[]string{"-… tag: v1 …", "+… tag: v2 …"}},
		"JSON": {tag, `{"password":"s3cret","image":{"tag":"v1"},"token":"s3cret"}`, `{"password":"s3cret","image":{"tag":"v2"},"token":"s3cret"}`,
			[]string{`-…"tag":"v1" …`, `+…"tag":"v2" …`}},
		"a comment": {tag, "image:\n  tag: v1 # s3cret\n", "image:\n  tag: v2 # s3cret\n", []string{"-  tag: v1 …", "+  tag: v2 …"}},
		"a key that was not there": {values.Target{Key: ".image.tag", Value: "{tag}", Create: true}, "image:\n  name: shop\npassword: s3cret\n", "image:\n  name: shop\n  tag: v2\npassword: s3cret\n",
			[]string{"+  tag: v2"}},
		"of many lines": {tag, "image:\n  tag: v1\n" + strings.Repeat("a: s3cret\n", 1000), "image:\n  tag: v2\n" + strings.Repeat("a: s3cret\n", 1000), []string{"-  tag: v1", "+  tag: v2"}},
	} {
		got, err := commitOf(t, c.set, c.before, c.after)
		want := api.Commit{Update: "u1", Commit: commitName, Author: "Bot <bot@example.com>", Proof: "k1", Files: []api.CommitFile{{File: "shop.yaml", Diff: c.want}}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// What the commit does not have is not shown as its change.
func TestACommitThatIsNotTheUpdatesEdit(t *testing.T) {
	tag := values.Target{Key: ".image.tag", Value: "{tag}"}
	for name, c := range map[string]struct{ before, after, problem string }{
		"another tag":    {"image:\n  tag: v1\n", "image:\n  tag: v3\n", "the commit does not have what the configuration would write now"},
		"another key":    {"image:\n  tag: v2\nold: v1\n", "image:\n  tag: v2\nold: v2\n", "the commit does not have what the configuration would write now"},
		"no such key":    {"a: s3cret\n", "a: v2\n", "the commit does not have what the configuration would write now"},
		"no longer YAML": {"{", "{v2", "the commit does not have what the configuration would write now"},
	} {
		got, err := commitOf(t, tag, c.before, c.after)
		if want := []api.CommitFile{{File: "shop.yaml", Problem: c.problem}}; err != nil || cmp.Diff(want, got.Files) != "" || got.Proof != "k1" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Of an update's files those are shown that the commit changes; what another commit made
// of the others is not its.
func TestACommitOfSeveralFiles(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".tag"}})
	if err != nil {
		t.Fatal(err)
	}
	files := []File{{"a.yaml", edit}, {"b.yaml", edit}, {"c.yaml", edit}}
	changed := map[string]bool{"a.yaml": true, "c.yaml": true}
	away := gitops.Errorf(gitops.Unavailable, "connection failed")
	lost := ""
	r := New(func(string, string) []File { return files }, func(ctx context.Context, _, _ string, q history.Query) (history.History, error) {
		if q.Path == lost {
			return history.History{}, away
		}
		commit := "another"
		if changed[q.Path] {
			commit = commitName
		}
		var versions []history.Version
		for _, content := range []string{"tag: v2\n", "tag: v1 # " + q.Path + "\n"} {
			text, err := q.Read(ctx, content, []byte(content))
			versions = append(versions, history.Version{Commit: commit, Value: text, Err: err})
		}
		return history.History{Versions: versions}, nil
	}, guard.New(1<<30, slog.New(slog.DiscardHandler)))
	u := gitops.Update{App: "shop", Environment: "dev", Tag: "v2", Commit: commitName}
	got, err := r.Commit(t.Context(), u)
	var paths []string
	for _, f := range got.Files {
		paths = append(paths, f.File)
	}
	if diff := cmp.Diff([]string{"a.yaml", "c.yaml"}, paths); err != nil || diff != "" {
		t.Errorf("%v: %s", err, diff)
	}
	lost = "c.yaml"
	if _, err := r.Commit(t.Context(), u); err != away {
		t.Errorf("half of a commit is shown: %v", err)
	}
	lost, changed = "", nil
	if _, err := r.Commit(t.Context(), u); gitops.CodeOf(err) != gitops.NotFound || !strings.Contains(err.Error(), "does not change a.yaml or b.yaml or c.yaml") {
		t.Errorf("a commit of something else: %v", err)
	}
}

func TestACommitThatCannotBeShown(t *testing.T) {
	u := gitops.Update{App: "shop", Environment: "dev", Commit: commitName}
	away := gitops.Errorf(gitops.Unavailable, "connection failed")
	r := reader(t, func(context.Context, history.Query) (history.History, error) { return history.History{}, away })
	if _, err := r.Commit(t.Context(), u); err != away {
		t.Errorf("the git server is away: %v", err)
	}
	other := u
	other.App = "gone"
	if _, err := r.Commit(t.Context(), other); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("not configured: %v", err)
	}
	other = u
	other.Commit = "HEAD"
	if _, err := r.Commit(t.Context(), other); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("not a name: %v", err)
	}
	made := history.Version{Commit: commitName, Value: "image: v2\n"}
	for name, c := range map[string]struct {
		versions []history.Version
		problem  string
	}{
		"of another file":   {[]history.Version{{Commit: "another", Value: "image: v1\n"}}, ""},
		"made the file":     {[]history.Version{made}, "the commit made or removed the whole file"},
		"removed the file":  {[]history.Version{{Commit: commitName, Missing: true}, {Value: "image: v1\n"}}, "the commit made or removed the whole file"},
		"a large file":      {[]history.Version{made, {Value: strings.Repeat("a", maxDiffed+1)}}, "the file is too large to be compared"},
		"too large to read": {[]history.Version{made, {Err: gitops.Errorf(gitops.TooLarge, "large")}}, "the file is too large to be compared"},
		"there is no past":  {nil, ""},
		"the oldest commit": {[]history.Version{made}, "the commit made or removed the whole file"},
	} {
		r.File = func(context.Context, string, string, history.Query) (history.History, error) {
			return history.History{Versions: c.versions}, nil
		}
		got, err := r.Commit(t.Context(), u)
		var want []api.CommitFile
		if c.problem != "" {
			want = []api.CommitFile{{File: "shop-dev.yaml", Problem: c.problem}}
		}
		if (c.problem == "") != (gitops.CodeOf(err) == gitops.NotFound) || cmp.Diff(want, got.Files) != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Two commits are not in memory at once: whoever asks meanwhile waits, as long as that
// may take.
func TestCommitsAreReadOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reading, most := 0, 0
		r := reader(t, func(ctx context.Context, _ history.Query) (history.History, error) {
			reading++
			most = max(most, reading)
			time.Sleep(api.CommitWithin * 2 / 3)
			reading--
			return history.History{}, ctx.Err()
		})
		codes := make(chan gitops.Code, 3)
		for range 3 {
			go func() {
				_, err := r.Commit(t.Context(), gitops.Update{App: "shop", Environment: "dev", Commit: commitName})
				codes <- gitops.CodeOf(err)
			}()
		}
		count := make(map[gitops.Code]int)
		for range 3 {
			count[<-codes]++
		}
		if most != 1 || count[gitops.Unavailable] == 0 || count[gitops.NotFound] == 0 {
			t.Errorf("%d at once, %v", most, count)
		}
	})
}

// changesOf makes one text of the other, whatever both are.
func TestChangesMakeOneOfTheOther(t *testing.T) {
	lines := []string{"a", "b", "c", "d", "e", "f", "a", "b"}
	for before := range 1 << len(lines) {
		for _, after := range []int{0, 1, 0x0f, 0x55, 0xaa, 0xf0, 0xff, before ^ 0x10, before ^ 0x81} {
			a, b := pick(lines, before), pick(lines, after)
			var removed, added []string
			for _, c := range changesOf(strings.Join(a, "\n"), strings.Join(b, "\n")) {
				if c.removed != "" {
					removed = append(removed, c.removed)
				}
				if c.added != "" {
					added = append(added, c.added)
				}
			}
			if left, right := without(a, removed), without(b, added); fmt.Sprint(left) != fmt.Sprint(right) {
				t.Fatalf("of %v and %v are changed %v and %v: %v and %v are left", a, b, removed, added, left, right)
			}
		}
	}
	if got := shown([]lineChange{{added: strings.Repeat("ü", maxShown)}}); len(got) != 1 || got[0] != "+"+strings.Repeat("ü", maxShown/2)+"…" {
		t.Errorf("a long line is shown as %q", got)
	}
	many := strings.Repeat("x\n", maxChanges+1)
	if changesOf(many, strings.Repeat("y\n", maxChanges+1)) != nil || changesOf(many, "z") != nil {
		t.Error("there is no bound")
	}
}

func pick(lines []string, which int) (picked []string) {
	for i, line := range lines {
		if which&(1<<i) != 0 {
			picked = append(picked, line)
		}
	}
	return picked
}

// without is a multiset without another, sorted.
func without(lines, some []string) []string {
	left := slices.Clone(lines)
	for _, line := range some {
		if i := slices.Index(left, line); i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
	}
	slices.Sort(left)
	return left
}
