// Package manifest writes the manifest repository: it turns updates into commits on
// the branch that Argo CD watches.
//
// # How a write goes
//
// One goroutine, the actor, writes. It holds the branch's tip in memory as an
// immutable snapshot: all trees, and of the files those that updates can change; no
// history, no worktree, no git binary. What callers bring waits in a queue, and what
// has gathered there while a push was on its way goes out together in the next one.
// [actor.push] tells the whole way:
//
//  1. Read the tip, once: later the snapshot follows from push to push.
//  2. Resolve what may have landed: an update that may be on the branch already is
//     looked for.
//  3. Plan the edits on the snapshot: one commit for each update, or for each
//     environment where that squashes. Nothing leaves the process.
//  4. Push them as one pack with the old tip beside the new one. The server takes it
//     only if the branch is still at the old tip: that compare-and-swap makes
//     replicas, other bots and people safe from one another. The branch is never
//     forced.
//  5. Judge by the branch, not by the answer. If it moved, the snapshot catches up
//     and the edits are made again. If the commits are there, they landed, whatever
//     the answer said. If nothing changed, the server rejected them.
//  6. Report.
//
// A push that the server rejects is taken apart, by environment, app and update, so
// that one update that it does not take holds up no other (isolate.go).
//
// Readers get a [View] over a connection of their own; no push waits for them.
//
// # Never twice, and never an old release over a new one
//
// Each commit names its updates in Tallyman-Update trailers, and in Tallyman-Release
// trailers which app they release and when the release happened. Its last line proves
// that a tallyman made it (gitops/proof); a commit that only says so counts when it does
// exactly what an update asks that may have been pushed (claims.go). An update is
// written on a tip only when no commit that the tip reaches has landed it:
//
//   - Commits that came onto the branch since the last tip are read before anything
//     is made on the new one.
//   - An update that may have been pushed without the writer's knowing is looked for
//     in the history: one that an earlier process may have pushed, or this one
//     without hearing the result; one from before the writer's first snapshot, which
//     knows no history; one that came late, such as a delivery that is taken in again
//     after the store was restored. [landings] says how far back the history is known.
//   - A push with an unknown result was made on a known tip. Whatever is pushed next
//     is made on that same tip, and then the server takes only one of the two; or on
//     a later one, and then the first rule finds it.
//
// The branch also decides what is old: an update is superseded when a later one of
// its app that is in the same call is on the branch, when it came late and the
// branch has a release of its app from after its event, and when it only goes up and
// its file has a higher version (version.go).
//
// # What a crash leaves
//
// On the branch, all commits of a push or none. In the process, nothing: the writer
// has no state that it could not fetch again.
package manifest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
)

// Writer writes one branch of one repository. Safe for concurrent use.
type Writer struct {
	queue   queue
	reader  *branch.Reader
	tip     *atomic.Pointer[View] // where the actor is; nil until the first snapshot
	clock   *stepClock
	stop    context.CancelFunc // ends what waits, not the push on its way
	abort   context.CancelFunc // ends that, too
	stopped chan struct{}      // closed when the actor has ended
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
	readers, err := c.remote()
	if err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	signer, err := c.Signing.Signer(c.Now())
	if err != nil {
		return nil, err
	}
	pushing, abort := context.WithCancel(context.Background())
	stopping, stop := context.WithCancel(pushing)
	w := &Writer{
		queue:  queue{limit: c.Limits.PushUpdates, woken: make(chan struct{}, 1)},
		reader: branch.NewReader(stopping, branch.New(c.source(), readers)),
		tip:    new(atomic.Pointer[View]), clock: new(stepClock), stop: stop, abort: abort, stopped: make(chan struct{}),
	}
	a := &actor{
		Source: branch.New(c.source(), git.Watch(remote, w.clock.step)), config: c, queue: &w.queue, tip: w.tip, clock: w.clock,
		edits: c.edits(), commits: c.committer(signer),
		stopping: stopping, pushing: pushing, unknown: make(map[string]bool),
		rejected: make(map[string]rejection), verdicts: make(map[git.Hash]verdict),
		origins: make(map[tagAt]handedit.Answer), wrote: make(map[appOf]string),
	}
	a.finder = a.newFinder()
	go func() {
		defer close(w.stopped)
		a.run()
	}()
	return w, nil
}

// Close finishes the push that is on its way, if any, and stops. Calls that still
// wait, and those that come later, get [gitops.Unavailable]. It may be called
// more than once. It takes as long as that push and a look at the branch may,
// unless [Writer.Abort] ends them.
func (w *Writer) Close() error {
	w.stop()
	<-w.stopped
	w.abort()
	w.reader.Close()
	return nil
}

// Abort is for a process that must end now: it stops the writer without waiting for
// the push that is on its way. The result of that push is then unknown; who writes
// its updates next must be told so, with MaybePushed.
func (w *Writer) Abort() { w.abort() }

// Write brings updates onto the branch, in the order given, each as its own
// commit; those of an environment for which [Config.Squash] holds as one. Tasks that
// are SearchOnly are only looked for. It is meant to be called concurrently, by one
// caller per environment with that lane's next updates; what several callers bring
// goes out in one push.
//
// The result has what is known, in the order of the tasks:
//
//   - commit, with the commit's hash: the commit is on the branch. In a squash a
//     later update of the same app may have replaced what this one wrote; then there
//     is a reason that says so, unless it was found by its trailer.
//   - confirm: the branch had the tag already.
//   - supersede: the branch has a later release of the app, or one it must not go below.
//   - fail, with a code and a sentence: the update's own fault. Its file or key is
//     missing, the file is not YAML or too large, a rule rejects it.
//   - Refused: the git server refuses it although it takes others.
//   - Held: [Config.Gate] holds it.
//   - HandEdits: its file has neither the tag that its task expects nor its own, and no
//     commit of ours put it there.
//
// An error means that somebody else is at fault, and is a [*gitops.Error]:
// Unavailable, Unauthorized, Forbidden, NotFound for a repository or branch that
// is not there, RateLimited with RetryAfter, Rejected with the server's words when
// it rejects whatever is pushed, Conflict when the branch moved too often in a row.
// The updates that are in no list may or may not have landed; they must stay
// pending and be given to Write again, in the same order, before any that come after
// them. The same writer needs no hint then; another process must be told with
// MaybePushed. Without an error, what is in no list is not on the branch.
//
// When ctx ends before the updates are in a push, they are taken out and nothing
// happens to them. Once they are in one its result is awaited, for as long as
// [git.Timeouts] allow. One caller's ctx does not disturb another's push.
func (w *Writer) Write(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
	if len(tasks) == 0 {
		return gitops.WriteResult{}, nil
	}
	return w.await(ctx, newCall(tasks))
}

// Handshake proves that the repository is there, that it has the branch, and
// that the credentials may push to it, learns what the server can do, and brings
// the tip here with the latest of its history, so that the first update waits for
// nothing. Write does the same when it was not done before. Errors as Write.
func (w *Writer) Handshake(ctx context.Context) error {
	c := newCall(nil)
	c.handshake = true
	_, err := w.await(ctx, c)
	return err
}

// View is the branch as it was at one commit.
type View = branch.View

// View returns the branch as it was no longer than maxAge ago, with every file of
// [Config.Files] and those at the paths. When nothing was pushed since then it asks the
// server once where the branch is, over a connection of its own, and fetches what is
// not here; nothing that is written waits for it. Errors as Write.
func (w *Writer) View(ctx context.Context, maxAge time.Duration, paths ...string) (*View, error) {
	if w.tip.Load() == nil {
		if err := w.Handshake(ctx); err != nil {
			return nil, err
		}
	}
	return w.reader.View(ctx, w.tip, time.Now().Add(-maxAge), paths)
}

// ViewAt returns the branch as it is at a tip, where the caller has just seen it, and is as
// View beside that. It asks the server only for what is not here.
func (w *Writer) ViewAt(ctx context.Context, tip git.Hash, seen time.Time, paths ...string) (*View, error) {
	if w.tip.Load() == nil {
		if err := w.Handshake(ctx); err != nil {
			return nil, err
		}
	}
	return w.reader.ViewAt(ctx, w.tip, tip, seen, paths)
}

// await brings a call to the actor and waits until it is done.
func (w *Writer) await(ctx context.Context, c *call) (gitops.WriteResult, error) {
	w.queue.add(c)
	select {
	case <-c.done:
	case <-ctx.Done():
		w.queue.withdraw(c, gitops.Errorf(gitops.Unavailable, "the write was given up before it was done").WithCause(context.Cause(ctx)))
		<-c.done
	case <-w.stopped:
		w.queue.withdraw(c, errClosed)
		<-c.done
	}
	return c.result(), c.err
}

// LastStep returns when the writer last made a step: when it last heard from the
// git server or edited a file, or now while it has nothing to do. No step takes
// longer than the longest of [git.Timeouts], so a writer whose last step is much
// longer ago hangs.
func (w *Writer) LastStep() time.Time { return w.clock.last() }

var errClosed = gitops.Errorf(gitops.Unavailable, "the program is stopping")

// remote makes the way to the repository, behind the breaker that readers and writer share.
func (c Config) remote() (git.Remote, error) {
	r, err := git.NewRemote(git.Config{
		URL: c.URL, Credentials: c.Credentials, SSH: c.SSH, Timeouts: c.Timeouts, Now: c.Now, RootCAs: c.RootCAs, Transport: c.Transport,
	})
	if err != nil {
		return nil, err
	}
	return c.Breaker.Guard(r), nil
}
