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
		p.notThere(now)
	case p.instance.failed != nil || errors.Is(err, ErrNotCompared): // which is the instance's trouble
		p.drop(now.Add(waits[0]))
	default:
		p.failures++
		if code == gitops.Forbidden || code == gitops.Rejected {
			p.failures = failuresMost
		}
		p.failed = gitops.Clip(gitops.PublicOf(err), 300)
		p.drop(now.Add(failedWait))
	}
}

// begin begins a look at an Application.
func (p *place) begin(a *rollout.Application, now time.Time) {
	p.missing = 0
	if a.Status.ReconciledAt != nil {
		p.compared = *a.Status.ReconciledAt
	}
	p.of.forget()
	sources, near := sourcesOf(a, p.of.how)
	if len(sources) == 0 { // a list does not say all of what it reads
		p.other = true
		if near != "" {
			p.of.near = p.ref.String() + ": " + near
		}
		return
	}
	p.look = &rollout.Look{Application: a, Sources: sources}
}

// missingMost is how often in a row an Application may not be there that lists have still.
const missingMost = 3

// notThere takes that there is no such Application. It may have moved, so the Applications are
// listed again before it is taken to be gone.
func (p *place) notThere(now time.Time) {
	p.missing++
	p.instance.listWant = true
	listed := slices.Contains(p.instance.Find(p.of.how.File, p.of.how.Application).All, p.ref)
	if p.missing == 1 || listed && p.missing < missingMost {
		p.drop(now.Add(listBetween + time.Second))
		return
	}
	p.look = &rollout.Look{}
	p.judge(now)
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
