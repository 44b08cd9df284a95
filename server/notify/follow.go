package notify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/lease"
)

const (
	leaseTime  = time.Minute
	claimEvery = 15 * time.Second
	// rest is between two looks at the feed, however fast it moves.
	rest = 500 * time.Millisecond
	// lookEvery is how often the feed is looked at without a hint.
	lookEvery = 10 * time.Second
	pageSize  = 200
	// pagesAtOnce bounds what is read of the feed before the lease is looked at again.
	pagesAtOnce = 20
	// saveEvery is how often a cursor is kept while nothing is sent. What was read since is
	// read again after a crash.
	saveEvery = 10 * time.Second
	// storePause is how long a store that does not answer is left alone.
	storePause = 5 * time.Second
)

// How long a receiver that fails is left alone. A failing one that says how long itself is
// obeyed up to an hour: its clock or its words may be wrong.
const (
	firstPause    = time.Second
	longestPause  = 5 * time.Minute
	longestObeyed = time.Hour
)

// follower runs one notifier. All of it is of one goroutine.
type follower struct {
	Config
	Notifier

	lease    *lease.Lease
	begun    bool        // cursor is set
	cursor   string      // of the last change that nothing is to be told of any more
	saved    *checkpoint // the last one; nil while there is none
	savedAt  time.Time
	next     *message  // that is to be sent
	notUntil time.Time // when something may be sent again
	failures int       // in a row
	failing  string    // why the last attempt failed; "" when it did not
	storeErr string    // why the store did not answer; "" when it did
}

// message is one that is to be sent.
type message struct {
	Message
	cursor string // of its change
}

// job names the notifier's checkpoint, and with a prefix its lease.
func (f *follower) job() string { return "notify/" + f.Name }

// run follows until ctx ends, whenever no other replica does.
func (f *follower) run(ctx context.Context) {
	lease.Job{
		Store: f.Store, Holder: f.Holder, Name: "job/" + f.job(), Length: leaseTime, Every: claimEvery,
		Who: "the notifier", Logger: f.Logger.With(slog.String("notifier", f.Name)), Now: f.Now,
	}.Run(ctx, f.lead)
}

// lead follows as long as the lease is this replica's.
func (f *follower) lead(ctx context.Context, held *lease.Lease) {
	*f = follower{Config: f.Config, Notifier: f.Notifier, lease: held}
	defer f.end(ctx)
	for ctx.Err() == nil {
		changed := f.Store.Changed()
		wait, ok := f.step(ctx)
		if !ok {
			return
		}
		lease.Pause(ctx, min(wait, rest))
		if wait -= rest; wait <= 0 {
			continue
		}
		if f.next != nil {
			lease.Pause(ctx, wait) // what happens meanwhile comes after it
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// step does what is due: at most one message is sent. It returns how long nothing is due, at
// most, and is not ok when the lease is another's.
func (f *follower) step(ctx context.Context) (wait time.Duration, ok bool) {
	kept, err := f.lease.Keep(ctx)
	if err != nil {
		return f.storeFailed(ctx, err), true
	}
	if !kept {
		f.Logger.Warn("another replica may notify now: the lease was lost", slog.String("notifier", f.Name))
		return 0, false
	}
	more, err := f.read(ctx)
	if err != nil {
		return f.storeFailed(ctx, err), true
	}
	wait, err = f.tell(ctx)
	if more {
		wait = 0
	}
	if err == nil && f.Now().Sub(f.savedAt) >= saveEvery {
		err = f.save(ctx)
	}
	if err != nil {
		return f.storeFailed(ctx, err), true
	}
	f.storeErr = ""
	return wait, true
}

// tell sends the next message, if it is due. Its error is the store's.
func (f *follower) tell(ctx context.Context) (wait time.Duration, err error) {
	if f.next == nil {
		f.Recorder.Behind(f.Name, time.Time{})
		return lookEvery, nil
	}
	now := f.Now()
	if now.Sub(f.next.At) > MaxAge {
		f.Recorder.Count(f.Name, TooOld)
		return 0, f.done(ctx)
	}
	f.Recorder.Behind(f.Name, f.next.At)
	if f.notUntil.After(now) {
		return min(f.notUntil.Sub(now), lookEvery), nil
	}
	if f.lease.Left() <= 2*SendTime { // the store was slow: the lease is asked for first
		return 0, nil
	}
	sending, cancel := context.WithTimeout(ctx, SendTime)
	err = f.Receiver.Send(sending, f.next.Message)
	cancel()
	if ctx.Err() != nil {
		return 0, nil // the end of the work is no failure
	}
	return 0, f.note(ctx, err)
}

// note notes how sending the next message ended. Its error is the store's.
func (f *follower) note(ctx context.Context, err error) error {
	now := f.Now()
	switch {
	case err == nil:
		if f.failing != "" {
			f.Logger.Info("notifications delivered again", slog.String("notifier", f.Name))
		}
		f.failures, f.failing, f.notUntil = 0, "", now.Add(f.Pace)
		f.Recorder.Count(f.Name, Sent)
		return f.done(ctx)
	case gitops.CodeOf(err) == gitops.Rejected:
		f.failures, f.failing, f.notUntil = 0, "", now.Add(f.Pace)
		f.Recorder.Count(f.Name, Refused)
		f.Logger.Warn("notification refused by its receiver and left out", slog.String("notifier", f.Name),
			slog.String("kind", string(f.next.Kind)), slog.String("id", f.next.ID), slog.String("error", err.Error()))
		return f.done(ctx)
	}
	f.failures++
	wait := f.pauseAfter(err)
	f.notUntil = now.Add(wait)
	f.Recorder.Count(f.Name, Failed)
	if said := gitops.PublicOf(err); said != f.failing {
		f.failing = said
		f.Logger.Warn("notification not delivered, retrying", slog.String("notifier", f.Name), slog.String("code", string(gitops.CodeOf(err))),
			slog.String("error", err.Error()), slog.Float64("retrySeconds", wait.Seconds()))
	}
	return nil
}

// pauseAfter is how long the receiver is left alone after an error, which may say it itself.
// The random part keeps notifiers that failed together from asking together.
func (f *follower) pauseAfter(err error) time.Duration {
	var e *gitops.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return min(e.RetryAfter, longestObeyed)
	}
	wait := min(firstPause<<min(f.failures-1, 20), longestPause)
	return wait - f.Jitter(wait/4+1)
}

// done moves on after the next message. Its error is the store's: then the message is sent
// again by whoever follows after a crash, and by this replica it is not.
func (f *follower) done(ctx context.Context) error {
	f.cursor, f.next = f.next.cursor, nil
	return f.save(ctx)
}

// storeFailed logs an error of the store once, as long as it says the same.
func (f *follower) storeFailed(ctx context.Context, err error) time.Duration {
	if ctx.Err() == nil && err.Error() != f.storeErr {
		f.storeErr = err.Error()
		f.Logger.Warn("store does not answer the notifier, retrying", slog.String("notifier", f.Name), slog.String("error", err.Error()))
	}
	return storePause
}

// end gives the lease back with what was done under it, whatever has ended by then.
func (f *follower) end(ctx context.Context) {
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = f.save(saving) // else it is read again
	f.lease.Release(ctx)
	f.Recorder.Behind(f.Name, time.Time{})
}
