package lane

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// leaseTerm is the time from a claim of a lane to its release.
type leaseTerm struct {
	*lane
	lease   queue.Lease     // as claimed: extending it changes only its end
	ctx     context.Context // ends when the lease is lost or the work given up
	end     context.CancelFunc
	ahead   atomic.Int64 // how far the store's clock is ahead of this process's, as a time.Duration
	expires time.Time    // when the lease ends by this process's clock; the replica's lock guards it
	// expiry ends the term at that time. Its clock goes on while the process is
	// stopped, so that nothing more is sent when the process goes on: the lane may be
	// another's by then.
	expiry *time.Timer

	// The rest belongs to the lane's worker.
	failures backoff
	// sent are the updates, by id, that were handed to the writer to be written and
	// whose result is not reported: any of them may be on the branch.
	sent map[string]bool
	// refusedSince is, by app, when the git server first refused it, for as long as
	// it refuses nothing but that.
	refusedSince map[string]time.Time
	// freed is, by id, when what held an update ended that the git server has refused since:
	// the queue knows only what blocked it last. Another term does not know it, and may find
	// the update stale.
	freed map[string]time.Time
	// edited is, by app, the tag that was put in its file by hand and that may be replaced,
	// until something is written.
	edited map[string]string
	// newer are a person's orders, by id, that were held and are newer than the edit that is
	// in their app's file.
	newer map[string]bool
	// waited are, by id, what was reported to wait for its image: when that ended, by the
	// store's clock, and the zero time while it has not.
	waited       map[string]time.Time
	following    following     // what Proposals has in hand
	imagesJudged time.Time     // when everything that waits for its image was last made ready; zero in a new term
	rejudged     int           // the revision whose freezes the lane's updates are held by; -1 for none yet
	leftAlone    int           // how many of what was taken last cannot be worked on now
	away         []string      // apps whose manifest repository is away, sorted; as of the round
	partial      *queue.Outage // of that repository, or of pull requests; nil for none
	// unknown is, by app, until when it is left alone because the writer could not say
	// what is on the branch although its repository is not away, as far as is known: one
	// that has left the configuration is looked for in every repository.
	unknown  map[string]time.Time
	outage   *queue.Outage // what was last reported of the lane
	reported bool          // something was: before, outage is an earlier holder's
}

func newTerm(l *lane, lease queue.Lease, asked time.Time) *leaseTerm {
	t := &leaseTerm{
		lane: l, lease: lease, expires: asked.Add(l.Lease),
		sent: make(map[string]bool), refusedSince: make(map[string]time.Time), unknown: make(map[string]time.Time),
		freed: make(map[string]time.Time), edited: make(map[string]string), newer: make(map[string]bool), waited: make(map[string]time.Time), rejudged: -1, following: newFollowing(),
	}
	t.compareClocks(lease, asked)
	t.ctx, t.end = context.WithCancel(l.work)
	t.expiry = time.AfterFunc(time.Until(t.expires), l.loseExpired)
	return t
}

// compareClocks learns what the store's clock says from the end of a lease that was
// asked for at a time: also of each extension, since a clock may be set meanwhile.
func (t *leaseTerm) compareClocks(l queue.Lease, asked time.Time) {
	t.ahead.Store(int64(l.ExpiresAt.Add(-t.Lease).Sub(asked)))
}

// now is the store's clock, which judges blocks: as far as the last extension told it.
func (t *leaseTerm) now() time.Time { return time.Now().Add(time.Duration(t.ahead.Load())).UTC() }

// runWithLease works the lane until it is drained or the lease is lost.
func (l *lane) runWithLease(t *leaseTerm) {
	defer l.endTerm()
	for !l.isDraining() && t.ctx.Err() == nil && t.round() {
	}
	t.end()
	t.Images.Leave(l.environment)
	if t.Proposals != nil {
		t.Proposals.Leave(l.environment)
	}
	t.expiry.Stop()
	if cause := t.failures.cause; t.failures.reset() { // it may last, but no longer holds up this process's work
		l.Recorder.BackingOff(l.environment, cause, 0)
	}
	t.release()
}

// lose ends the term because the lease is another's, or may be.
func (t *leaseTerm) lose(why ...any) {
	if t.ctx.Err() == nil {
		t.logger.Warn("lease lost", why...)
	}
	t.end()
}

// release gives the lease back. Without it, the next holder waits until the lease
// runs out.
func (t *leaseTerm) release() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), storeTime)
	defer cancel()
	if err := t.Queue.Release(ctx, t.lease, len(t.sent) == 0); err != nil {
		t.logger.Warn("lease release failed", slog.String("error", err.Error()))
	}
}

// round takes one batch and works it, or waits for one. It reports whether to go
// on.
func (t *leaseTerm) round() bool {
	t.extendDeadline(storeTime)
	t.lookIfHinted()
	revision := t.currentRevision() // before anything goes by the configuration
	if err := t.followFreezes(revision); err != nil {
		return t.queueFailed("judging again what freezes held", err)
	}
	if err := t.followImages(); err != nil {
		return t.queueFailed("judging again what waited for its image", err)
	}
	if !t.liftImages() {
		return false
	}
	t.lookAway()
	switch ours, err := t.followProposals(); {
	case err != nil:
		return t.queueFailed("following pull requests", err)
	case !ours:
		return false
	}
	taken, err := t.take()
	if err != nil {
		return t.queueFailed("reading the queue", err)
	}
	b, err := t.plan(taken, revision)
	if err != nil {
		return t.queueFailed("judging what holds updates", err)
	}
	t.tell(revision)
	// What has ended is reported before anything that takes long. The others do not wait
	// for the next batch, which may have more that ended.
	if !t.reportEnded(b) {
		return false
	}
	switch {
	case len(b.inDoubt) > 0: // before what they may have overtaken is written
		return t.resolve(b)
	case len(b.tasks) > 0:
		return t.write(b)
	case len(b.ended) > 0: // there may be more
		return true
	}
	return t.wait(b)
}

// queueFailed waits until the queue may be asked again, and reports whether to.
func (t *leaseTerm) queueFailed(doing string, err error) bool {
	switch {
	case t.ctx.Err() != nil:
		return false
	case gitops.CodeOf(err) == gitops.Conflict:
		t.lose(slog.String("error", err.Error()))
		return false
	}
	t.pause(t.failed(&t.failures, CauseStore, doing, err), t.stopEvents())
	return true
}

func (t *leaseTerm) take() ([]gitops.Update, error) {
	ctx, cancel := context.WithTimeout(t.ctx, storeTime)
	defer cancel()
	does := t.does()
	return t.Queue.Take(ctx, t.lease, queue.TakeOptions{
		Limit: t.BatchSize + t.leftAlone, NewestOnly: does.newestOnly(), NewestHeld: does.NewestHeld, Unresolved: slices.Sorted(maps.Keys(t.sent)), Except: t.away,
	})
}

// resolve finds out whether updates that are to end are on the branch, and ends
// those that are not. The others that were taken are looked for, too: a report that
// one of these has landed supersedes what is older of its app, and what has landed
// itself is committed instead.
func (t *leaseTerm) resolve(b batch) bool {
	tasks := make([]gitops.WriteTask, len(b.inDoubt))
	for i, e := range b.inDoubt {
		tasks[i] = gitops.WriteTask{Update: e.update, SearchOnly: true}
	}
	for _, task := range b.tasks {
		tasks = append(tasks, gitops.WriteTask{Update: task.Update, SearchOnly: true})
	}
	slices.SortFunc(tasks, func(a, b gitops.WriteTask) int { return cmp.Compare(a.Update.Sequence, b.Update.Sequence) })
	result, err := t.callWriter(tasks)
	if err != nil {
		return t.backOff(b, tasks, result, err)
	}
	t.lookAway()
	r := queue.Report{Transitions: result.Transitions, Outage: t.outage}
	t.add(b, notAnswered(b.inDoubt, result), &r)
	return t.reportResult(b, tasks, r, result.Unknown)
}

// write puts one batch on the branch and reports the result.
func (t *leaseTerm) write(b batch) bool {
	for _, task := range b.tasks {
		if !task.SearchOnly {
			t.sent[task.Update.ID] = true
			delete(t.following.searched, task.Update.ID)
		}
	}
	result, err := t.callWriter(b.tasks)
	if err != nil {
		return t.backOff(b, b.tasks, result, err)
	}
	t.lookAway()
	r := t.reportOf(b, result)
	r.Outage = t.partial
	t.add(b, notAnswered(b.held, result), &r)
	if !t.reportResult(b, b.tasks, r, result.Unknown) {
		return false
	}
	t.resetBackoff(&t.failures)
	return true
}

// finalOf leaves the failures out when the configuration changed while the batch was
// worked: they may be the change's, and the next round goes by the new one.
func (t *leaseTerm) finalOf(b batch, all []gitops.Transition) []gitops.Transition {
	if t.currentRevision() == b.revision {
		return all
	}
	return slices.DeleteFunc(all, func(r gitops.Transition) bool { return r.Action == gitops.ActionFail })
}

func (t *leaseTerm) callWriter(tasks []gitops.WriteTask) (gitops.WriteResult, error) {
	t.setWriting(true)
	defer t.setWriting(false)
	ctx, cancel := context.WithTimeout(t.ctx, writeTime)
	defer cancel()
	return t.Writer.Write(ctx, tasks)
}

// reportResult reports what is known of the tasks of a call of the writer. What is
// unknown stays in sent, and its apps are left alone for a while: others go on.
func (t *leaseTerm) reportResult(b batch, tasks []gitops.WriteTask, r queue.Report, unknown []string) bool {
	if !t.report(b, r) {
		return false
	}
	for _, task := range tasks {
		if !slices.Contains(unknown, task.Update.ID) {
			delete(t.sent, task.Update.ID)
			t.isNotThere(task.Update.ID, r.Transitions)
		}
	}
	for _, id := range unknown {
		if app := b.byID[id].App; !t.isAway(app) {
			t.unknown[app] = time.Now().Add(pollEvery)
		}
	}
	return true
}
