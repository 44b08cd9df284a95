package lane

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// wait waits for work, and reports whether to go on: a closing lane does not wait. An outage
// that was reported is over when nothing is left that could meet it; what is looked at may.
func (t *leaseTerm) wait(b batch) bool {
	if b.looking == 0 {
		if !t.reported || !sameOutage(t.outage, t.partial) {
			if _, err := t.reportOnce(queue.Report{Outage: t.partial}); err != nil {
				return t.queueFailed("reporting an outage or its end", err)
			}
		}
		t.resetBackoff(&t.failures)
	}
	if t.isClosing() && len(t.closes()) == 0 {
		return false
	}
	if b.crowded {
		return true
	}
	if b.leftAlone > 0 { // the queue goes on telling of these
		on := t.stopEvents()
		on.images, on.proposals = t.Images.Changed(t.environment), t.proposalsChanged()
		t.pause(pollEvery, on)
		return true
	}
	t.setIdle(true)
	defer t.setIdle(false)
	for {
		select {
		case <-time.After(t.judgeWithin(time.Until(t.imagesJudged.Add(imagesAgain)))): // what that makes ready gives a hint
			if err := t.followImages(); err != nil {
				return t.queueFailed("judging again what waits for its image", err)
			}
			if ours, err := t.followProposals(); err != nil {
				return t.queueFailed("following pull requests", err)
			} else if !ours {
				return false
			}
			t.tell(t.currentRevision())
			if t.isClosing() { // what it waited for may be over
				return true
			}
			continue
		case <-t.Queue.Wake(t.environment):
			t.look()
		case <-t.Images.Changed(t.environment):
		case <-t.proposalsChanged():
		case <-t.due:
		case <-t.drain:
		case <-t.ctx.Done():
		}
		return true
	}
}
