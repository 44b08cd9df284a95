package lane

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// tenure is one lease's time. Its fields belong to the worker goroutine.
type tenure struct {
	*Lane
	lease queue.Lease     // as claimed: extending changes only when it ends
	ctx   context.Context // ends when the lease is lost or the work given up
	wait  backoff

	// clean is whether everything that may have been pushed is settled.
	clean bool
}

// hold works the lane until it is drained or the lease is lost.
func (l *Lane) hold(lease queue.Lease) {
	ctx, lost := context.WithCancel(l.work)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		defer lost()
		l.keep(ctx, lease)
	}()
	t := &tenure{Lane: l, lease: lease, ctx: ctx, clean: true}
	for !l.isDraining() && ctx.Err() == nil && t.round() {
	}
	lost()
	<-kept
	t.release()
}

// keep extends the lease until ctx ends, and returns when the lease is lost: to
// another holder, or because the store has not answered for as long as it lasts.
func (l *Lane) keep(ctx context.Context, lease queue.Lease) {
	ticker := time.NewTicker(extendEvery)
	defer ticker.Stop()
	ends := time.Now().Add(leaseTime)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asked := time.Now()
		extend, cancel := context.WithTimeout(ctx, extendEvery)
		_, err := l.Queue.Extend(extend, lease, leaseTime)
		cancel()
		switch {
		case err == nil:
			ends = asked.Add(leaseTime)
		case ctx.Err() != nil:
			return
		case gitops.CodeOf(err) == gitops.Conflict, time.Now().After(ends):
			l.Logger.Warn("lane lost", slog.String("error", err.Error()))
			return
		}
	}
}

// release gives the lane back, whatever has ended by then. A release that does
// not reach the store costs the next holder the rest of the lease, nothing else.
func (t *tenure) release() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), settleTime)
	defer cancel()
	if err := t.Queue.Release(ctx, t.lease, t.clean); err != nil {
		t.Logger.Warn("lane not given back", slog.String("error", err.Error()))
	}
}

// round takes up one batch, or waits for one. It reports whether the lease is
// still good, as far as is known.
func (t *tenure) round() bool {
	t.expect(writeTime)
	pending, err := t.Queue.Pending(t.ctx, t.lease, batchSize)
	switch {
	case t.ctx.Err() != nil:
		return false
	case err != nil && gitops.CodeOf(err) == gitops.Conflict:
		t.Logger.Warn("lane lost", slog.String("error", err.Error()))
		return false
	case err != nil:
		t.backOff(&t.wait, "the queue could not be read", err, t.anything())
		return true
	case len(pending) == 0:
		on := t.anything()
		on.wake = t.Queue.Wake(t.Environment)
		t.pause(pollEvery, on)
		return true
	}
	return t.write(pending)
}

// anything is what ends a wait that holds nothing back.
func (t *tenure) anything() interruptions {
	return interruptions{drain: t.drain, lost: t.ctx.Done()}
}

// write puts one batch on origin and settles it, and reports as round does.
func (t *tenure) write(pending []gitops.Update) bool {
	updates, superseded := pending, []gitops.Settlement(nil)
	if t.Coalesce {
		updates, superseded = coalesce(pending)
	}
	ctx, cancel := context.WithTimeout(t.ctx, writeTime)
	defer cancel()
	t.clean = false
	settlements, err := t.Writer.Write(ctx, updates)
	if err == nil {
		settlements = append(superseded, settlements...)
	}
	if !t.settle(pending, settlements) {
		return false
	}
	if err == nil {
		t.clean = true
		t.wait = backoff{}
		t.Recorder.Succeeded(t.Environment, time.Now())
		return true
	}
	t.deferRest(pending, settlements, err)
	if t.ctx.Err() == nil {
		t.backOff(&t.wait, "the manifest repository could not be written", err, t.anything())
	}
	return true
}

// settle records how updates ended, and tries for as long as the lease is ours, a
// drain notwithstanding: to write them again instead would find its own commits
// and call them unchanged. It reports whether the lease is still good.
func (t *tenure) settle(updates []gitops.Update, settlements []gitops.Settlement) bool {
	if len(settlements) == 0 {
		return true
	}
	var wait backoff
	for {
		// What is on origin is worth settling although the work was given up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), settleTime)
		err := t.Queue.Settle(ctx, t.lease, settlements)
		cancel()
		if err == nil {
			t.tell(updates, settlements)
			return true
		}
		if gitops.CodeOf(err) == gitops.Conflict || t.ctx.Err() != nil {
			t.Logger.Warn("updates written but not settled: the lane's next holder will find them",
				slog.Int("updates", len(settlements)), slog.String("error", err.Error()))
			return false
		}
		t.backOff(&wait, "the settlement could not be stored", err, interruptions{lost: t.ctx.Done()})
	}
}

// deferRest records what the updates without settlement wait for.
func (t *tenure) deferRest(updates []gitops.Update, settlements []gitops.Settlement, cause error) {
	settled := make(map[string]bool, len(settlements))
	for _, s := range settlements {
		settled[s.Update] = true
	}
	var ids []string
	for _, u := range updates {
		if !settled[u.ID] {
			ids = append(ids, u.ID)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), settleTime)
	defer cancel()
	if err := t.Queue.Defer(ctx, t.lease, ids, gitops.SentenceOf(cause)); err != nil {
		t.Logger.Warn("what updates wait for could not be stored", slog.String("error", err.Error()))
	}
}

// tell counts and logs what has been settled, one line for each update.
func (t *tenure) tell(updates []gitops.Update, settlements []gitops.Settlement) {
	byID := make(map[string]gitops.Update, len(updates))
	for _, u := range updates {
		byID[u.ID] = u
	}
	for _, s := range settlements {
		u := byID[s.Update]
		took := time.Since(u.AcceptedAt).Seconds()
		t.Recorder.Settled(t.Environment, s.State, took)
		attrs := []any{"update", u.ID, "delivery", u.Delivery.String(), "app", u.App, "tag", u.Tag, "state", string(s.State), "seconds", took}
		if s.Commit != "" {
			attrs = append(attrs, "commit", s.Commit)
		}
		if s.Reason != "" {
			attrs = append(attrs, "reason", s.Reason)
		}
		if s.State == gitops.Failed {
			t.Logger.Error("update", append(attrs, "code", string(s.Code))...)
			continue
		}
		t.Logger.Info("update", attrs...)
	}
}

// coalesce leaves out every update that a newer one of the same app waits
// behind, and says so. One that may be on the branch already is kept: to call it
// superseded could be untrue.
func coalesce(pending []gitops.Update) (kept []gitops.Update, superseded []gitops.Settlement) {
	newest := make(map[string]gitops.Update)
	for _, u := range pending {
		newest[u.App] = u
	}
	for _, u := range pending {
		by := newest[u.App]
		if u.ID == by.ID || u.MaybePushed {
			kept = append(kept, u)
			continue
		}
		superseded = append(superseded, gitops.Settlement{
			Update: u.ID, State: gitops.Superseded,
			Reason: fmt.Sprintf("%s was accepted while this waited (update %s), and %s coalesces to the newest", by.Tag, by.ID, u.Environment),
		})
	}
	return kept, superseded
}
