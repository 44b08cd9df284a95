package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// catchUpDepth is how many commits a catch-up brings, counted from the new tip.
// It is enough for what usually happens between two pushes, so that one request
// both moves the snapshot and shows whose commits came in between. Behind the
// old tip it brings a few that are known; they cost some hundred bytes each.
const catchUpDepth = 16

// greet asks for the refs as a pusher: that proves the right to push, and shows
// what the server can take.
func (w *Writer) greet(ctx context.Context) error {
	_, err := w.look(ctx)
	return err
}

// look asks where the branch is.
func (w *Writer) look(ctx context.Context) (git.Hash, error) {
	a, err := w.remote.Refs(ctx, git.ReceivePack, w.config.Branch)
	if err != nil {
		return git.Hash{}, err
	}
	return w.note(a)
}

// note takes in what receive-pack says of the repository, and returns where the
// branch is.
func (w *Writer) note(a git.Advertisement) (git.Hash, error) {
	if err := w.usable(a); err != nil {
		return git.Hash{}, err
	}
	if !a.Can("report-status") {
		return git.Hash{}, gitops.Errorf(gitops.Unavailable, "the git server does not report what becomes of a push")
	}
	w.offers.push = a.Capabilities
	w.offers.whole = w.offers.whole || a.Can("no-thin")
	return a.Tip, nil
}

// usable reports why a repository cannot be written, if that shows in its refs.
func (w *Writer) usable(a git.Advertisement) error {
	switch {
	case a.Capabilities["object-format"] == "sha256":
		return git.ErrSHA256
	case a.Empty:
		return gitops.Errorf(gitops.NotFound, "the manifest repository is empty: push its first commit to the branch %s", w.config.Branch)
	case a.Tip.IsZero():
		return gitops.Errorf(gitops.NotFound, "the manifest repository has no branch %s", w.config.Branch)
	}
	return nil
}

// fetchable reports why a repository cannot be fetched from, likewise.
func (w *Writer) fetchable(a git.Advertisement) error {
	if err := w.usable(a); err != nil {
		return err
	}
	if !a.Can("shallow") || !a.Can("side-band-64k") {
		return gitops.Errorf(gitops.Unavailable, "the git server cannot send a single commit")
	}
	return nil
}

// ready makes sure that there is a snapshot, however old.
func (w *Writer) ready(ctx context.Context) error {
	if w.offers.push == nil {
		if err := w.greet(ctx); err != nil {
			return err
		}
	}
	if err := w.identify(ctx); err != nil {
		return err
	}
	for tries := 1; w.snapshot == nil; tries++ {
		err := w.first(ctx)
		if err != nil && (!git.UnknownToServer(err) || tries == maxTries) {
			return err
		}
	}
	return nil
}

// identify finds out who the author is, where that is not configured.
func (w *Writer) identify(ctx context.Context) error {
	if w.config.Author.Validate() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeouts.Refs)
	defer cancel()
	found, err := w.config.Identify(ctx)
	if err != nil {
		return err
	}
	found = w.config.Author.Or(found)
	if found.Validate() != nil {
		return gitops.Errorf(gitops.Unavailable, "the git server names an author that no commit can have")
	}
	w.config.Author = found
	return nil
}

// maxTries is how often something is asked again because the branch moved on
// before the server was asked for it.
const maxTries = 3

// first makes the first snapshot.
func (w *Writer) first(ctx context.Context) error {
	a, err := w.remote.Refs(ctx, git.UploadPack, w.config.Branch)
	if err == nil {
		err = w.fetchable(a)
	}
	if err != nil {
		return err
	}
	w.offers.fetch = a.Capabilities
	if w.config.Partial && !w.offers.entire && !a.Can("filter") {
		w.wantEntire(ctx, "the git server does not send a part of a commit")
	}
	return w.start(ctx, a.Tip)
}

// start makes a snapshot of the tip out of nothing.
func (w *Writer) start(ctx context.Context, tip git.Hash) error {
	began := w.config.Now()
	none := func(git.Hash) (git.Object, bool) { return git.Object{}, false }
	want := git.FetchRequest{Wants: []git.Hash{tip}, Depth: 1, Capabilities: w.offers.fetch}
	partial := w.config.Partial && !w.offers.entire
	if partial {
		want.Filter = git.FilterBlobs
	}
	fetched, err := w.remote.Fetch(ctx, want, none)
	if partial && git.UnknownToServer(err) {
		// It offers filters, but not this one (uploadpackfilter in git-config(1)); or
		// the tip is gone, and then this fails as well.
		want.Filter = git.FilterNone
		if fetched, err = w.remote.Fetch(ctx, want, none); err == nil {
			partial = false
			w.wantEntire(ctx, "the git server does not leave files out")
		}
	}
	if err != nil {
		return fmt.Errorf("fetching the branch: %w", err)
	}
	s, err := newSnapshot(tip, fetched, partial, began)
	if err != nil {
		return err
	}
	switch {
	case w.snapshot == nil:
	case w.snapshot.tip == tip:
		s.landed = w.snapshot.landed // the same history
	default:
		s.landed.replaced = began
	}
	w.snapshot = s
	w.config.Logger.DebugContext(ctx, "the branch was fetched", "commit", tip.String(), "bytes", s.bytes)
	return nil
}

// refresh brings the snapshot to where the branch is now, with the files at the
// paths.
func (w *Writer) refresh(ctx context.Context, paths ...string) error {
	for tries := 1; ; tries++ {
		tip, err := w.look(ctx)
		if err != nil {
			return err
		}
		if err := w.ready(ctx); err != nil {
			return err
		}
		if err = w.catchUp(ctx, tip); err == nil {
			err = w.bring(ctx, paths)
		}
		if err == nil || !git.UnknownToServer(err) || tries == maxTries {
			return err
		}
	}
}

// catchUp moves the snapshot to another tip of the branch, and takes note of the
// updates that came in with it. On an error the snapshot is as it was.
func (w *Writer) catchUp(ctx context.Context, tip git.Hash) error {
	s := w.snapshot
	if tip == s.tip {
		return nil
	}
	began, old, head := w.config.Now(), s.tip, s.head
	fetched, err := w.remote.Fetch(ctx, git.FetchRequest{Wants: []git.Hash{tip}, Have: old, Shallow: []git.Hash{old}, Depth: catchUpDepth, Filter: s.without(), Capabilities: w.offers.fetch}, s.Object)
	var h git.Commits
	if err == nil {
		h, err = git.CommitsOf(fetched) // before the snapshot moves: what came in between must not go unread
	}
	if err == nil {
		err = s.adopt(tip, fetched)
	}
	if errors.Is(err, git.ErrMissingObject) {
		w.config.Logger.WarnContext(ctx, "the server left objects out; the branch is fetched again", "commit", tip.String(), "err", err)
		return w.start(ctx, tip)
	}
	if err != nil {
		return fmt.Errorf("catching up with the branch: %w", err)
	}
	h[old] = head // the server knows that we have it, and sends only what was before
	between := make(git.Commits)
	complete := h.Walk(tip, h.Ancestors(old), time.Time{}, between.Add)
	if newer := landings(between); complete && len(newer) <= maxLanded {
		s.landed.add(newer...)
	} else {
		// Far behind, forced back, merged with what branched off long ago, or more
		// than is remembered: what waits now is looked for by its date.
		s.landed = newLanded(began)
		s.landed.replaced = began
	}
	w.config.Logger.DebugContext(ctx, "the branch had moved", "from", old.String(), "commit", tip.String(), "commits", len(between))
	if !h.Ancestors(tip)[old] {
		// What only commits had that were thrown away, the server may have thrown away,
		// too: it must be sent again when it comes back.
		return s.drop()
	}
	return s.sweep()
}

// fetchCommits fetches the history of the tip to a depth, with as little beside
// the commits as the server can do with. One that offers filters need not allow
// this one.
func (w *Writer) fetchCommits(ctx context.Context, depth int) (map[git.Hash]git.Object, error) {
	s := w.snapshot
	want := git.FetchRequest{Wants: []git.Hash{s.tip}, Depth: depth, Filter: git.FilterTrees, Capabilities: w.offers.fetch}
	if _, can := w.offers.fetch["filter"]; can {
		fetched, err := w.remote.Fetch(ctx, want, s.Object)
		if !git.UnknownToServer(err) {
			return fetched, err
		}
	}
	want.Have, want.Shallow, want.Filter = s.tip, []git.Hash{s.tip}, s.without() // so at least what is here is not sent again
	return w.remote.Fetch(ctx, want, s.Object)
}

// searchDepth is how deep the first look into the history goes. Commits without
// their trees take about 200 bytes each.
const searchDepth = 256

var errHistoryTooLong = fmt.Errorf("more than %d commits would have to be searched", maxHistory)

// search reads the history back to a time and returns the updates of every commit
// since then. Afterwards landed knows of them as far back as it remembers.
func (w *Writer) search(ctx context.Context, since time.Time) (map[string]landing, error) {
	s := w.snapshot
	for depth := searchDepth; ; depth *= 4 {
		depth = min(depth, maxHistory)
		fetched, err := w.fetchCommits(ctx, depth)
		if err != nil {
			return nil, fmt.Errorf("searching the branch's history: %w", err)
		}
		h, err := git.CommitsOf(fetched)
		if err != nil {
			return nil, err
		}
		h[s.tip] = s.head
		found := make(git.Commits)
		if h.Walk(s.tip, nil, since, found.Add) {
			older := landings(found)
			s.landed.addOlder(since, older)
			w.config.Logger.DebugContext(ctx, "the branch's history was searched", "since", since, "commits", len(found))
			byUpdate := make(map[string]landing, len(older))
			for _, l := range slices.Backward(older) { // the first of two counts
				byUpdate[l.update] = l
			}
			return byUpdate, nil
		}
		if depth == maxHistory {
			return nil, errHistoryTooLong
		}
	}
}
