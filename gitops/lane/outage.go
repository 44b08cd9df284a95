package lane

import (
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// lookAway asks the writer which apps it cannot write while it can write others, and where it
// can write all of them whether pull requests wait for a forge.
func (t *leaseTerm) lookAway() {
	apps, outage := t.Writer.Away(t.environment)
	if outage == nil && t.proposes() {
		outage = t.Proposals.Away(t.environment)
	}
	t.away, t.partial = slices.Sorted(slices.Values(apps)), nil
	if outage != nil {
		byStore := *outage
		byStore.RetryAt = t.now().Add(time.Until(outage.RetryAt))
		t.partial = &byStore
	}
}

// isAway reports whether the app's manifest repository is away.
func (t *leaseTerm) isAway(app string) bool {
	_, away := slices.BinarySearch(t.away, app)
	return away
}

// waits reports whether nothing can be found out or written of the app now.
func (t *leaseTerm) waits(app string) bool {
	return t.isAway(app) || time.Now().Before(t.unknown[app])
}

// sameOutage reports whether one says nothing new after the other. Clocks are compared
// again and again, so times of one retry differ by a little.
func sameOutage(a, b *queue.Outage) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Repository == b.Repository && a.Code == b.Code && a.Reason == b.Reason && a.RetryAt.Sub(b.RetryAt).Abs() < firstWait/2
}

// backOff reports what is known in spite of an outage, and the outage, and waits.
// What is not known stays in sent, and the writer looks for it the next time.
func (t *leaseTerm) backOff(b batch, tasks []gitops.WriteTask, result gitops.WriteResult, cause error) bool {
	outage := &queue.Outage{Code: gitops.CodeOf(cause), Reason: gitops.PublicOf(cause)}
	var failed, retry time.Time // by this process's clock
	if t.ctx.Err() == nil {
		wait := t.failed(&t.failures, CauseRepository, "writing the manifest repository", cause)
		failed, outage.RetryAt = time.Now(), t.now().Add(wait)
		retry = failed.Add(wait)
	}
	r := t.reportOf(b, result)
	r.Outage = outage
	if !t.report(b, r) {
		return false
	}
	for _, s := range r.Transitions {
		delete(t.sent, s.Update)
	}
	for _, blocked := range r.Blocks {
		delete(t.sent, blocked.Update)
	}
	for t.ctx.Err() == nil && t.pauseUntil(retry) {
		if soon := failed.Add(shortestRefusal); outage.Code == gitops.Rejected && soon.Before(retry) {
			retry = soon // what came may be taken where all that was tried is refused
		}
		t.cancelUnsent()
	}
	return true
}

// pauseUntil waits for a time, and reports whether it was woken before.
func (t *leaseTerm) pauseUntil(retry time.Time) (woken bool) {
	left := time.Until(retry)
	if left <= 0 || t.isDraining() {
		return false // whatever has woken it meanwhile
	}
	on := t.stopEvents()
	on.wake, on.images, on.proposals = t.Queue.Wake(t.environment), t.Images.Changed(t.environment), t.proposalsChanged()
	woken = t.pause(t.judgeWithin(left), on)
	return woken || t.ctx.Err() == nil && !t.isDraining() && time.Until(retry) > 0
}

// cancelUnsent carries out the cancellations that need no look at the branch, and reports
// what else keeps updates from being written, while an outage keeps the lane from looking.
// Pull requests are followed as without it. What fails is done after the outage.
func (t *leaseTerm) cancelUnsent() {
	revision := t.currentRevision()
	if ours, err := t.followProposals(); !ours || err != nil {
		return
	}
	taken, err := t.take()
	if err != nil {
		return
	}
	b, err := t.plan(taken, revision)
	if err != nil {
		return
	}
	t.tell(revision)
	t.reportEnded(b)
	t.pause(pollEvery, t.stopEvents()) // a hint comes with each delivery, too
}
