package follow

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Reverter goes back from what failed. Safe for concurrent use.
type Reverter interface {
	// Revert goes back from an update whose rollout failed, where nothing speaks against it.
	// It goes back once for ever: who asks again, also another replica, changes nothing. The
	// error's code is Unavailable, RateLimited or Internal where it is not known yet whether
	// to, and any other where it does not and never will: the sentence says why.
	Revert(ctx context.Context, update string) error
}

const (
	askRevert ask = "revert"
	// revertWait is until it is tried again, and revertWithin how long it is tried: whoever
	// looks at what failed an hour ago decides by himself.
	revertWait   = 10 * time.Second
	revertWithin = time.Hour
)

// revert is an update that is to be gone back from. The feed tells of it, and the checkpoint
// does not move past it before it is done: so a crash leaves it to the next.
type revert struct {
	update string
	place  gitops.Place
	before string // the cursor that its change comes after
	since  time.Time
	due    time.Time
	asking bool
}

// toRevert notes an update whose rollout has just failed, where the configuration wants it
// gone back from, or is not known yet to.
func (l *leader) toRevert(u gitops.Update, how Followed, known bool) {
	if known && !how.Revert || u.Rollout.State != gitops.RolloutDegraded && u.Rollout.State != gitops.RolloutSyncFailed {
		return
	}
	if slices.ContainsFunc(l.reverts, func(r *revert) bool { return r.update == u.ID }) {
		return // a page that was not read to its end is read again
	}
	l.reverts = append(l.reverts, &revert{update: u.ID, place: gitops.Place{Environment: u.Environment, App: u.App}, before: l.cursor, since: l.Now(), due: l.Now()})
}

// reached is the cursor up to which everything is done.
func (l *leader) reached() string {
	if len(l.reverts) > 0 {
		return l.reverts[0].before
	}
	return l.cursor
}

// revertDue begins what is due first. One is asked for at a time, and one that must wait holds
// up no other: it may be of another repository.
func (l *leader) revertDue() (wait time.Duration) {
	if len(l.reverts) == 0 || slices.ContainsFunc(l.reverts, func(r *revert) bool { return r.asking }) {
		return lookEvery
	}
	r := slices.MinFunc(l.reverts, func(a, b *revert) int { return a.due.Compare(b.due) })
	if wait := r.due.Sub(l.Now()); wait > 0 {
		return wait
	}
	if _, known := l.site.Followed(r.place.Environment, r.place.App); !known {
		l.reverted(r, l.Now(), errUnsettled)
		return revertWait
	}
	r.asking = true
	l.start(nil, nil, askRevert, func(ctx context.Context) (func(time.Time), error) {
		err := l.Reverter.Revert(ctx, r.update)
		return func(now time.Time) { l.reverted(r, now, err) }, err
	})
	return lookEvery
}

// errUnsettled is while the branches were not looked at yet that may name the app.
var errUnsettled = gitops.Errorf(gitops.Unavailable, "it is not known yet how the app is configured")

// reverted takes what came of it.
func (l *leader) reverted(r *revert, now time.Time, err error) {
	r.asking = false
	code := gitops.CodeOf(err)
	again := code == gitops.Unavailable || code == gitops.RateLimited || code == gitops.Internal
	switch {
	case err != nil && again && now.Sub(r.since) < revertWithin:
		r.due = now.Add(revertWait)
		return
	case err != nil:
		l.Logger.Info("not reverted", slog.String("update", r.update), slog.String("reason", gitops.PublicOf(err)))
	}
	l.reverts = slices.DeleteFunc(l.reverts, func(other *revert) bool { return other == r })
}
