package manifest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/landing"
)

// actor is the goroutine that writes. It alone pushes, one push at a time, however
// many environments wait and however long the server is down. Its fields belong to
// it.
type actor struct {
	*branch.Source // the connection it pushes and fetches over
	config         Config

	queue    *queue
	edits    edit.Config
	commits  *edit.Committer
	stopping context.Context // ends when the writer is closed or aborted
	pushing  context.Context // ends when it is aborted
	tip      *atomic.Pointer[View]
	clock    *stepClock

	pushCaps map[string]string // receive-pack's; nil until it was asked
	noThin   bool              // the server takes no thin packs
	packs    git.PackWriter
	snapshot *branch.Snapshot // nil until the first one
	landings *landing.Known
	verdicts map[git.Hash]verdict // of commits that claim updates
	unknown  map[string]bool      // ids of updates that were pushed with an unknown result
	rejected map[string]rejection // the last of each environment; see isolate.go

	finder  *handedit.Finder
	origins map[tagAt]handedit.Answer // that were found out in this turn
	wrote   map[appOf]string          // tags, since somebody else moved the branch
}

// run does turn after turn until the writer stops.
func (a *actor) run() {
	defer a.Remote.Close()
	for {
		a.clock.rest()
		handshakes, items := a.queue.next(a.stopping)
		a.clock.step()
		if a.stopping.Err() != nil {
			a.queue.finishAll(errClosed)
			return
		}
		if len(handshakes) > 0 {
			a.queue.finishCalls(handshakes, git.PublicError(a.handshake(a.stopping)))
		}
		if len(items) > 0 {
			a.turn(items)
		}
	}
}

// turn brings items onto the branch, or finds out why it cannot. It ends within the
// limits' time, and that of one push.
func (a *actor) turn(items []*item) {
	clear(a.origins) // a person may have put the same file there once more
	t := &turn{ends: time.Now().Add(a.config.Limits.TurnTime), pushes: a.config.Limits.RejectedPushes}
	err := a.write(t, items)
	if isRejection(err) {
		err = a.isolate(t, unanswered(items), err)
	}
	if serverIsDown(err) {
		// That was the answer to every call that came meanwhile, too: to try once for
		// each environment would only press a server that is down.
		a.queue.finish(items, nil)
		a.queue.finishAll(err)
		return
	}
	if err == nil {
		a.queue.putBack(unanswered(items))
	}
	a.queue.finish(items, err)
}

// turn bounds what is done before others have their turn.
type turn struct {
	ends   time.Time
	pushes int // that may still be spent on finding out what of a rejected push is rejected
}

func (t *turn) over() bool { return !time.Now().Before(t.ends) }

// serverIsDown reports whether the error would have met any call.
func serverIsDown(err error) bool {
	switch gitops.CodeOf(err) { // without an error it is Internal
	case gitops.Unavailable, gitops.Unauthorized, gitops.Forbidden, gitops.NotFound, gitops.RateLimited:
		return true
	}
	return false
}

// write pushes items until they are all on the branch, or the turn is over. While
// the branch moves under the pushes, the edits are made again. What was answered
// stays answered when it errs.
func (a *actor) write(t *turn, items []*item) error {
	for attempt := 1; ; attempt++ {
		before := len(items)
		err := a.push(items)
		left := unanswered(items)
		switch {
		case len(left) == 0:
			return nil
		case err != nil:
			return git.PublicError(err)
		case len(left) < before:
			attempt = 0 // it goes forward: these were too many for one push, or some had landed
		case attempt == a.config.Limits.Attempts:
			return gitops.Errorf(gitops.Conflict, "push conflict: branch changed %d times", attempt)
		}
		if items = a.queue.endPush(left); len(items) == 0 || t.over() {
			return nil
		}
		if attempt > 0 {
			if err := a.pause(a.config.Jitter(min(10*time.Millisecond<<attempt, time.Second))); err != nil {
				return err
			}
		}
	}
}

// pause waits a little, or until the writer stops.
func (a *actor) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-a.stopping.Done():
		return errClosed
	}
}

// handshake makes ready for the first update: the right to push, the tip, and as much
// of the history as an update that is accepted from now on can be in.
func (a *actor) handshake(ctx context.Context) error {
	if _, err := a.checkPushAccess(ctx); err != nil {
		return err
	}
	if err := a.ensureSnapshot(ctx); err != nil {
		return err
	}
	since := a.landings.UnknownBefore.Add(-2 * landing.ClockSlack)
	if a.landings.Reaches(since) {
		return nil
	}
	if _, _, err := a.searchLandings(ctx, since); err != nil && ctx.Err() == nil {
		a.config.Logger.InfoContext(ctx, "history not searched yet", "error", err)
	}
	return ctx.Err()
}

// checkPushAccess asks where the branch is, as one who pushes: that proves the right
// to push, and shows what the server can take.
func (a *actor) checkPushAccess(ctx context.Context) (git.Hash, error) {
	refs, err := a.Remote.Refs(ctx, git.ReceivePack, a.config.Branch)
	if err != nil {
		return git.Hash{}, err
	}
	return a.recordRefs(refs)
}

// recordRefs takes in what receive-pack says of the repository, and returns where the
// branch is.
func (a *actor) recordRefs(refs git.Advertisement) (git.Hash, error) {
	if err := refs.CanPush(a.config.Branch); err != nil {
		return git.Hash{}, err
	}
	a.pushCaps = refs.Capabilities
	a.noThin = a.noThin || refs.Can("no-thin")
	return refs.Tip, nil
}

// ensureSnapshot makes sure that there is a snapshot, however old, and that all is
// known that a push needs.
func (a *actor) ensureSnapshot(ctx context.Context) error {
	if a.pushCaps == nil {
		if _, err := a.checkPushAccess(ctx); err != nil {
			return err
		}
	}
	if err := a.commits.Ready(ctx, a.config.Timeouts.Refs); err != nil {
		return err
	}
	if a.snapshot != nil {
		return nil
	}
	began := a.config.Now()
	loaded, err := a.Load(ctx)
	if err != nil {
		return err
	}
	a.landings = landing.NewKnown(a.config.Limits.Landings, began)
	a.setSnapshot(loaded, time.Time{})
	return nil
}

// setSnapshot moves to another snapshot and shows it to readers, which need not ask
// where the branch is for as long as it was there late enough for them: at asOf.
func (a *actor) setSnapshot(s *branch.Snapshot, asOf time.Time) {
	a.snapshot = s
	a.tip.Store(branch.NewView(s, asOf))
}

// moveTo catches up with another tip of the branch, and learns which updates came in
// with it. On an error the snapshot is as it was.
func (a *actor) moveTo(ctx context.Context, tip git.Hash) error {
	old := a.snapshot
	if tip == old.Tip {
		return nil
	}
	began := a.config.Now()
	next, commits, err := a.CatchUp(ctx, old, tip)
	if err != nil {
		return err
	}
	between, complete := make(git.Commits), false
	if commits != nil {
		complete = commits.Walk(tip, commits.Ancestors(old.Tip), time.Time{}, between.Add)
	}
	if newer := landing.Of(between, a.config.Prover); complete && len(newer) <= a.config.Limits.Landings {
		a.landings.Add(newer...)
	} else {
		// Far behind, forced back, merged with what branched off long ago, or more
		// than is remembered: what waits now is looked for by its date.
		a.landings = landing.NewKnown(a.config.Limits.Landings, began)
	}
	a.config.Logger.DebugContext(ctx, "branch moved", "from", old.Tip.String(), "commit", tip.String(), "commits", len(between))
	a.setSnapshot(next, time.Time{})
	clear(a.wrote)
	return nil
}

// retryAtNewTip deals with a fetch at the snapshot's tip that the server says no to.
// If the branch has moved, a newer tip is what to ask for.
func (a *actor) retryAtNewTip(ctx context.Context, err error) error {
	if !git.UnknownToServer(err) {
		return err
	}
	tip, lookErr := a.checkPushAccess(ctx)
	if lookErr != nil || tip == a.snapshot.Tip {
		return errors.Join(lookErr, err)
	}
	return a.moveSoon(ctx, tip)
}

// moveSoon catches up, or leaves it to the next attempt when the server does not
// have that tip any more: the branch has moved again meanwhile.
func (a *actor) moveSoon(ctx context.Context, tip git.Hash) error {
	if err := a.moveTo(ctx, tip); !git.UnknownToServer(err) {
		return err
	}
	return nil
}
