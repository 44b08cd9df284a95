package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"github.com/tallyman-dev/tallyman/gitops"
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
func (w *Writer) look(ctx context.Context) (hash, error) {
	a, err := w.remote.refs(ctx, receivePack, w.config.Branch)
	if err != nil {
		return hash{}, err
	}
	return w.note(a)
}

// note takes in what receive-pack says of the repository, and returns where the
// branch is.
func (w *Writer) note(a advertisement) (hash, error) {
	if err := w.usable(a); err != nil {
		return hash{}, err
	}
	if !a.can("report-status") {
		return hash{}, gitops.Errorf(gitops.Unavailable, "the manifest repository's server does not report what becomes of a push")
	}
	w.offers.push = a.capabilities
	w.offers.whole = w.offers.whole || a.can("no-thin")
	return a.tip, nil
}

// usable reports why a repository cannot be written, if that shows in its refs.
func (w *Writer) usable(a advertisement) error {
	switch {
	case a.capabilities["object-format"] == "sha256":
		return errSHA256
	case a.empty:
		return gitops.Errorf(gitops.NotFound, "the manifest repository is empty: push its first commit to the branch %s", w.config.Branch)
	case a.tip.IsZero():
		return gitops.Errorf(gitops.NotFound, "the manifest repository has no branch %s", w.config.Branch)
	}
	return nil
}

// fetchable reports why a repository cannot be fetched from, likewise.
func (w *Writer) fetchable(a advertisement) error {
	if err := w.usable(a); err != nil {
		return err
	}
	if !a.can("shallow") || !a.can("side-band-64k") {
		return gitops.Errorf(gitops.Unavailable, "the manifest repository's server cannot send a single commit")
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
		if err != nil && (!unknownToServer(err) || tries == maxTries) {
			return err
		}
	}
	return nil
}

// identify finds out who the author is, where that is not configured.
func (w *Writer) identify(ctx context.Context) error {
	if w.config.Author.validate() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeouts.Refs)
	defer cancel()
	found, err := w.config.Identify(ctx)
	if err != nil {
		return err
	}
	found = w.config.Author.or(found)
	if found.validate() != nil {
		return gitops.Errorf(gitops.Unavailable, "the manifest repository's server names an author that no commit can have")
	}
	w.config.Author = found
	return nil
}

// maxTries is how often something is asked again because the branch moved on
// before the server was asked for it.
const maxTries = 3

// unknownToServer reports whether the server says that it does not have, or does
// not give, what a fetch asked for. Over SSH it gives nothing but the tips of
// branches as they are at that moment.
func unknownToServer(err error) bool {
	var said *pktline.ErrorLine
	return errors.As(err, &said)
}

// first makes the first snapshot.
func (w *Writer) first(ctx context.Context) error {
	a, err := w.remote.refs(ctx, uploadPack, w.config.Branch)
	if err == nil {
		err = w.fetchable(a)
	}
	if err != nil {
		return err
	}
	w.offers.fetch = a.capabilities
	if w.config.Partial && !w.offers.entire && !a.can("filter") {
		w.wantEntire(ctx, "the manifest repository's server does not send a part of a commit")
	}
	return w.start(ctx, a.tip)
}

// start makes a snapshot of the tip out of nothing.
func (w *Writer) start(ctx context.Context, tip hash) error {
	began := w.config.Now()
	none := func(hash) (object, bool) { return object{}, false }
	want := wanted{wants: []hash{tip}, depth: 1, offered: w.offers.fetch}
	partial := w.config.Partial && !w.offers.entire
	if partial {
		want.without = filesLeftOut
	}
	fetched, err := w.remote.fetch(ctx, want, none)
	if partial && unknownToServer(err) {
		// It offers filters, but not this one (uploadpackfilter in git-config(1)); or
		// the tip is gone, and then this fails as well.
		want.without = noneLeftOut
		if fetched, err = w.remote.fetch(ctx, want, none); err == nil {
			partial = false
			w.wantEntire(ctx, "the manifest repository's server does not leave files out")
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
		if err == nil || !unknownToServer(err) || tries == maxTries {
			return err
		}
	}
}

// catchUp moves the snapshot to another tip of the branch, and takes note of the
// updates that came in with it. On an error the snapshot is as it was.
func (w *Writer) catchUp(ctx context.Context, tip hash) error {
	s := w.snapshot
	if tip == s.tip {
		return nil
	}
	began, old, head := w.config.Now(), s.tip, s.head
	fetched, err := w.remote.fetch(ctx, wanted{wants: []hash{tip}, have: old, shallow: []hash{old}, depth: catchUpDepth, without: s.without(), offered: w.offers.fetch}, s.object)
	var h history
	if err == nil {
		h, err = historyOf(fetched) // before the snapshot moves: what came in between must not go unread
	}
	if err == nil {
		err = s.adopt(tip, fetched)
	}
	if errors.Is(err, errMissingObject) {
		w.config.Logger.WarnContext(ctx, "the server left objects out; the branch is fetched again", "commit", tip.String(), "err", err)
		return w.start(ctx, tip)
	}
	if err != nil {
		return fmt.Errorf("catching up with the branch: %w", err)
	}
	h[old] = head // the server knows that we have it, and sends only what was before
	between := make(history)
	complete := h.walk(tip, h.ancestors(old), time.Time{}, between.take)
	if newer := landings(between); complete && len(newer) <= maxLanded {
		s.landed.add(newer...)
	} else {
		// Far behind, forced back, merged with what branched off long ago, or more
		// than is remembered: what waits now is looked for by its date.
		s.landed = newLanded(began)
		s.landed.replaced = began
	}
	w.config.Logger.DebugContext(ctx, "the branch had moved", "from", old.String(), "commit", tip.String(), "commits", len(between))
	if !h.ancestors(tip)[old] {
		// What only commits had that were thrown away, the server may have thrown away,
		// too: it must be sent again when it comes back.
		return s.drop()
	}
	return s.sweep()
}

// fetchCommits fetches the history of the tip to a depth, with as little beside
// the commits as the server can do with. One that offers filters need not allow
// this one.
func (w *Writer) fetchCommits(ctx context.Context, depth int) (map[hash]object, error) {
	s := w.snapshot
	want := wanted{wants: []hash{s.tip}, depth: depth, without: allButCommits, offered: w.offers.fetch}
	if _, can := w.offers.fetch["filter"]; can {
		fetched, err := w.remote.fetch(ctx, want, s.object)
		if !unknownToServer(err) {
			return fetched, err
		}
	}
	want.have, want.shallow, want.without = s.tip, []hash{s.tip}, s.without() // so at least what is here is not sent again
	return w.remote.fetch(ctx, want, s.object)
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
		h, err := historyOf(fetched)
		if err != nil {
			return nil, err
		}
		h[s.tip] = s.head
		found := make(history)
		if h.walk(s.tip, nil, since, found.take) {
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
