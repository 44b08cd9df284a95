// Package history reads what a branch says of a file's past: which versions it had,
// by which commits, and on whose request. It asks the git server, over a connection
// of its own, so that nothing that writes the branch waits for it.
package history

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// Query says of what the past is wanted, and how much of it.
type Query struct {
	// Path of the file in the repository, with slashes.
	Path string

	// Tip is the commit from which it is looked back. Default: the branch's.
	Tip git.Hash

	// Read takes what matters out of the file as it was once: its tag. Versions are
	// told apart by it, so a commit that changes something else makes none. An
	// error becomes the version's, but for one that is [gitops.Unavailable], which ends
	// the query. The object is git's name of the content.
	Read func(ctx context.Context, object string, file []byte) (string, error)

	// Limit is the most versions that are wanted. Default 20.
	Limit int

	// Commits is how many commits deep from the tip is looked, at most. Default
	// 2,000, and never more than 100,000. Where a directory on the way has 2,000
	// entries, a thousand take one to three seconds.
	Commits int

	// Since ends the search at commits that were made before it. Commits may have
	// wrong dates, so some more are looked at. Default: no end.
	Since time.Time

	// Page is how many commits the first request brings. Default 64.
	Page int

	// Visit is told of each commit that is followed back from the tip, newest first and
	// counted from 0, and whether the file is another in it than before. It begins with 0
	// again when the search does. Default: nobody is told.
	Visit func(nth int, name git.Hash, c git.Commit, changes bool)
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
	Value   string // what Query.Read took out of the file
	Missing bool   // there was no such file
	Err     error  // why Read could not take it out; nil when it could

	// Commit is the commit that made it so. It is empty, and so is all that follows,
	// in the last version of a search that ended before it was found.
	Commit  string
	At      time.Time // when the commit was made, by its committer's clock, UTC
	Author  git.Signature
	Subject string

	// Updates are those that the commit's trailers name; none in most commits of people.
	// They are facts when the commit is proved, and otherwise what its author claims.
	Updates []gitops.UpdateTrailer
	Proof   string // the key that proves the commit; empty without a proof
}

// Verifier tells proved commits from others, and names the key.
type Verifier interface {
	Verify(c git.Commit) (key string, ok bool)
}

// What a query that names no bounds gets, and the most that one gets.
const (
	defaultVersions = 20
	defaultCommits  = 2_000
	maxCommits      = 100_000
)

// LeastMemory has room for the two largest files of a change, beside the commits.
func LeastMemory(file int64) int64 { return (2*file*10 + 5) / 6 }

// Reader reads the history of one branch. Safe for concurrent use: one history is
// read at a time, and others wait for their turn.
type Reader struct {
	remote git.Remote
	branch string
	proofs Verifier
	limits Limits
	turn   chan struct{} // has a token while nothing reads

	stopping context.Context // ends when Close is called
	stop     context.CancelFunc
}

// Limits bound what a history takes.
type Limits struct {
	Memory    func() int64 // for all of it, in bytes, asked for each search; at least so much that a page has room for two files
	FileBytes int64        // of a file that is read; default 1 MiB
	// Enter is called before what the git server sends of a commit is parsed, and leave
	// when it was: see guard.Guard. Query.Read may enter for a file, too: it is called
	// when nothing else is entered. Default: nothing is asked.
	Enter func(ctx context.Context, o gitops.ParsedObject) (leave func(), err error)
}

func (l Limits) bounds() bounds {
	return boundsOf(max(l.Memory(), LeastMemory(l.FileBytes)), l.FileBytes)
}

// New makes a reader of the branch over the remote, which is the reader's alone from
// now on and is closed with it. It does not use the network.
func New(remote git.Remote, branch string, proofs Verifier, l Limits) *Reader {
	if l.Enter == nil {
		l.Enter = func(context.Context, gitops.ParsedObject) (func(), error) { return func() {}, nil }
	}
	l.FileBytes = cmp.Or(l.FileBytes, 1<<20)
	r := &Reader{remote: remote, branch: branch, proofs: proofs, limits: l, turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	r.stopping, r.stop = context.WithCancel(context.Background())
	return r
}

// Close ends what is being read and frees the connections. It may be called more
// than once.
func (r *Reader) Close() {
	first := r.stopping.Err() == nil
	r.stop()
	<-r.turn
	if first {
		r.remote.Close()
	}
	r.turn <- struct{}{}
}

var errClosed = gitops.Errorf(gitops.Unavailable, "the program is stopping")

// File finds out which versions of a file the branch has had.
//
// It goes from the tip along first parents. At a merge in which the file is as in
// one of the parents it follows that one, as git log does with a path, so that the
// commits of pull requests are found on whichever side of a merge they are.
//
// What comes is as little as the server can do with: of each commit its trees,
// without files, and then the file's own versions in one request. A server
// without filters sends the files of each commit that are new in it, too.
//
// Errors are [*gitops.Error]: as those of [git.PublicError], and Invalid for what
// is no path.
func (r *Reader) File(ctx context.Context, q Query) (History, error) {
	names, err := git.SplitPath(q.Path)
	if err != nil {
		return History{}, err
	}
	if q.Limit <= 0 {
		q.Limit = defaultVersions
	}
	if q.Visit == nil {
		q.Visit = func(int, git.Hash, git.Commit, bool) {}
	}
	if q.Commits <= 0 {
		q.Commits = defaultCommits
	}
	q.Commits = min(q.Commits, maxCommits)
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return History{}, git.PublicError(context.Cause(ctx))
	case <-r.stopping.Done():
		return History{}, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.stopping, cancel)()
	if r.stopping.Err() != nil {
		return History{}, errClosed // the turn came with the end
	}
	h, err := r.file(ctx, q, names)
	return h, git.PublicError(err)
}

// Unreadable reports whether a query failed by what it read, and not by the server: it fails
// again as long as that is there.
func Unreadable(err error) bool {
	switch gitops.CodeOf(err) {
	case gitops.TooLarge, gitops.Invalid, gitops.Rejected:
		return true
	}
	return errors.Is(err, git.ErrMissingObject)
}

// maxTries is how often a history is begun again because the branch moved on before
// the server was asked for it.
const maxTries = 3

// file reads the history of the branch as it is, and begins again when the branch
// has moved on and the server no longer knows its old tip, or when it turns out to
// send files only with their commits.
func (r *Reader) file(ctx context.Context, q Query, names []string) (History, error) {
	whole := false
	for tries := 1; ; tries++ {
		a, err := r.remote.Refs(ctx, git.UploadPack, r.branch)
		if err == nil {
			err = a.CanFetch(r.branch)
		}
		if err != nil {
			return History{}, err
		}
		if !q.Tip.IsZero() {
			a.Tip = q.Tip
		}
		h, err := r.readFrom(ctx, q, names, a, whole)
		if errors.Is(err, errNoSingleFiles) && !whole {
			whole = true
			continue
		}
		switch {
		case git.UnknownToServer(err) && !q.Tip.IsZero():
			return h, gitops.Errorf(gitops.NotFound, "the git server does not have the commit %s, or does not give it", q.Tip).WithCause(err)
		case !git.UnknownToServer(err) || tries == maxTries:
			return h, err
		}
	}
}

// readFrom reads the history of a tip, or of a commit that was asked for, which takes no
// tip's place.
func (r *Reader) readFrom(ctx context.Context, q Query, names []string, a git.Advertisement, whole bool) (History, error) {
	o := gitops.ParsedObject{Object: a.Tip.String(), Kind: gitops.ParsedPack, Path: r.branch}
	if !q.Tip.IsZero() {
		o.Path += " at " + o.Object
	}
	return newFileHistory(&entering{r.remote, r.limits.Enter, o}, r.proofs, q, names, a, whole, r.limits.bounds()).read(ctx)
}

// entering enters for each fetch by itself.
type entering struct {
	git.Remote
	enter  func(ctx context.Context, o gitops.ParsedObject) (leave func(), err error)
	object gitops.ParsedObject
}

// Fetch implements [git.Remote].
func (e *entering) Fetch(ctx context.Context, r git.FetchRequest, held git.Source) (map[git.Hash]git.Object, error) {
	leave, err := e.enter(ctx, e.object)
	if err != nil {
		return nil, err
	}
	defer leave()
	return e.Remote.Fetch(ctx, r, held)
}

// versionOf reads what a commit says of itself, as text that can be shown.
func versionOf(name git.Hash, c git.Commit, proofs Verifier) Version {
	v := Version{
		Commit: name.String(), At: c.Made.UTC(), Subject: git.Sanitize(c.Subject()),
		Author:  git.Signature{Name: git.Sanitize(c.Author.Name), Email: git.Sanitize(c.Author.Email)},
		Updates: gitops.ParseTrailers(c.Message),
	}
	if len(v.Updates) > 0 {
		v.Proof, _ = proofs.Verify(c)
	}
	for i := range v.Updates {
		u := &v.Updates[i]
		for _, text := range []*string{&u.Update, &u.Delivery.Source, &u.Delivery.ID, &u.Actor, &u.Environment, &u.App} {
			*text = git.Sanitize(*text)
		}
	}
	return v
}
