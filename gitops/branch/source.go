package branch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// Snapshot is the branch's tip as it was last seen or made: every tree, and of the
// files those that were needed. It never changes, but for the content of files,
// which comes when it is needed.
//
// A snapshot may be behind the server at any time. What is decided on it counts
// only after the server has confirmed that the tip is still this one: by taking a
// push that names it as the old value, or by being asked.
type Snapshot struct {
	Tip  git.Hash
	Head git.Commit // the tip's commit
	Root *git.Directory
}

// Source reads the branch over one connection. It belongs to one goroutine.
type Source struct {
	Config
	Remote git.Remote

	caps  map[string]string // upload-pack's; nil until it was asked
	whole bool              // the server sends files only together with their commit
	held  int64             // bytes of files that were kept since all of them were counted last
}

// New makes a source that has asked nothing yet.
func New(c Config, remote git.Remote) *Source { return &Source{Config: c, Remote: remote} }

// Asked reports whether the server has told what it can do: before, it cannot be asked for
// files.
func (s *Source) Asked() bool { return s.caps != nil }

// MaxTries is how often something is asked again because the branch moved on before the
// server was asked for it.
const MaxTries = 3

// Load makes a snapshot of the branch out of nothing.
func (s *Source) Load(ctx context.Context) (*Snapshot, error) {
	for tries := 1; ; tries++ {
		tip, err := s.FetchTip(ctx)
		if err != nil {
			return nil, err
		}
		loaded, err := s.loadTip(ctx, tip)
		if err == nil || !git.UnknownToServer(err) || tries == MaxTries {
			return loaded, err
		}
	}
}

// FetchTip asks where the branch is, as one who fetches.
func (s *Source) FetchTip(ctx context.Context) (git.Hash, error) {
	a, err := s.Remote.Refs(ctx, git.UploadPack, s.Branch)
	if err == nil {
		err = a.CanFetch(s.Branch)
	}
	if err != nil {
		return git.Hash{}, err
	}
	s.caps = a.Capabilities
	if !a.Can("filter") {
		s.wantWhole(ctx, "the git server does not send a part of a commit", nil)
	}
	return a.Tip, nil
}

// wantWhole gives up asking for parts of a commit: from now on files come with it,
// and those that are not needed are dropped here.
func (s *Source) wantWhole(ctx context.Context, why string, cause error) {
	if s.whole {
		return
	}
	s.whole = true
	attrs := []any{"why", why}
	if cause != nil {
		attrs = append(attrs, "error", cause)
	}
	s.Logger.WarnContext(ctx, "every file of the branch is fetched, not only those that updates can change", attrs...)
}

// enter asks the guard before what the server sends of a commit is parsed. Who has
// entered must not enter again before it has left: a suspect is parsed by one who has all
// of the guard's memory.
func (s *Source) enter(ctx context.Context, tip git.Hash) (leave func(), err error) {
	return s.Guard.Enter(ctx, gitops.ParsedObject{Object: tip.String(), Kind: gitops.ParsedPack, Path: s.Branch}, 0, true)
}

// loadTip makes a snapshot of a tip out of nothing.
func (s *Source) loadTip(ctx context.Context, tip git.Hash) (*Snapshot, error) {
	leave, err := s.enter(ctx, tip)
	if err != nil {
		return nil, outage(err)
	}
	defer leave()
	return s.loadEntered(ctx, tip)
}

func (s *Source) loadEntered(ctx context.Context, tip git.Hash) (*Snapshot, error) {
	loaded, _, err := s.read(ctx, git.Pages{Tip: tip, First: 1, Most: 1, MaxBytes: s.Limits.directories()}, nil)
	if err != nil {
		return nil, err
	}
	s.Logger.DebugContext(ctx, "branch fetched", "commit", tip.String())
	return loaded, s.fetchFiles(ctx, loaded, s.Files())
}

// CatchUpDepth is how many commits a catch-up brings, counted from the new tip.
// It is enough for what usually happens between two pushes, so that one request
// both moves the snapshot and shows whose commits came in between. Behind the
// old tip it brings a few that are known; they cost some hundred bytes each.
const CatchUpDepth = 16

// CatchUp makes a snapshot of another tip from one that is held, and returns the
// commits that came with it, and the old tip's; none when the server left objects out,
// and the branch was fetched from nothing.
func (s *Source) CatchUp(ctx context.Context, from *Snapshot, tip git.Hash) (*Snapshot, git.Commits, error) {
	leave, err := s.enter(ctx, tip)
	if err != nil {
		return nil, nil, outage(err)
	}
	defer leave()
	page := git.Pages{Tip: tip, Base: from.Tip, BaseCommit: from.Head, First: CatchUpDepth, Most: CatchUpDepth, MaxBytes: s.Limits.Bytes()}
	next, commits, err := s.read(ctx, page, from.Root)
	if err == nil && s.whole {
		err = s.readFilesWith(ctx, next, page, from.Root)
	}
	if errors.Is(err, git.ErrMissingObject) {
		s.Logger.WarnContext(ctx, "the git server left objects out, fetching the branch again", "commit", tip.String(), "error", err)
		next, err = s.loadEntered(ctx, tip)
		return next, nil, err
	}
	return next, commits, err
}

// At makes a snapshot of a commit without the contents of files. Errors as of
// [git.Pager.Next]; it notes nothing with the guard.
func (s *Source) At(ctx context.Context, commit git.Hash) (*Snapshot, error) {
	found, _, err := s.read(ctx, git.Pages{Tip: commit, First: 1, Most: 1, MaxBytes: s.Limits.directories()}, nil)
	return found, err
}

// read makes a snapshot of a page's tip and returns the page's commits. The trees come
// with them; what is in held does not. Files that come unasked are dropped while they
// come in: they may be many, and larger than those that are needed. When an object is in neither the error is [git.ErrMissingObject].
func (s *Source) read(ctx context.Context, page git.Pages, held *git.Directory) (*Snapshot, git.Commits, error) {
	index := git.NewIndex(held)
	page.Capabilities, page.Held, page.Keep = s.caps, index.Object, git.WithoutBlobs
	if !s.whole {
		page.Filter = git.FilterBlobs
	}
	pager := git.NewPager(s.Remote, page)
	fetched, err := pager.Next(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("fetching the branch: %w", err)
	}
	if pager.Unfiltered != nil {
		s.wantWhole(ctx, "the git server does not leave files out", pager.Unfiltered)
	}
	next := &Snapshot{Tip: page.Tip, Head: pager.Commits[page.Tip]}
	if next.Root, err = git.NewDirectory(next.Head.Tree, fetched, index, s.Limits.directories()); err != nil {
		return nil, nil, err
	}
	return next, pager.Commits, nil
}

// searchDepth is how deep the first look into the history goes. Commits without
// their trees take about 200 bytes each.
const searchDepth = 256

// Search reads the history of a tip back to a time and returns every commit since the
// time that it reached: a later one where the history is longer than is searched.
func (s *Source) Search(ctx context.Context, of *Snapshot, since time.Time) (found git.Commits, reached time.Time, err error) {
	pager := git.NewPager(s.Remote, git.Pages{
		Tip: of.Tip, Base: of.Tip, BaseCommit: of.Head, Capabilities: s.caps,
		Filter: git.FilterTrees, Keep: git.OnlyCommits, First: searchDepth, Most: s.Limits.History,
	})
	if found, reached, err = pager.Since(ctx, since); err != nil {
		return nil, since, fmt.Errorf("searching the branch's history: %w", err)
	}
	if found == nil {
		return nil, s.Now(), nil
	}
	s.Logger.DebugContext(ctx, "history searched", "since", reached, "commits", len(found))
	return found, reached, nil
}
