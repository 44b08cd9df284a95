// Package contain tells what a revision of a manifest repository has of an update: whether
// it is the update's commit or comes after it, and which tag its file has there.
//
// It asks the git server over a connection of its own, so that nothing that writes the
// branch waits for it, and never clones: of the history it reads names, parents and dates of
// commits, newest first, and of a revision what differs from the branch as the writer and its
// readers hold it ([Config.View]). A revision that is the branch's tip is not fetched at all.
//
// # What a crash leaves
//
// Nothing: all that is remembered here can be asked for again.
package contain

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/landing"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// Config says which repository is asked. All of it is required but what says otherwise.
type Config struct {
	// Remote is a connection to the repository of its own, behind the breaker that all who
	// reach its server share. It is closed with the reader.
	Remote git.Remote

	// Branch is the branch that updates are written to, and View the branch as it was no longer
	// than maxAge ago, as [manifest.Writer.View] gives it.
	Branch string
	View   func(ctx context.Context, maxAge time.Duration, paths ...string) (*branch.View, error)

	Guard  edit.Guard // stands before all that is parsed
	Now    func() time.Time
	Limits Limits
}

// Limits bound what is held at once.
type Limits struct {
	FileBytes int // of a file that is read; default 1 MiB
	// Memory is how many bytes may be taken for revisions that are looked at, and may change:
	// half of it while one is fetched, and a quarter for each of the two that are kept, of what
	// they do not share with the branch. Beside that are kept:
	//   - 20,000 commits without their messages, about 230 bytes each: 4.6 MB, and up to 5,000
	//     of one search once more: 1.2 MB;
	//   - 4,000 answers, about 400 bytes each: 1.6 MB.
	Memory func() int64
}

// Question says of which revision it is asked, and what it is to have.
type Question struct {
	Revision string // hexadecimal name of a commit; any other text names none
	// Commit is the update's, in hexadecimal. "" is that of an update whose tag the branch
	// had already: then the file at the revision alone decides.
	Commit string
	Tag    string
	// Path is of the update's first file, as it is configured now, and Reader takes the tag out
	// of it. A file that was elsewhere at a revision has no tag there.
	Path   string
	Reader edit.TagReader // comparable: answers are remembered by it
	// Since is a time before which the commit cannot have been made: its search ends there.
	// The zero time ends no search.
	Since time.Time
}

// QuestionOf asks for an update whose first file is at a path.
func QuestionOf(u gitops.Update, revision, path string, reader edit.TagReader) Question {
	return Question{Revision: revision, Commit: u.Commit, Tag: u.Tag, Path: path, Reader: reader, Since: landing.SearchFrom(u)}
}

// Reader answers for one repository. Safe for concurrent use: one question is asked of the git
// server at a time, others wait for their turn, and most are answered by what the one before
// has brought.
type Reader struct {
	config Config
	edits  edit.Config
	turn   chan struct{} // has a token while nothing is asked

	stopping context.Context // ends when Close is called
	stop     context.CancelFunc

	answers *answers

	// Of whoever has the turn:
	caps     map[string]string // upload-pack's; nil until it was asked
	tipsOnly bool              // the server gives no commit but the tips of branches
	base     *branch.Snapshot  // the branch as it was last seen; nil before
	known    lineage
	sights   []*sight               // the newest last
	absent   map[git.Hash]time.Time // revisions that the repository did not have, and when it was asked
}

// New makes a reader. It does not use the network.
func New(c Config) *Reader {
	c.Limits.FileBytes = cmp.Or(c.Limits.FileBytes, 1<<20)
	r := &Reader{
		config: c, edits: edit.Config{Guard: c.Guard}, turn: make(chan struct{}, 1), answers: newAnswers(),
		known: newLineage(), absent: make(map[git.Hash]time.Time),
	}
	r.turn <- struct{}{}
	r.stopping, r.stop = context.WithCancel(context.Background())
	return r
}

// Close ends what is being asked and frees the connection. It may be called more than once.
func (r *Reader) Close() {
	first := r.stopping.Err() == nil
	r.stop()
	<-r.turn
	if first {
		r.config.Remote.Close()
	}
	r.turn <- struct{}{}
}

var errClosed = gitops.Errorf(gitops.Unavailable, "the program is stopping")

// enter waits for the turn. The context ends with the reader, too.
func (r *Reader) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	select {
	case <-r.turn:
	case <-ctx.Done():
		return nil, nil, git.PublicError(context.Cause(ctx))
	case <-r.stopping.Done():
		return nil, nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(r.stopping, cancel)
	leave = func() { unhook(); cancel(); r.turn <- struct{}{} }
	if r.stopping.Err() != nil { // the turn came with the end
		leave()
		return nil, nil, errClosed
	}
	return ctx, leave, nil
}

// Containment tells what the revision of a question has of the update.
//
// An error means that it is not known: the git server is away, or there is more history
// between the two than is searched. Errors are as of [git.PublicError], [gitops.TooLarge] for
// what is over a limit, and [gitops.Invalid] for a commit or a path that cannot be one.
// What is answered is remembered, except that the repository does not have the revision, which
// is asked again after a few seconds, or not the commit: a replica of the server may be behind.
func (r *Reader) Containment(ctx context.Context, q Question) (rollout.Containment, error) {
	revision, ok := git.ParseHash(q.Revision)
	if !ok {
		return rollout.NotARevision, nil
	}
	var commit git.Hash
	if q.Commit != "" {
		if commit, ok = git.ParseHash(q.Commit); !ok {
			return "", gitops.Errorf(gitops.Invalid, "%.64q is not the name of a commit", q.Commit)
		}
		if commit == revision {
			return rollout.Contained, nil
		}
	}
	if _, err := git.SplitPath(q.Path); err != nil {
		return "", err
	}
	key := answerKey{revision: revision, commit: commit, tag: q.Tag, path: q.Path, reader: q.Reader}
	if known, ok := r.answers.get(key); ok {
		return known, nil
	}
	ctx, leave, err := r.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	var found rollout.Containment
	err = r.try(ctx, func() error {
		found, err = r.find(ctx, q, revision, commit)
		return err
	})
	if err != nil {
		return "", err
	}
	if found != rollout.NotARevision && found != rollout.Elsewhere {
		r.answers.put(key, found)
	}
	return found, nil
}

// try asks, and asks again when the branch has moved on meanwhile and the server does not give
// any more what it had. What was looked at before an error is looked at again.
func (r *Reader) try(ctx context.Context, ask func() error) error {
	r.known.forget()
	for tries := 1; ; tries++ {
		err := ask()
		if err == nil {
			return nil
		}
		r.sights = nil
		if !git.UnknownToServer(err) {
			return git.PublicError(err)
		}
		if tries == branch.MaxTries {
			return errMoved.WithCause(err)
		}
		if err := r.refresh(ctx, 0); err != nil {
			return git.PublicError(err)
		}
	}
}

// find answers a question that was not asked before.
func (r *Reader) find(ctx context.Context, q Question, revision, commit git.Hash) (rollout.Containment, error) {
	at, err := r.sightOf(ctx, revision)
	if errors.Is(err, errAbsent) {
		return rollout.NotARevision, nil
	}
	if err != nil {
		return "", err
	}
	if !commit.IsZero() {
		within, err := r.reaches(ctx, revision, commit, q.Since)
		if err != nil {
			return "", err
		}
		if !within {
			return r.apart(ctx, q, revision, commit, at.commit.Made)
		}
	}
	tag, err := r.tagAt(ctx, at, q.Path, q.Reader)
	switch {
	case err != nil:
		return "", err
	case tag == q.Tag:
		return rollout.Contained, nil
	}
	return rollout.OtherTag, nil
}

// apart tells how a revision stands to a commit that it does not reach. A commit that the
// server does not give any more is on no branch.
func (r *Reader) apart(ctx context.Context, q Question, revision, commit git.Hash, made time.Time) (rollout.Containment, error) {
	there, err := r.fetchCommit(ctx, commit, q.Since)
	if err != nil || !there {
		return rollout.Elsewhere, err
	}
	before, err := r.reaches(ctx, commit, revision, made)
	if err == nil && before {
		return rollout.Before, nil
	}
	return rollout.Elsewhere, err
}

// errMoved says that the server does not give what it had a moment ago.
var errMoved = gitops.Errorf(gitops.Unavailable, "the branch changed while it was read: try again")

// errAbsent says that the repository does not have a commit, or does not give it.
var errAbsent = gitops.Errorf(gitops.NotFound, "the manifest repository does not have the commit")
