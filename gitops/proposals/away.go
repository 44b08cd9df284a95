package proposals

import (
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// away is that a server cannot be used.
type away struct {
	since    time.Time // zero: it can
	until    time.Time // when it is tried again
	failures int
	err      error
}

// Bounds of how long a server that is away is left alone.
const (
	awayLeast = 5 * time.Second
	awayMost  = 2 * time.Minute
	// limitLeast is how long at least is waited where a forge that limits does not say for how
	// long (docs.github.com, "Rate limits for the REST API": at least a minute, doubling).
	limitLeast = time.Minute
	limitMost  = 15 * time.Minute
)

func (a *away) failed(err error, now time.Time) {
	least, most := awayLeast, awayMost
	if gitops.CodeOf(err) == gitops.RateLimited {
		least, most = limitLeast, limitMost
	}
	if a.since.IsZero() {
		a.since = now
	}
	a.err = err
	a.until = now.Add(doubled(least, most, a.failures))
	a.failures++
	var e *gitops.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		a.until = now.Add(min(e.RetryAfter, time.Hour))
	}
}

// worked says that the server can be used, and reports whether it could not before.
func (a *away) worked() bool {
	was := !a.since.IsZero()
	*a = away{}
	return was
}

func doubled(least, most time.Duration, failures int) time.Duration {
	return min(least<<min(failures, 20), most)
}

// isOutage reports whether an error is of a server as a whole, and of no one update.
func isOutage(err error) bool {
	switch gitops.CodeOf(err) {
	case gitops.Unavailable, gitops.Unauthorized, gitops.RateLimited:
		return true
	}
	return false
}

// forgeIsMute reports whether the forge does not say what an app's pull request is: it is away,
// or refuses all of them or this one.
func (r *Room) forgeIsMute(a *app, now time.Time) bool {
	refused := (a.stuck == askFind || a.stuck == askGet) && now.Before(a.stuckFor)
	return refused || !r.forge.since.IsZero() || !r.refused.since.IsZero()
}

// mayGoOn reports whether the next step of an app may be found out: the git server can be used,
// or something is to be taken back of what was observed before, which the forge alone does.
func (r *Room) mayGoOn(a *app, now time.Time) bool {
	return !now.Before(r.git.until) || a.at == r.heads.Base && (a.wish.Close != "" || len(a.wish.Held) > 0)
}

// publishOutage has lanes know why proposals stand still. The outage of a server is one for all
// updates: nothing is reported of each. A limit is over when its time is: there may be nothing
// to write that would show it.
func (r *Room) publishOutage() {
	var o *queue.Outage
	limited := r.limited
	if !r.config.Now().Before(limited.until) {
		limited = away{}
	}
	for _, a := range []away{limited, r.refused, r.forge, r.git} {
		if !a.since.IsZero() {
			o = &queue.Outage{
				Repository: r.config.Repository, Code: gitops.CodeOf(a.err), RetryAt: a.until,
				Reason: "pull requests can be neither opened nor followed: " + gitops.PublicOf(a.err),
			}
		}
	}
	r.mu.Lock()
	was := r.outage
	r.outage = o
	r.mu.Unlock()
	if was == nil && o == nil || was != nil && o != nil && *was == *o {
		return
	}
	told := map[string]bool{}
	for of := range r.apps {
		if !told[of.environment] {
			told[of.environment] = true
			r.board.post(of.environment, r.board.term(of.environment), nil)
		}
	}
}
