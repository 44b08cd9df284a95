package follow

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// failuresMost is how often in a row a look may fail before that is told.
const failuresMost = 2

// answered takes what a request about an Application came to. Where it failed the whole look
// is made again: its parts are to be of one moment.
func (p *place) answered(what ask, now time.Time, set func(now time.Time), err error) {
	p.asking = false
	switch code := gitops.CodeOf(err); {
	case err == nil:
		if set(now); p.look != nil {
			p.judge(now)
		}
	case code == gitops.NotFound && (what == askApplication || what == askRefresh):
		p.notThere(nil, now)
	case errors.Is(err, ErrNotCompared):
		p.interrupted()
		p.drop(now.Add(waits[0]))
	case p.instance.failed != nil && !p.alone: // which is the instance's trouble, unless it answers of others
		p.interrupted()
		p.unread++
		p.unreadAt = now
		p.drop(now.Add(waits[0]))
	default:
		p.interrupted()
		p.failures++
		if code == gitops.Forbidden || code == gitops.Rejected {
			p.failures = failuresMost
		}
		p.failed = gitops.Clip(gitops.PublicOf(err), 300)
		p.drop(now.Add(failedWait))
	}
}

// interrupted forgets what was seen in a row: what it was while it could not be looked at is
// not known.
func (p *place) interrupted() {
	p.memory.DegradedSince, p.memory.OtherSince = time.Time{}, time.Time{}
}

// begin begins a look at an Application.
func (p *place) begin(a *rollout.Application, now time.Time) {
	if a.Metadata.DeletionTimestamp != nil {
		p.notThere(a, now)
		return
	}
	p.missing = 0
	if at := a.Status.ReconciledAt; at != nil && !at.Equal(p.compared) || p.fresh.IsZero() {
		p.fresh = now
		if at != nil {
			p.compared = *at
		}
	}
	p.of.forget()
	sources, near := sourcesOf(a, p.of.how)
	p.makes = slices.ContainsFunc(a.Status.Resources, isApplication)
	if p.makesOther(a) {
		sources = nil
	}
	if len(sources) == 0 { // a list does not say all of what it reads
		p.other = true
		if near != "" {
			p.of.near = p.ref.String() + ": " + near
		}
		return
	}
	p.look = &rollout.Look{Now: now, Application: a, Sources: sources}
}

func isApplication(r rollout.Resource) bool {
	return r.Group == "argoproj.io" && r.Kind == "Application"
}

// makesOther reports whether an Application makes another one that reads the file, too: that
// one is followed.
func (p *place) makesOther(a *rollout.Application) bool {
	return slices.ContainsFunc(p.of.places, func(q *place) bool {
		return q != p && slices.ContainsFunc(a.Status.Resources, func(r rollout.Resource) bool {
			return isApplication(r) && r.Name == q.ref.Name && r.Namespace == q.ref.Namespace
		})
	})
}

// missingMost is how often in a row an Application may not be there that lists have still.
const missingMost = 3

// notThere takes that there is no such Application, or that it is being deleted. It may have
// moved, or is made again, so the Applications are listed again before it is taken to be gone:
// for a while, where there is no other.
func (p *place) notThere(a *rollout.Application, now time.Time) {
	if p.missing++; p.missing == 1 {
		p.missed = now
	}
	p.instance.listWant = true
	listed := slices.Contains(p.instance.Find(p.of.how.File, p.of.how.Application).All, p.ref)
	others := slices.ContainsFunc(p.of.readers(), func(q *place) bool { return q != p && q.missing == 0 })
	if p.missing == 1 || !others && now.Sub(p.missed) < rediscover || listed && p.missing < missingMost {
		p.drop(now.Add(listBetween + time.Second))
		return
	}
	p.look = &rollout.Look{Now: now, Application: a}
	if a == nil {
		p.judge(now)
	}
}

// contained takes what a revision has of the update.
func (p *place) contained(revision string, c rollout.Containment, now time.Time, err error) {
	p.asking = false
	if err != nil {
		p.of.gitTrouble = "what Argo CD has cannot be compared with git: " + gitops.Clip(gitops.PublicOf(err), 300)
		p.drop(now.Add(gitWait))
		return
	}
	p.of.gitTrouble = ""
	p.of.containing[revision] = c
	p.judge(now)
}

// notCompared says that Argo CD does not look at git.
func (p *place) notCompared() string {
	if p.compared.IsZero() {
		return "Argo CD does not compare: its application controller may be down"
	}
	return fmt.Sprintf("Argo CD has not compared since %s: its application controller may be down", p.compared.UTC().Format(time.RFC3339))
}
