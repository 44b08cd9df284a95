package oidc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/tallyman-dev/tallyman/gitops"
)

// claims are what is read of a token. All that GitHub adds to the standard's own
// are strings, numbers too.
type claims struct {
	ID           string `json:"jti"`
	Repository   string `json:"repository"`
	RepositoryID string `json:"repository_id"`
	OwnerID      string `json:"repository_owner_id"`
	Ref          string `json:"ref"`
	Environment  string `json:"environment"`
	Event        string `json:"event_name"`
	Workflow     string `json:"workflow_ref"`     // of the workflow that was started
	JobWorkflow  string `json:"job_workflow_ref"` // of the file that the job is in, which may be a reusable one
	Actor        string `json:"actor"`
	RunID        string `json:"run_id"`
	RunAttempt   string `json:"run_attempt"`
}

// Job is an authenticated job.
type Job struct {
	issuer string
	claims claims
	until  time.Time // when its token is worth nothing any more
	rules  []rule    // those for its repository
}

// jobOf finds the rules for a job's repository.
func (v *Verifier) jobOf(token *oidc.IDToken, c claims) (Job, error) {
	job := Job{issuer: token.Issuer, claims: c, until: token.Expiry}
	// A pull request's code is its author's, who may be anybody.
	if strings.HasPrefix(c.Event, "pull_request") {
		return Job{}, gitops.Errorf(gitops.Forbidden, "jobs of a pull request (event %s) may order nothing", clip(c.Event))
	}
	why := ""
	for _, r := range v.rules {
		switch sameName := r.issuer == token.Issuer && strings.EqualFold(r.Repository, c.Repository); {
		case r.isFor(token.Issuer, c):
			job.rules = append(job.rules, r)
		case sameName && why == "":
			why = fmt.Sprintf(": %s is for a repository of that name with other ids", r.field)
		}
	}
	if len(job.rules) == 0 {
		return Job{}, gitops.Errorf(gitops.Forbidden, "no rule is for the repository %s (repository_id %s, repository_owner_id %s)%s",
			clip(c.Repository), clip(c.RepositoryID), clip(c.OwnerID), why)
	}
	return job, nil
}

// MayOrder says why the job may not order this app in this environment: an error
// whose code is Forbidden and whose sentence names the rule and what of it does
// not hold.
func (j Job) MayOrder(app, environment string) error {
	var reasons []string
	for _, r := range j.rules {
		why := r.refuses(j.claims, app, environment)
		if why == "" {
			return nil
		}
		reasons = append(reasons, r.field+": "+why)
	}
	return gitops.Errorf(gitops.Forbidden, "%s may not order %s in %s: %s", clip(j.claims.Repository), clip(app), clip(environment), clip(strings.Join(reasons, "; ")))
}

// Actor is who requests an order, as it stands in trailers: who started the job,
// and where.
func (j Job) Actor() string {
	for _, actor := range []string{j.claims.Actor + "@" + j.claims.Repository, j.claims.Repository} {
		if j.claims.Actor != "" && gitops.CheckActor("", actor) == nil {
			return actor
		}
	}
	return "repository:" + j.claims.RepositoryID
}

// Credential names the token for people.
func (j Job) Credential() string {
	return fmt.Sprintf("OIDC token of %s, run %s, attempt %s", clip(j.claims.Repository), clip(j.claims.RunID), clip(j.claims.RunAttempt))
}

// ReplayGuard remembers credentials that count once; see queue.ReplayGuard.
type ReplayGuard interface {
	UseOnce(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error
}

// UseOnce uses the token for one order. The same order may be sent again with it;
// for another it is Unauthorized.
func (j Job) UseOnce(ctx context.Context, guard ReplayGuard, order gitops.DeliveryKey) error {
	err := guard.UseOnce(ctx, j.issuer+"#"+j.claims.ID, order, j.until.Add(clockSkew))
	if gitops.CodeOf(err) == gitops.Conflict {
		return gitops.Errorf(gitops.Unauthorized, "the token was used for another order: ask for a new one for each").WithCause(err)
	}
	return err
}

// clip bounds text of a token inside a sentence, and keeps it on one line.
func clip(text string) string {
	const limit = 600
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return text
}
