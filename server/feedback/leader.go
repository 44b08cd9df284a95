package feedback

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/lease"
)

// leader is a follower that has the lease. All of it is of one goroutine.
type leader struct {
	*Follower
	lease        *lease.Lease
	begun        bool   // the checkpoint was read
	cursor       string // of the last change that was read
	saved        checkpoint
	savedAt      time.Time
	backlog      backlog
	repositories map[Source]*repository
	pace         pace
	failing      string // why the store did not answer; "" when it did
}

// checkpoint is what is kept for the next leader.
type checkpoint struct {
	Cursor string    `json:"cursor"`
	Paid   time.Time `json:"paid"` // see [pace]
}

const (
	pageSize = 200
	// pagesAtOnce bounds what is read of the feed before something is told.
	pagesAtOnce = 20
	// saveEvery is how often a cursor is kept while nothing is written. What was read since is
	// read again after a crash.
	saveEvery = 10 * time.Second
	// storePause is how long a store that does not answer is left alone.
	storePause = 5 * time.Second
)

// step does what is due: at most one call of GitHub. It returns how long nothing is due, at
// most, and is not ok when the lease is another's.
func (l *leader) step(ctx context.Context) (wait time.Duration, ok bool) {
	if ok, err := l.keepLease(ctx); !ok {
		return l.storeFailed(ctx, err), err != nil
	}
	if err := l.read(ctx); err != nil {
		return l.storeFailed(ctx, err), true
	}
	wait, err := l.tellNext(ctx)
	if err == nil && l.Now().Sub(l.savedAt) >= saveEvery {
		err = l.save(ctx)
	}
	if err != nil {
		return l.storeFailed(ctx, err), true
	}
	l.failing = ""
	l.Recorder.Behind(l.backlog.oldest(l.Now()))
	return min(wait, lookEvery), true
}

// keepLease extends the lease when half of it is over. Without an error it is not ok when
// another has it; with one it is not known, and nothing may be told.
func (l *leader) keepLease(ctx context.Context) (ok bool, err error) {
	ok, err = l.lease.Keep(ctx)
	if !ok && err == nil {
		l.Logger.Warn("another replica may tell GitHub now: the lease was lost")
	}
	return ok, err
}

// storeFailed logs an error of the store once, as long as it says the same.
func (l *leader) storeFailed(ctx context.Context, err error) time.Duration {
	if err != nil && ctx.Err() == nil && err.Error() != l.failing {
		l.failing = err.Error()
		l.Logger.Warn("store does not answer the feedback, retrying", slog.String("error", err.Error()))
	}
	return storePause
}

// end gives the lease back with what was done under it, whatever has ended by then.
func (l *leader) end(ctx context.Context) {
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = l.save(saving) // else it is read again
	l.lease.Release(ctx)
	l.Recorder.Behind(time.Time{})
	l.Recorder.Refusing(0)
}

// read adds what changed since the last call to the backlog.
func (l *leader) read(ctx context.Context) error {
	if !l.begun {
		if err := l.begin(ctx); err != nil {
			return err
		}
	}
	site := l.Site()
	for range pagesAtOnce {
		changes, err := l.Store.Changes(ctx, l.cursor, pageSize)
		if gitops.CodeOf(err) == gitops.Invalid {
			return l.beginAtLatest(ctx, err)
		}
		if err != nil || len(changes) == 0 {
			return err
		}
		for _, c := range changes {
			for _, u := range c.Updates() {
				if source, _ := site.Source(u.Environment, u.App); source.Repository != "" || u.State == gitops.Cancelled && l.toldBefore(u.ID).Repository != "" {
					if tooMuch := l.backlog.add(u, c.At, l.cursor); tooMuch != nil {
						l.Recorder.LeftOut(TooOld)
					}
				}
			}
			l.cursor = c.Cursor
		}
	}
	return nil
}

// begin goes on from the checkpoint. Without a checkpoint, earlier changes are not told.
func (l *leader) begin(ctx context.Context) error {
	text, err := l.Store.Checkpoint(ctx, job)
	if err != nil {
		return err
	}
	l.pace.written, l.pace.called = l.Now(), l.Now() // another replica may just have
	var kept checkpoint
	if text == "" || json.Unmarshal([]byte(text), &kept) != nil {
		return l.beginAtLatest(ctx, nil)
	}
	// A store or a clock that went back would hold everything up.
	if most := l.Now().Add((burst + 1) * each); kept.Paid.After(most) {
		kept.Paid = most
	}
	l.cursor, l.pace.paid, l.saved, l.savedAt, l.begun = kept.Cursor, kept.Paid, kept, l.Now(), true
	return nil
}

// beginAtLatest goes on from the newest change: there is no cursor, or the store does not
// know it any more.
func (l *leader) beginAtLatest(ctx context.Context, why error) error {
	latest, err := l.Store.Latest(ctx)
	if err != nil {
		return err
	}
	if why != nil {
		l.Logger.Warn("feedback goes on from the newest change", slog.String("error", why.Error()))
	}
	l.cursor, l.backlog, l.begun = latest, backlog{}, true
	return l.save(ctx)
}

// save keeps how far everything was told.
func (l *leader) save(ctx context.Context) error {
	if !l.begun {
		return nil
	}
	now := checkpoint{l.backlog.reached(l.cursor), l.pace.paid}
	if now.Cursor != l.saved.Cursor || !now.Paid.Equal(l.saved.Paid) {
		text, _ := json.Marshal(now) // two texts
		if err := l.Store.SetCheckpoint(ctx, job, string(text)); err != nil {
			return err
		}
	}
	l.saved, l.savedAt = now, l.Now()
	return nil
}
