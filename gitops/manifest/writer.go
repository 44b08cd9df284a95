// Package manifest writes the manifest repository on origin: it turns updates
// into commits on the branch that Argo CD watches.
//
// # How a write goes
//
// A [Writer] holds the trees and files of the branch's tip in memory, and nothing
// else: no history, no worktree, no git binary. It computes each update's edit on
// that snapshot, makes one commit per update (or, where an environment squashes, one
// for all that it has in the push), and sends them as one pack in one request (over
// SSH, in one session), which tells the server the old tip as well as the new one.
// The server takes it only if the branch is still at the old tip: that compare-and-swap is
// what makes replicas, other bots and people safe from one another. The branch is
// never forced.
//
// When the push does not succeed the writer looks at the branch, not at the
// error. If it moved, the writer fetches what is new, makes every edit again on
// the new tip, and pushes again. If its commits are there, they landed, whatever
// the answer said. If nothing changed, the server refused, and its words are kept.
//
// For very large repositories the snapshot can be partial ([Config.Partial]): it has
// the trees, and before a plan is made the files that it is about are fetched.
//
// Calls that come while a push is on its way go out together in the next one, so
// a busy writer needs no timer to batch.
//
// [Writer.History] reads what came before the tip, over a connection of its own.
//
// # Never twice
//
// Each commit names its update, or each of its updates, in a Tallyman-Update
// trailer. A commit for an update is made on a tip only when it is established that no commit that the tip
// reaches carries that trailer, by these three:
//
//   - Commits that came onto the branch since the last tip are fetched and read
//     before anything is made on the new one.
//   - An update that an earlier process, or this one, may have pushed is looked for
//     in the history back to when it was accepted, as far as that is not known.
//   - A push whose fate is unknown was made on a known tip. Whatever is pushed
//     next is made on that same tip, in which case the server takes only one of
//     the two; or on a later one, and then the first rule finds it.
//
// # What a crash leaves
//
// On the branch, all commits of a push or none. Here, nothing: the writer has no
// state that it could not fetch again.
package manifest

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// Writer writes one branch of one repository. Safe for concurrent use.
type Writer struct {
	config Config
	remote git.Remote
	signer git.Signer // nil when commits are not signed

	// Of the goroutine in run, the only one that talks to the remote:
	snapshot *snapshot // nil until the first sync
	offers   offers
	packs    git.PackWriter
	unsure   map[string]bool // ids of updates whose push nobody knows the fate of

	// Of whoever has the one token, and not of the goroutine in run:
	past    git.Remote // for reading history, so that nothing waits for that
	reading chan struct{}

	stopping context.Context // ends when Close or Cut is called
	stop     context.CancelFunc
	pushing  context.Context // ends when Cut is called
	cut      context.CancelFunc
	stopped  chan struct{} // closed when run has returned

	mu       sync.Mutex
	tasks    []task
	calls    []*call
	woken    chan struct{} // has a token when there may be something in tasks or calls
	barred   *gitops.Error // set while the server asked us to stay away
	barUntil time.Time
}

// offers is what the server said it can do.
type offers struct {
	push   map[string]string // receive-pack's capabilities; nil until the handshake
	fetch  map[string]string // upload-pack's; nil until the first sync
	whole  bool              // the server takes no thin packs
	entire bool              // the server sends files only together with their commit
}

// New makes a writer and starts its goroutine, which ends with Close. It checks
// the configuration and does not use the network. Its errors are
// [gitops.Invalid] and name the field.
func New(c Config) (*Writer, error) {
	c = c.withDefaults()
	remote, err := c.remote()
	if err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	past, err := c.remote()
	if err != nil {
		return nil, err
	}
	signer, err := c.Signing.Signer(c.Now())
	if err != nil {
		return nil, err
	}
	w := &Writer{
		config:  c,
		signer:  signer,
		remote:  remote,
		past:    past,
		reading: make(chan struct{}, 1),
		stopped: make(chan struct{}),
		woken:   make(chan struct{}, 1),
		unsure:  make(map[string]bool),
	}
	w.pushing, w.cut = context.WithCancel(context.Background())
	w.stopping, w.stop = context.WithCancel(w.pushing)
	go w.run()
	return w, nil
}

// Close finishes the push that is on its way, if any, and stops. Calls that still
// wait, and those that come later, get [gitops.Unavailable]. It may be called
// more than once. It takes as long as that push and a look at the branch may,
// unless [Writer.Cut] ends them.
func (w *Writer) Close() error {
	w.stop()
	<-w.stopped
	w.cut()
	w.reading <- struct{}{}
	w.past.Close()
	<-w.reading
	return nil
}

// Cut is for a process that must end now: it stops the writer without waiting for
// the push that is on its way. The fate of its updates is then unknown; who
// writes them next must be told so, with MaybePushed.
func (w *Writer) Cut() { w.cut() }

// Write brings updates onto the branch, in the order given, each as its own
// commit; those of an environment for which [Config.Squash] holds as one. It is
// meant to be called concurrently, by one caller per environment with that lane's
// next updates; what several callers bring goes out in one push.
//
// It returns settlements for updates whose fate is known, in the order of the
// updates, and an error when that is not all of them:
//
//   - Committed, with the commit's hash: the commit is on origin's branch. In a
//     squash a later update of the same app may have replaced what this one wrote;
//     then there is a reason that says so, unless it was found by its trailer.
//   - Unchanged: the branch already said so.
//   - Superseded: a later one of updates, of the same app and environment, is on
//     the branch already. An earlier writer had been given that one without this.
//   - Failed, with a code and a sentence: the update's own fault. Its file or key
//     is missing, the file is no YAML or too large, a rule refuses it.
//
// An error means that somebody else is at fault, and is a [*gitops.Error]:
// Unavailable, Unauthorized, Forbidden, NotFound for a repository or branch that
// is not there, RateLimited with RetryAfter, Rejected with the server's words,
// Conflict when the branch moved too often in a row. The updates without a
// settlement may or may not have landed; they must stay pending and be given to
// Write again, in the same order, before any that come after them. The same
// writer needs no hint then; another process must be told with MaybePushed.
//
// When ctx ends before the updates are in a push, they are taken out and nothing
// becomes of them. Once they are in one its result is awaited, for as long as
// [Timeouts] allow, so that a caller does not leave behind what it knows nothing
// about. One caller's ctx does not disturb another's push.
func (w *Writer) Write(ctx context.Context, updates []gitops.Update) ([]Settlement, error) {
	if len(updates) == 0 {
		return nil, nil
	}
	c := &call{updates: updates, fates: make([]Settlement, len(updates)), done: make(chan struct{})}
	w.enqueue(func() { w.calls = append(w.calls, c) })
	select {
	case <-c.done:
	case <-ctx.Done():
		w.withdraw(c, gitops.Errorf(gitops.Unavailable, "the write was given up before it was done").WithCause(context.Cause(ctx)))
		<-c.done
	case <-w.stopped:
		w.withdraw(c, errClosed)
		<-c.done
	}
	return c.settlements(), c.err
}

// Handshake proves that the repository is there, that it has the branch, and
// that the credentials may push to it, learns what the server can do, and brings
// the tip here. Write does the same when it was not done before. Errors as Write.
func (w *Writer) Handshake(ctx context.Context) error {
	_, err := ask(ctx, w, func(ctx context.Context) (struct{}, error) {
		if err := w.greet(ctx); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, w.ready(ctx)
	})
	return err
}

// File is a file as it is on the branch, or why it cannot be read.
type File struct {
	Path    string
	Content []byte
	Err     error // NotFound or Invalid, as a [*gitops.Error], when the path is no file there
}

// Tip returns the commit that the branch is at now: as long as it stays the same,
// so do the files. It asks the server once. Errors as Write.
func (w *Writer) Tip(ctx context.Context) (commit string, err error) {
	return ask(ctx, w, func(ctx context.Context) (string, error) {
		if err := w.refresh(ctx); err != nil {
			return "", err
		}
		return w.snapshot.tip.String(), nil
	})
}

// ReadFiles returns files as they are on the branch now, all of the same commit
// and in the order of the paths. However many they are, the server is asked
// once where the branch is, and once for what is not here.
// Errors as Write.
func (w *Writer) ReadFiles(ctx context.Context, paths ...string) ([]File, error) {
	return ask(ctx, w, func(ctx context.Context) ([]File, error) {
		if err := w.refresh(ctx, paths...); err != nil {
			return nil, err
		}
		files := make([]File, len(paths))
		for i, path := range paths {
			files[i] = w.snapshot.read(path)
		}
		return files, nil
	})
}

// ReadFile returns one file as it is on the branch now. Errors as Write, and as
// [File].
func (w *Writer) ReadFile(ctx context.Context, path string) ([]byte, error) {
	files, err := w.ReadFiles(ctx, path)
	if err != nil {
		return nil, err
	}
	return files[0].Content, files[0].Err
}

func (s *snapshot) read(path string) File {
	names, err := git.SplitPath(path)
	if err != nil {
		return File{Path: path, Err: err}
	}
	_, file, err := git.LookUp(s, s.head.Tree, names)
	return File{Path: path, Content: bytes.Clone(file.Data), Err: fileError(path, err)}
}

var errClosed = gitops.Errorf(gitops.Unavailable, "the program is stopping")
