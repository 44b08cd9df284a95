package feedback

import (
	"errors"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// repository is what is known of a repository.
type repository struct {
	made     map[string]*deployment // by update; nil before they were listed
	reach    time.Time              // of updates that were accepted before, made may lack some; zero where it lacks none
	until    time.Time              // it is left alone
	failures int                    // in a row
	failing  string                 // why the last call failed; "" when it did not
	refuses  bool                   // it failed for want of a right, or of the repository
}

// deployment is one that was made.
type deployment struct {
	id    int64
	last  githubapp.DeploymentStatus
	known bool // last is its last status
	noted bool // explain knows it
}

// How long a repository is left alone.
const (
	firstPause   = 15 * time.Second
	longestPause = 10 * time.Minute
	// A refusal lasts until somebody does something.
	firstRefusal   = 5 * time.Minute
	longestRefusal = time.Hour
	// longestLimit bounds what GitHub may ask for: its clock or ours may be wrong.
	firstLimit   = time.Minute
	longestLimit = time.Hour
)

// finish notes how a call of a repository ended.
func (l *leader) finish(r *repository, name string, c call, err error) {
	code := gitops.CodeOf(err)
	if err == nil || code == gitops.Rejected {
		if c.write && err == nil {
			l.pace.limits = 0
		}
		l.went(r, name)
		return
	}
	l.Recorder.Failed()
	if code == gitops.RateLimited {
		l.pace.limits++
		l.pace.until = l.Now().Add(limitOf(err, l.pace.limits))
	} else {
		r.failures++
		r.refuses = code == gitops.Forbidden || code == gitops.NotFound || code == gitops.Unauthorized
		r.until = l.Now().Add(pauseOf(r))
	}
	if said := gitops.PublicOf(err); said != r.failing {
		r.failing = said
		l.Logger.Warn("GitHub not told, retrying", slog.String("repository", name), slog.String("code", string(code)),
			slog.String("error", err.Error()), slog.Float64("retrySeconds", latest(r.until, l.pace.until).Sub(l.Now()).Seconds()))
	}
	l.countRefusing()
}

// went notes that a repository answered.
func (l *leader) went(r *repository, name string) {
	if r.failing != "" {
		l.Logger.Info("GitHub told again", slog.String("repository", name))
	}
	r.failures, r.failing, r.refuses, r.until = 0, "", false, time.Time{}
	l.countRefusing()
}

func (l *leader) countRefusing() {
	n := 0
	for _, r := range l.repositories {
		if r.refuses {
			n++
		}
	}
	l.Recorder.Refusing(n)
}

func pauseOf(r *repository) time.Duration {
	if r.refuses {
		return min(firstRefusal<<min(r.failures-1, 10), longestRefusal)
	}
	return min(firstPause<<min(r.failures-1, 10), longestPause)
}

// limitOf is how long GitHub is left alone after a limit, which may say it itself.
func limitOf(err error, limits int) time.Duration {
	var e *gitops.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return min(e.RetryAfter, longestLimit)
	}
	return min(firstLimit<<min(limits-1, 10), longestLimit)
}

// repository is what is known of one that is asked for.
func (l *leader) repository(of Source) *repository {
	r := l.repositories[of]
	if r == nil {
		r = new(repository)
		l.repositories[of] = r
	}
	return r
}

// toldBefore is the repository that has a Deployment of an update, as far as is known: the
// updates of an app that leaves the configuration are cancelled, and its source is not known
// any more.
func (l *leader) toldBefore(update string) Source {
	for of, r := range l.repositories {
		if r.made[update] != nil {
			return of
		}
	}
	return Source{}
}

// mayLack reports whether an update may have a Deployment that was not listed. GitHub's clock
// made the one time and the store's the other.
func (r *repository) mayLack(u gitops.Update) bool {
	return !r.reach.IsZero() && u.AcceptedAt.Before(r.reach.Add(clocksDiffer))
}

const clocksDiffer = 10 * time.Minute

// maxMade bounds the Deployments of a repository that are remembered: then they are listed
// again.
const maxMade = 500

// list remembers the Deployments that GitHub listed, newest first. Of several of an update,
// which there should not be, it is the first that was made.
func (r *repository) list(newest []githubapp.Deployment, all bool) {
	r.made, r.reach = make(map[string]*deployment, len(newest)), time.Time{}
	r.found(newest)
	if !all && len(newest) > 0 {
		r.reach = newest[len(newest)-1].CreatedAt
	}
}

func (r *repository) found(newest []githubapp.Deployment) {
	for _, d := range newest {
		if d.Update != "" {
			r.made[d.Update] = &deployment{id: d.ID}
		}
	}
}

// forget has the Deployments listed again: one may have been made.
func (r *repository) forget() { r.made = nil }
