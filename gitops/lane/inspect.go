package lane

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// candidate is an open update of a batch, and what the round has found out about it.
type candidate struct {
	update  gitops.Update
	write   bool    // it is to be written, where there is room
	ends    *ending // something keeps it from that, and is to be reported
	looking bool    // its image is being looked at
	alone   bool    // it takes no part in this round
}

// mostLooking is how many updates whose images are looked at are taken again beside a
// batch: what is behind more of them waits until some are known.
const mostLooking = 5_000

// inspect asks what is known of the images of what is to be written.
func (t *leaseTerm) inspect(all []candidate) {
	var asked []gitops.Update
	var of []*candidate
	ahead := time.Duration(t.ahead.Load())
	for i := range all {
		if all[i].write {
			asked, of = append(asked, byOwnClock(all[i].update, ahead)), append(of, &all[i])
		}
	}
	if len(asked) == 0 {
		return
	}
	for i, known := range t.Images.Inspect(asked) {
		c := of[i]
		switch {
		case known.Looking:
			c.looking = true
		case known.Waits != nil:
			c.ends = &ending{update: c.update, blocks: []gitops.Block{t.byStoreClock(*known.Waits, ahead)}}
		case known.Fails != nil:
			c.ends = &ending{update: c.update, transition: &gitops.Transition{
				Update: c.update.ID, Action: gitops.ActionFail, Code: known.Fails.Code, Reason: known.Fails.Public(),
			}}
		default:
			c.update.Found = known.Found
		}
		c.write = known.Present
	}
	leaveAlone(all)
}

// leaveAlone takes out of the round what is being looked at and every later update of the
// same app, which must not be written before it. Where an earlier one is written they are
// looked for beside it: one that is on the branch decides that.
func leaveAlone(all []candidate) {
	looking, writes := make(map[string]bool), make(map[string]bool)
	for i := range all {
		c := &all[i]
		looking[c.update.App] = looking[c.update.App] || c.looking
		c.write = c.write && !looking[c.update.App]
		writes[c.update.App] = writes[c.update.App] || c.write
	}
	for i := range all {
		c := &all[i]
		c.alone = looking[c.update.App] && !writes[c.update.App] && c.ends == nil
	}
}

// byOwnClock is an update with its times by this process's clock, where the store's is ahead.
func byOwnClock(u gitops.Update, ahead time.Duration) gitops.Update {
	for _, at := range []*time.Time{&u.AcceptedAt, &u.RetriedAt, &u.ImageSince} {
		if !at.IsZero() {
			*at = at.Add(-ahead)
		}
	}
	return u
}

// byStoreClock is a block with its times by the store's clock. One whose end has come, by a
// clock that differs a little, is asked about again after a moment and not at once.
func (t *leaseTerm) byStoreClock(b gitops.Block, ahead time.Duration) gitops.Block {
	if !b.Since.IsZero() {
		b.Since = b.Since.Add(ahead)
	}
	if !b.Until.IsZero() {
		b.Until = latest(b.Until.Add(ahead), t.now().Add(pollEvery))
	}
	return b
}

// imagesAgain is how often everything that waits for its image is looked at again.
const imagesAgain = 15 * time.Minute

// followImages has everything that waits for its image looked at again when the lane is
// claimed: what the last holder was waiting for is known nowhere else. So it does from time
// to time: a store that lost its last reports, in a failover, may have what was found long ago
// wait again.
func (t *leaseTerm) followImages() error {
	now := time.Now()
	if !t.imagesJudged.IsZero() && now.Sub(t.imagesJudged) < imagesAgain {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, storeTime)
	defer cancel()
	if err := t.Queue.Rejudge(ctx, gitops.BlockImage, []string{t.environment}); err != nil {
		return err
	}
	t.imagesJudged = now
	return nil
}

// liftImages reports that what waited for its image waits no longer, so that it is taken
// again. It reports whether the lease is still ours.
func (t *leaseTerm) liftImages() bool {
	r := queue.Report{Outage: t.outage}
	for _, id := range t.Images.Freed(t.environment) {
		if until, waits := t.waited[id]; waits && until.IsZero() {
			r.Blocks = append(r.Blocks, queue.Blocked{Update: id})
		}
	}
	return len(r.Blocks) == 0 || t.report(batch{}, r)
}
