package manifest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// HistoryQuery says of what the past is wanted, and how much of it.
type HistoryQuery struct {
	// Path of the file in the repository, with slashes.
	Path string

	// Read takes what matters out of the file as it was once: its tag. Versions are
	// told apart by it, so that a commit that changes something else is none. An
	// error becomes the version's.
	Read func(file []byte) (string, error)

	// Limit is the most versions that are wanted. Default 20.
	Limit int

	// Commits is how many commits deep from the tip is looked, at most. Default
	// 2,000, and never more than 100,000. Where a directory on the way has 2,000
	// entries, a thousand take one to three seconds.
	Commits int

	// Since ends the search at commits that were made before it. Commits may have
	// wrong dates, so some more are looked at. Default: no end.
	Since time.Time
}

// History is what the branch says of a file's past.
type History struct {
	Tip      string    // the commit that the branch was at
	Versions []Version // newest first; the first is what the tip says

	// Commits is how many were followed back from the tip, and Until when the last
	// of them was made.
	Commits int
	Until   time.Time

	// Complete says that there is no older version. Otherwise the search ended at
	// one of the query's bounds.
	Complete bool
}

// Version is what a file said from one commit on, until the next newer version.
type Version struct {
	Value   string // what HistoryQuery.Read took out of the file
	Missing bool   // there was no such file
	Err     error  // why Read could not take it out; nil when it could

	// Commit is the commit that made it so. It is empty, and so is all that follows,
	// in the last version of a search that ended before it was found.
	Commit  string
	At      time.Time // when the commit was made, by its committer's clock, UTC
	Author  git.Signature
	Subject string
	Orders  []Order // the updates in the commit; none in a person's
}

// Order is what a commit's trailers say of one update.
type Order struct {
	Update   string
	Delivery gitops.DeliveryKey
	Actor    string // empty when nobody was named
}

// historyLimits are the bounds of a query that names none.
const (
	defaultVersions = 20
	defaultCommits  = 2_000
)

// History finds out which versions of a file the branch has had, by which commits
// and on whose word. It asks the server, over a connection of its own: pushes do
// not wait for it. One history is read at a time; others wait for their turn.
//
// It goes from the tip along first parents. At a merge in which the file is as in
// one of the parents it follows that one, as git log does with a path, so that the
// bot's commits are found on whichever side of a merge they are.
//
// What comes is as little as the server can do with: of each commit its trees,
// without files, and then the file's own versions in one request. A server
// without filters sends the files of each commit that are new in it, too. Errors
// as Write, and Invalid for what is no path.
func (w *Writer) History(ctx context.Context, q HistoryQuery) (History, error) {
	names, err := git.SplitPath(q.Path)
	if err != nil {
		return History{}, err
	}
	if q.Limit <= 0 {
		q.Limit = defaultVersions
	}
	if q.Commits <= 0 {
		q.Commits = defaultCommits
	}
	q.Commits = min(q.Commits, maxHistory)
	select {
	case w.reading <- struct{}{}:
		defer func() { <-w.reading }()
	case <-ctx.Done():
		return History{}, git.PublicError(context.Cause(ctx))
	case <-w.stopping.Done():
		return History{}, errClosed
	}
	w.mu.Lock()
	bar := w.bar()
	w.mu.Unlock()
	if bar != nil {
		return History{}, bar
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.stopping, cancel)()
	h, err := w.history(ctx, q, names)
	if err = git.PublicError(err); err != nil {
		w.mu.Lock()
		w.setBar(err)
		w.mu.Unlock()
	}
	return h, err
}

// history reads the history of the branch as it is, and begins again when the
// branch has moved on and the server no longer knows its old tip, or when it turns
// out to send files only with their commits.
func (w *Writer) history(ctx context.Context, q HistoryQuery, names []string) (History, error) {
	entire := false
	for tries := 1; ; tries++ {
		a, err := w.past.Refs(ctx, git.UploadPack, w.config.Branch)
		if err == nil {
			err = w.fetchable(a)
		}
		if err != nil {
			return History{}, err
		}
		p := newPast(w.past, q, names, a, entire)
		h, err := p.look(ctx)
		if errors.Is(err, errNoParts) && !entire {
			entire = true
			continue
		}
		if !git.UnknownToServer(err) || tries == maxTries {
			return h, err
		}
	}
}

// versionOf reads what a commit says of itself.
func versionOf(name git.Hash, data []byte) Version {
	v := Version{Commit: name.String()}
	c, _ := git.ParseCommit(data) // it was parsed before
	v.Author = git.Signature{Name: git.Sanitize(c.Author.Name), Email: git.Sanitize(c.Author.Email)}
	v.At = c.Made.UTC()
	message := c.Message
	subject, _, _ := bytes.Cut(bytes.TrimLeft(message, "\n"), []byte{'\n'})
	v.Subject = git.Sanitize(string(subject))
	for line := range bytes.SplitSeq(message, []byte{'\n'}) {
		key, value, _ := bytes.Cut(line, []byte(": "))
		text := git.Sanitize(string(value))
		switch {
		case string(key) == trailerUpdate:
			v.Orders = append(v.Orders, Order{Update: text})
		case len(v.Orders) == 0:
		case string(key) == trailerDelivery:
			_ = v.Orders[len(v.Orders)-1].Delivery.UnmarshalText([]byte(text)) // what a person wrote there may be none
		case string(key) == trailerActor:
			v.Orders[len(v.Orders)-1].Actor = text
		}
	}
	return v
}
