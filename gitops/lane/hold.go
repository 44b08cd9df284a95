package lane

import (
	"context"
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

	// tried are the updates, by id, that were handed to the writer and are not
	// settled: any of them may have been pushed without our knowing.
	tried map[string]bool
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
	t := &tenure{Lane: l, lease: lease, ctx: ctx, tried: make(map[string]bool)}
	for !l.isDraining() && ctx.Err() == nil && t.round() {
	}
	lost()
	<-kept
	l.recovered(&t.wait) // whatever it was, it no longer holds this lane's work up
	t.release()
}

// keep extends the lease until ctx ends, and returns when the lease is lost: to
// another holder, or because the store has not answered for as long as it lasts.
func (l *Lane) keep(ctx context.Context, lease queue.Lease) {
	ticker := time.NewTicker(l.Lease / extensions)
	defer ticker.Stop()
	ends := time.Now().Add(l.Lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asked := time.Now()
		extend, cancel := context.WithTimeout(ctx, l.Lease/extensions)
		_, err := l.Queue.Extend(extend, lease, l.Lease)
		cancel()
		switch {
		case err == nil:
			ends = asked.Add(l.Lease)
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
	if err := t.Queue.Release(ctx, t.lease, len(t.tried) == 0); err != nil {
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
		t.recovered(&t.wait)
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
	batch := plan(pending, t.Coalesce, t.tried)
	ctx, cancel := context.WithTimeout(t.ctx, writeTime)
	defer cancel()
	for _, u := range batch.updates {
		t.tried[u.ID] = true
	}
	settlements, err := t.Writer.Write(ctx, batch.updates)
	settlements = append(batch.superseded(settlements), settlements...)
	if !t.settle(pending, settlements) {
		return false
	}
	// Others may have been tried before: a batch is the lane's first, and one that
	// was retried goes before those.
	for _, s := range settlements {
		delete(t.tried, s.Update)
	}
	if err == nil {
		t.recovered(&t.wait)
		t.Recorder.Succeeded(t.Environment, time.Now())
		return true
	}
	if t.ctx.Err() != nil {
		t.deferRest(pending, settlements, err, time.Time{})
		return true
	}
	wait := t.failed(&t.wait, "the manifest repository could not be written", err)
	retryAt := time.Now().Add(wait)
	t.deferRest(pending, settlements, err, retryAt)
	t.pause(time.Until(retryAt), t.anything())
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
			t.recovered(&wait)
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

// deferRest records what the updates without settlement wait for, and until when.
func (t *tenure) deferRest(updates []gitops.Update, settlements []gitops.Settlement, cause error, retryAt time.Time) {
	settled := make(map[string]bool, len(settlements))
	for _, s := range settlements {
		settled[s.Update] = true
	}
	d := queue.Deferral{Code: gitops.CodeOf(cause), Reason: gitops.PublicOf(cause), RetryAt: retryAt}
	for _, u := range updates {
		if !settled[u.ID] {
			d.Updates = append(d.Updates, u.ID)
		}
	}
	if len(d.Updates) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), settleTime)
	defer cancel()
	if err := t.Queue.Defer(ctx, t.lease, d); err != nil {
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
		took := max(0, time.Since(u.AcceptedAt).Seconds()) // the store's clock may be ahead of this one
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
