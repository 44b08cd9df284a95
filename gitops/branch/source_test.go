package branch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
)

const shop, cart = "charts/shop/values.yaml", "charts/cart/values.yaml"

// site is a real git server with a repository, and a guard that nobody may enter twice.
type site struct {
	*testing.T
	server  *gitserver.Server
	repo    *gitserver.Repository
	within  bool
	refusal error
	entered []string // objects
}

func newSite(t *testing.T, whole bool) *site {
	t.Helper()
	server, repo := gittest.Start(t, "manifests.git")
	s := &site{T: t, server: server, repo: repo}
	if whole {
		for _, setting := range []string{"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"} {
			gittest.Git(t, repo, "config", setting, "false")
		}
	}
	s.commit(map[string]string{shop: "tag: one\n", cart: "tag: none\n", "README.md": "Manifests\n"})
	return s
}

// overBoth runs a test against a server that sends single files, and one that sends them
// with their commits alone.
func overBoth(t *testing.T, test func(*site)) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprintf("whole %t", whole), func(t *testing.T) { t.Parallel(); test(newSite(t, whole)) })
	}
}

func (s *site) commit(files map[string]string) git.Hash {
	s.Helper()
	name, err := s.repo.Commit(gitserver.Change{Files: files})
	if err != nil {
		s.Fatal(err)
	}
	hash, ok := git.ParseHash(name)
	if !ok {
		s.Fatal(name)
	}
	return hash
}

// Enter implements [branch.Guard].
func (s *site) Enter(_ context.Context, o gitops.ParsedObject, _ int64, _ bool) (func(), error) {
	if s.within {
		s.Error("entered twice: of a suspect the second waits for the first")
	}
	if s.refusal != nil {
		return nil, s.refusal
	}
	s.within, s.entered = true, append(s.entered, o.Object)
	return func() { s.within = false }, nil
}

func (s *site) source(change ...func(*branch.Config)) *branch.Source {
	s.Helper()
	remote, err := git.NewRemote(git.Config{URL: s.repo.URL})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(remote.Close)
	c := branch.Config{
		Branch: "main", Files: func() []string { return []string{shop} }, Guard: s,
		Limits: branch.Limits{FileBytes: 1 << 20, Bytes: func() int64 { return 8 << 20 }, History: 1000},
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	for _, f := range change {
		f(&c)
	}
	return branch.New(c, remote)
}

func (s *site) load(source *branch.Source) *branch.Snapshot {
	s.Helper()
	loaded, err := source.Load(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return loaded
}

// says checks a file's content; "" is that it is not here.
func (s *site) says(of *branch.Snapshot, path, want string) {
	s.Helper()
	f, err := of.File(path)
	if err != nil {
		s.Fatal(err)
	}
	content, here, refused := f.Content()
	if string(content) != want || here != (want != "") || refused != nil {
		s.Errorf("%s: got %q, here %t, %v; want %q", path, content, here, refused, want)
	}
}

// The tip is loaded with the files that matter; others come when they are asked for.
func TestLoadAndFetchFiles(t *testing.T) {
	overBoth(t, func(s *site) {
		source := s.source()
		if source.Asked() {
			t.Error("the server was asked before anything was")
		}
		loaded := s.load(source)
		s.says(loaded, shop, "tag: one\n")
		s.says(loaded, cart, "")
		if err := source.FetchFiles(t.Context(), loaded, []string{cart, shop, "charts/gone.yaml"}); err != nil {
			t.Fatal(err)
		}
		s.says(loaded, cart, "tag: none\n")
		if _, err := loaded.File("charts/gone.yaml"); gitops.CodeOf(git.PublicError(err)) != gitops.NotFound {
			t.Errorf("a file that is not there: %v", err)
		}
		if tip, err := source.FetchTip(t.Context()); err != nil || tip != loaded.Tip || !source.Asked() || s.within {
			t.Errorf("the tip is %s, %v, and %s was loaded", tip, err, loaded.Tip)
		}
		s.server.ResetCounts()
		if err := source.FetchFiles(t.Context(), loaded, []string{cart}); err != nil || s.server.Counts().Total() > 0 {
			t.Errorf("what is here is asked for: %v", err)
		}
	})
}

// A catch-up brings what changed and the commits between; the snapshot of before stays.
func TestCatchUp(t *testing.T) {
	overBoth(t, func(s *site) {
		source := s.source()
		before := s.load(source)
		between := s.commit(map[string]string{shop: "tag: two\n"})
		tip := s.commit(map[string]string{"README.md": "more\n"})
		after, commits, err := source.CatchUp(t.Context(), before, tip)
		if err != nil {
			t.Fatal(err)
		}
		if _, there := commits[between]; !there {
			t.Errorf("the commits are %v, without %s", commits, between)
		}
		if err := source.FetchFiles(t.Context(), after, []string{shop}); err != nil {
			t.Fatal(err)
		}
		s.says(after, shop, "tag: two\n")
		s.says(before, shop, "tag: one\n")
		if after.Tip != tip || s.within {
			t.Errorf("the snapshot is of %s, want %s", after.Tip, tip)
		}
	})
}

// Of an older commit come the trees, and the guard is not asked.
func TestAtAndSearch(t *testing.T) {
	overBoth(t, func(s *site) {
		source := s.source()
		old := s.load(source)
		tip := s.commit(map[string]string{shop: "tag: two\n"})
		loaded, _, err := source.CatchUp(t.Context(), old, tip)
		if err != nil {
			t.Fatal(err)
		}
		entered := len(s.entered)
		at, err := source.At(t.Context(), old.Tip)
		if err != nil || at.Tip != old.Tip || len(s.entered) != entered {
			t.Fatalf("got %+v, %v", at, err)
		}
		s.says(at, shop, "")
		found, reached, err := source.Search(t.Context(), loaded, time.Unix(0, 0))
		if _, there := found[old.Tip]; err != nil || !there || reached.After(time.Unix(0, 0)) {
			t.Errorf("found %v back to %s, %v", found, reached, err)
		}
	})
}

// A file that is too large, or has no room beside the others, is refused by itself.
func TestFilesBeyondTheLimits(t *testing.T) {
	overBoth(t, func(s *site) {
		large := strings.Repeat("#\n", 3000)
		s.commit(map[string]string{cart: large, "charts/larger.yaml": large + large})
		source := s.source(func(c *branch.Config) {
			c.Limits.FileBytes = 10_000
			c.Files = func() []string { return []string{shop, cart, "charts/larger.yaml"} }
		})
		loaded := s.load(source)
		s.says(loaded, shop, "tag: one\n")
		s.says(loaded, cart, large)
		f, err := loaded.File("charts/larger.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, here, refused := f.Content(); !here || gitops.CodeOf(refused) != gitops.TooLarge || !strings.Contains(refused.Error(), "limits.file.bytes") {
			t.Errorf("here %t, refused: %v", here, refused)
		}
	})
}

// What is set aside is not asked for, and no update is at fault.
func TestASetAsideTipIsAnOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	source := s.source()
	loaded := s.load(source)
	tip := s.commit(map[string]string{shop: "tag: two\n"})
	s.refusal = gitops.Errorf(gitops.Rejected, "it is set aside")
	s.server.ResetCounts()
	_, fresh := s.source().Load(t.Context())
	_, _, behind := source.CatchUp(t.Context(), loaded, tip)
	files := source.FetchFiles(t.Context(), loaded, []string{cart})
	for _, err := range []error{fresh, behind, files} {
		if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "set aside") {
			t.Errorf("got %v, want unavailable, with the reason", err)
		}
	}
	if n := s.server.Counts().Requests[gitserver.Fetch]; n != 0 {
		t.Errorf("%d fetches", n)
	}
	s.refusal = errors.New("the store is away")
	if err := source.FetchFiles(t.Context(), loaded, []string{cart}); !errors.Is(err, s.refusal) {
		t.Errorf("got %v, want %v", err, s.refusal)
	}
}
