// Package handedit finds out whether the tag that a file has was put there by hand, and by
// which commit. It asks the git server, within a bound of memory and of time.
//
// What it says when it cannot tell is chosen so that nobody's release is written over by
// mistake: what is not known to be tallyman's was made by hand.
//
//   - A commit that is proved is tallyman's, of whichever app: it forgot, because its store
//     was restored or failed over. A commit that only has trailers is its author's: a
//     revert, a squash or a rebase keeps them.
//   - When tallyman has written the app since the tag was put there, its word is the newer
//     one: the app was set in another file or at another key, and its configuration has
//     changed since.
//   - When the search ends before the tag's commit, the newest commit that changed the file
//     counts as it, and without one it is nobody's in particular.
package handedit

import (
	"context"
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/history"
)

// Nobody is the author of an edit whose commit was not found.
const Nobody = "unknown"

// Finder finds out who put a tag where it is. It belongs to one goroutine.
type Finder struct {
	reader *history.Reader
	proofs history.Verifier
	within time.Duration
	failed map[appOf]int // searches in a row
}

// appOf is an app in an environment.
type appOf struct{ environment, app string }

// New makes a finder that asks over a connection, which stays the caller's. A search takes
// so long at most.
func New(remote git.Remote, branch string, proofs history.Verifier, l history.Limits, within time.Duration) *Finder {
	return &Finder{reader: history.New(remote, branch, proofs, l), proofs: proofs, within: within, failed: make(map[appOf]int)}
}

// Question says of which tag it is asked who put it there.
type Question struct {
	Environment, App string
	Path             string // of the app's first file
	// Read takes the tag out of the file; see [history.Query].
	Read func(ctx context.Context, object string, file []byte) (string, error)
}

// Answer is of the branch as it is at a tip.
type Answer struct {
	Tip    git.Hash // zero when nothing could be read at all
	ByHand bool
	// Edit is the one that put the tag there, without an update. When its commit was not
	// found it is by [Nobody], without a commit and a time.
	Edit gitops.HandEdit
}

const (
	mostFailures = 3 // searches for an app in a row
	mostCommits  = 20_000
	firstPage    = 16 // commits: most edits are among them
	authorBytes  = 100
)

// Find finds out who put the tag there. An error is one of the git server's that would
// meet any request; what concerns this search alone ends it without a find, and so does an
// error that comes again and again: whatever waits for the answer is not held up for ever.
func (f *Finder) Find(ctx context.Context, q Question) (Answer, error) {
	a, err := f.find(ctx, q)
	of := appOf{q.Environment, q.App}
	if f.failed[of]++; err != nil && f.failed[of] < mostFailures {
		return Answer{}, err
	}
	if delete(f.failed, of); err != nil {
		return Answer{ByHand: true, Edit: gitops.HandEdit{Author: Nobody}}, nil
	}
	return a, nil
}

func (f *Finder) find(ctx context.Context, q Question) (Answer, error) {
	within, cancel := context.WithTimeout(ctx, f.within)
	defer cancel()
	w := &way{question: q, proofs: f.proofs}
	found, err := f.reader.File(within, history.Query{Path: q.Path, Read: q.Read, Limit: 1, Commits: mostCommits, Page: firstPage, Visit: w.visit})
	timeUp := errors.Is(within.Err(), context.DeadlineExceeded) && ctx.Err() == nil && !w.tip.IsZero()
	if err != nil && !timeUp && !history.Unreadable(err) && !git.UnknownToServer(err) {
		return Answer{}, err
	}
	a := Answer{Tip: w.tip}
	if err == nil && len(found.Versions) == 1 && found.Versions[0].Err == nil {
		v := found.Versions[0]
		a.Edit.Tag = v.Value
		if by, ok := git.ParseHash(v.Commit); ok {
			if a.ByHand = v.Proof == "" && !w.writtenSince(by); a.ByHand {
				a.Edit.Commit, a.Edit.Author, a.Edit.At = v.Commit, AuthorOf(v.Author), v.At
			}
			return a, nil
		}
	}
	if a.ByHand = w.last != tallyman; !a.ByHand {
		return a, nil
	}
	a.Edit.Author = Nobody
	if w.last == somebody {
		a.Edit.Commit, a.Edit.Author, a.Edit.At = w.edit.String(), AuthorOf(w.by.Author), w.by.Made.UTC()
	}
	return a, nil
}

// AuthorOf is who made a commit, as one line.
func AuthorOf(s git.Signature) string {
	for _, name := range []string{s.Name, s.Email} {
		if name = git.Sanitize(name); name != "" {
			return gitops.Clip(name, authorBytes)
		}
	}
	return Nobody
}

// way is what is known of the commits between the tip and the search's end.
type way struct {
	question Question
	proofs   history.Verifier

	tip     git.Hash         // zero before a commit is read
	nth     map[git.Hash]int // of commits that changed the file
	written int              // the newest commit that writes the app, as proved; -1 for none

	last word // the newest
	edit git.Hash
	by   git.Commit // its
}

// word is who wrote what matters last.
type word int

const (
	nobody word = iota
	tallyman
	somebody
)

func (w *way) visit(nth int, name git.Hash, c git.Commit, changes bool) {
	if nth == 0 {
		*w = way{question: w.question, proofs: w.proofs, tip: name, nth: make(map[git.Hash]int), written: -1}
	}
	if changes {
		w.nth[name] = nth
	}
	var app, proved bool
	if said := gitops.ParseTrailers(c.Message); len(said) > 0 {
		_, proved = w.proofs.Verify(c)
		for _, u := range said {
			app = app || u.Environment == w.question.Environment && u.App == w.question.App
		}
	}
	if app && proved && w.written < 0 {
		w.written = nth
	}
	switch {
	case w.last != nobody:
	case app && proved:
		w.last = tallyman
	case changes && !proved:
		w.last, w.edit, w.by = somebody, name, c
	}
}

// writtenSince reports whether the app was written on the way from the tip to a commit that
// changed the file.
func (w *way) writtenSince(by git.Hash) bool { return w.written >= 0 && w.written < w.nth[by] }
