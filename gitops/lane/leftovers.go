package lane

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// tidy looks for open updates that are not configured any more, at once, after the
// configuration changed, and every minute, until the replica is drained.
func (r *Replica) tidy() {
	searched := make(map[string]bool)
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		if err := r.findLeftovers(searched); err != nil && !r.isDraining() {
			r.Logger.Warn("search for updates that are not configured failed, retrying", slog.String("error", err.Error()))
		}
		select {
		case <-ticker.C:
		case <-r.configured:
			clear(searched)
		case <-r.drain:
			return
		}
	}
}

// findLeftovers opens a closing lane for each environment that is not configured
// and has open updates, and has those cancelled that no lane would ever take: they
// wait for a person. A configured environment is searched for such once for each
// configuration.
func (r *Replica) findLeftovers(searched map[string]bool) error {
	ctx, cancel := context.WithTimeout(r.work, storeTime)
	defer cancel()
	backlogs, err := r.Queue.Backlogs(ctx)
	if err != nil {
		return err
	}
	for _, b := range backlogs {
		held := 0
		for _, n := range b.Held {
			held += n
		}
		open := b.Pending + held + b.Proposed
		if open == 0 {
			continue
		}
		closing := r.closeLane(b.Environment, open)
		if held > 0 && (closing || !searched[b.Environment]) {
			if err := r.cancelBlocked(b.Environment); err != nil {
				return err
			}
			searched[b.Environment] = true
		}
	}
	return nil
}

// closeLane reports whether the environment is not configured, and then has a
// closing lane for it.
func (r *Replica) closeLane(environment string, open int) (closing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.lanes[environment]
	if !ok {
		r.Logger.Warn("environment is not configured, cancelling its updates", slog.String("environment", environment), slog.Int("updates", open))
		r.addLane(Environment{Name: environment}, true)
		return true
	}
	return l.closing
}

const pageSize = 500

// cancelBlocked requests the cancellation of the environment's updates that are not
// configured and whose blocks do not lift by themselves. The lane's holder carries
// it out.
func (r *Replica) cancelBlocked(environment string) error {
	page := queue.Page{Limit: pageSize}
	for {
		found, next, err := r.pendingPage(environment, page)
		if err != nil {
			return err
		}
		for _, u := range found {
			if err := r.cancelIfBlocked(u); err != nil {
				return err
			}
		}
		if next == "" || r.isDraining() {
			return nil
		}
		page.Cursor = next
	}
}

func (r *Replica) pendingPage(environment string, page queue.Page) (found []gitops.Update, next string, err error) {
	ctx, cancel := context.WithTimeout(r.work, storeTime)
	defer cancel()
	return r.Queue.Updates(ctx, queue.UpdateFilter{Environment: environment, State: gitops.Pending}, page)
}

func (r *Replica) cancelIfBlocked(u gitops.Update) error {
	why := r.NotConfigured(u)
	if _, liftsByItself := gitops.BlockedUntil(u.BlockedBy); why == "" || liftsByItself || r.othersKnowMore() {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.work, storeTime)
	defer cancel()
	_, err := r.Queue.Decide(ctx, queue.Decision{Update: u.ID, Action: gitops.ActionCancel, Actor: "tallyman", Reason: why})
	switch gitops.CodeOf(err) {
	case gitops.Conflict, gitops.NotFound: // it ended meanwhile
		return nil
	}
	return err
}

// othersKnowMore reports whether another replica may have a newer configuration for as
// long as this one rejects it.
func (r *Replica) othersKnowMore() bool { return r.Rollout > 0 && r.Outdated() }

// NotConfigured says why an update cannot be written by this replica any more, and is
// cancelled; "" when it can, or when that is not settled.
func (r *Replica) NotConfigured(u gitops.Update) string {
	if why, settled := r.notConfigured(u); settled {
		return why
	}
	return ""
}

// notConfigured says why an update cannot be written by this replica now; "" when it can.
// What is not settled is left alone.
func (r *Replica) notConfigured(u gitops.Update) (why string, settled bool) {
	switch l := r.laneOf(u.Environment); {
	case l == nil || l.isClosing():
		return fmt.Sprintf("environment %q is not configured", u.Environment), true
	case !r.Configured(u.Environment, u.App):
		return r.WhyNot(u.Environment, u.App)
	}
	return r.AnotherImage(u), true
}
