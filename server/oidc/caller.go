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

// Caller is a job that is believed.
type Caller struct {
	issuer string
	claims claims
	until  time.Time // when its token is worth nothing any more
	rules  []rule    // those for its repository
}

// callerOf finds the rules for a job's repository.
func (v *Verifier) callerOf(token *oidc.IDToken, c claims) (Caller, error) {
	caller := Caller{issuer: token.Issuer, claims: c, until: token.Expiry}
	// A pull request's code is its author's, who may be anybody.
	if strings.HasPrefix(c.Event, "pull_request") {
		return Caller{}, gitops.Errorf(gitops.Forbidden, "jobs of a pull request (event %s) may order nothing", clip(c.Event))
	}
	why := ""
	for _, r := range v.rules {
		switch sameName := r.issuer == token.Issuer && strings.EqualFold(r.Repository, c.Repository); {
		case r.isFor(token.Issuer, c):
			caller.rules = append(caller.rules, r)
		case sameName && why == "":
			why = fmt.Sprintf(": %s is for a repository of that name with other ids", r.field)
		}
	}
	if len(caller.rules) == 0 {
		return Caller{}, gitops.Errorf(gitops.Forbidden, "no rule is for the repository %s (repository_id %s, repository_owner_id %s)%s",
			clip(c.Repository), clip(c.RepositoryID), clip(c.OwnerID), why)
	}
	return caller, nil
}

// MayOrder says why the job may not order this app in this environment: an error
// whose code is Forbidden and whose sentence names the rule and what of it does
// not hold.
func (c Caller) MayOrder(app, environment string) error {
	var reasons []string
	for _, r := range c.rules {
		why := r.refuses(c.claims, app, environment)
		if why == "" {
			return nil
		}
		reasons = append(reasons, r.field+": "+why)
	}
	return gitops.Errorf(gitops.Forbidden, "%s may not order %s in %s: %s", clip(c.claims.Repository), clip(app), clip(environment), clip(strings.Join(reasons, "; ")))
}

// Actor is on whose word an order comes, as it stands in trailers: who started
// the job, and where.
func (c Caller) Actor() string {
	for _, actor := range []string{c.claims.Actor + "@" + c.claims.Repository, c.claims.Repository} {
		if c.claims.Actor != "" && gitops.CheckActor("", actor) == nil {
			return actor
		}
	}
	return "repository:" + c.claims.RepositoryID
}

// Credential names the token for people.
func (c Caller) Credential() string {
	return fmt.Sprintf("OIDC token of %s, run %s, attempt %s", clip(c.claims.Repository), clip(c.claims.RunID), clip(c.claims.RunAttempt))
}

// Spender remembers which credentials were used; see queue.Upkeep.
type Spender interface {
	// Spend notes that a credential was used for a delivery. For the same delivery
	// it may be spent again; for another the error's code is Conflict.
	Spend(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error
}

// Spend uses the token for one order. The same order may be sent again with it;
// for another it is Unauthorized.
func (c Caller) Spend(ctx context.Context, in Spender, order gitops.DeliveryKey) error {
	err := in.Spend(ctx, c.issuer+"#"+c.claims.ID, order, c.until.Add(clockSkew))
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
