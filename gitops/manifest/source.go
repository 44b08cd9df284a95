package manifest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// snapshot is the branch's tip as it was last seen or made: every tree, and of the
// files those that were needed. It never changes, but for the content of files,
// which comes when it is needed.
//
// A snapshot may be behind the server at any time. What is decided on it counts
// only after the server has confirmed that the tip is still this one: by taking a
// push that names it as the old value, or by being asked.
type snapshot struct {
	tip  git.Hash
	head git.Commit // the tip's commit
	root *git.Directory
}

// source reads the branch over one connection. It belongs to one goroutine.
type source struct {
	config Config
	remote git.Remote
	caps   map[string]string // upload-pack's; nil until it was asked
	whole  bool              // the server sends files only together with their commit
	held   int64             // bytes of files that were kept since all of them were counted last
}

// maxTries is how often something is asked again because the branch moved on
// before the server was asked for it.
const maxTries = 3

// load makes a snapshot of the branch out of nothing.
func (s *source) load(ctx context.Context) (*snapshot, error) {
	for tries := 1; ; tries++ {
		tip, err := s.fetchTip(ctx)
		if err != nil {
			return nil, err
		}
		loaded, err := s.loadTip(ctx, tip)
		if err == nil || !git.UnknownToServer(err) || tries == maxTries {
			return loaded, err
		}
	}
}

// fetchTip asks where the branch is, as one who fetches.
func (s *source) fetchTip(ctx context.Context) (git.Hash, error) {
	a, err := s.remote.Refs(ctx, git.UploadPack, s.config.Branch)
	if err == nil {
		err = a.CanFetch(s.config.Branch)
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
func (s *source) wantWhole(ctx context.Context, why string, cause error) {
	if s.whole {
		return
	}
	s.whole = true
	attrs := []any{"why", why}
	if cause != nil {
		attrs = append(attrs, "error", cause)
	}
	s.config.Logger.WarnContext(ctx, "every file of the branch is fetched, not only those that updates can change", attrs...)
}

// enter asks the guard before what the server sends of a commit is parsed.
func (s *source) enter(ctx context.Context, tip git.Hash) (leave func(), err error) {
	return s.config.Guard.Enter(ctx, gitops.ParsedObject{Object: tip.String(), Kind: gitops.ParsedPack, Path: s.config.Branch}, 0, true)
}

// loadTip makes a snapshot of a tip out of nothing.
func (s *source) loadTip(ctx context.Context, tip git.Hash) (*snapshot, error) {
	leave, err := s.enter(ctx, tip)
	if err != nil {
		return nil, outage(err)
	}
	defer leave()
	loaded, _, err := s.read(ctx, git.Pages{Tip: tip, First: 1, Most: 1, MaxBytes: s.config.Limits.directories()}, nil)
	if err != nil {
		return nil, err
	}
	s.config.Logger.DebugContext(ctx, "branch fetched", "commit", tip.String())
	return loaded, s.fetchFiles(ctx, loaded, s.config.Files())
}

// catchUpDepth is how many commits a catch-up brings, counted from the new tip.
// It is enough for what usually happens between two pushes, so that one request
// both moves the snapshot and shows whose commits came in between. Behind the
// old tip it brings a few that are known; they cost some hundred bytes each.
const catchUpDepth = 16

// catchUp makes a snapshot of another tip from one that is held, and returns the
// commits that came with it, and the old tip's; none when the server left objects out,
// and the branch was fetched from nothing.
func (s *source) catchUp(ctx context.Context, from *snapshot, tip git.Hash) (*snapshot, git.Commits, error) {
	leave, err := s.enter(ctx, tip)
	if err != nil {
		return nil, nil, outage(err)
	}
	defer leave()
	page := git.Pages{Tip: tip, Base: from.tip, BaseCommit: from.head, First: catchUpDepth, Most: catchUpDepth, MaxBytes: s.config.Limits.Snapshot}
	next, commits, err := s.read(ctx, page, from.root)
	if err == nil && s.whole {
		err = s.readFilesWith(ctx, next, page, from.root)
	}
	if errors.Is(err, git.ErrMissingObject) {
		s.config.Logger.WarnContext(ctx, "the git server left objects out, fetching the branch again", "commit", tip.String(), "error", err)
		next, err = s.loadTip(ctx, tip)
		return next, nil, err
	}
	return next, commits, err
}

// read makes a snapshot of a page's tip and returns the page's commits. The trees come
// with them; what is in held does not. Files that come unasked are dropped while they
// come in: they may be many, and larger than those that are needed. When an object is in neither the error is [git.ErrMissingObject].
func (s *source) read(ctx context.Context, page git.Pages, held *git.Directory) (*snapshot, git.Commits, error) {
	index := git.NewIndex(held)
	page.Capabilities, page.Held, page.Keep = s.caps, index.Object, git.WithoutBlobs
	if !s.whole {
		page.Filter = git.FilterBlobs
	}
	pager := git.NewPager(s.remote, page)
	fetched, err := pager.Next(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("fetching the branch: %w", err)
	}
	if pager.Unfiltered != nil {
		s.wantWhole(ctx, "the git server does not leave files out", pager.Unfiltered)
	}
	next := &snapshot{tip: page.Tip, head: pager.Commits[page.Tip]}
	if next.root, err = git.NewDirectory(next.head.Tree, fetched, index, s.config.Limits.directories()); err != nil {
		return nil, nil, err
	}
	return next, pager.Commits, nil
}

// searchDepth is how deep the first look into the history goes. Commits without
// their trees take about 200 bytes each.
const searchDepth = 256

// search reads the history of a tip back to a time and returns every commit since the
// time that it reached: a later one where the history is longer than is searched.
func (s *source) search(ctx context.Context, of *snapshot, since time.Time) (found git.Commits, reached time.Time, err error) {
	pager := git.NewPager(s.remote, git.Pages{
		Tip: of.tip, Base: of.tip, BaseCommit: of.head, Capabilities: s.caps,
		Filter: git.FilterTrees, Keep: git.OnlyCommits, First: searchDepth, Most: s.config.Limits.History,
	})
	if found, reached, err = pager.Since(ctx, since); err != nil {
		return nil, since, fmt.Errorf("searching the branch's history: %w", err)
	}
	if found == nil {
		return nil, s.config.Now(), nil
	}
	s.config.Logger.DebugContext(ctx, "history searched", "since", reached, "commits", len(found))
	return found, reached, nil
}
