package oidc

import (
	"context"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// claims are what is read of a token. All that GitHub adds to the standard's own
// are strings, numbers and truth values, too.
type claims struct {
	ID                string `json:"jti"`
	Repository        string `json:"repository"`
	RepositoryID      string `json:"repository_id"`
	OwnerID           string `json:"repository_owner_id"`
	Ref               string `json:"ref"`
	RefProtected      string `json:"ref_protected"` // "true" or "false"
	SHA               string `json:"sha"`
	Environment       string `json:"environment"`
	RunnerEnvironment string `json:"runner_environment"`
	Event             string `json:"event_name"`
	Workflow          string `json:"workflow_ref"`
	JobWorkflow       string `json:"job_workflow_ref"`
	JobWorkflowSHA    string `json:"job_workflow_sha"`
	Actor             string `json:"actor"`
	ActorID           string `json:"actor_id"`
	RunID             string `json:"run_id"`
	RunAttempt        string `json:"run_attempt"`
}

// job is what the claims say of the job.
func (c claims) job(issuer string) gitops.Job {
	return gitops.Job{
		Issuer: issuer, Repository: c.Repository, RepositoryID: c.RepositoryID, OwnerID: c.OwnerID,
		Ref: c.Ref, RefProtected: c.RefProtected == "true", Environment: c.Environment, RunnerEnvironment: c.RunnerEnvironment,
		Event: c.Event, Workflow: c.Workflow, JobWorkflow: c.JobWorkflow, JobWorkflowSHA: c.JobWorkflowSHA,
		Actor: c.Actor, ActorID: c.ActorID, RunID: c.RunID, RunAttempt: c.RunAttempt,
	}
}

// Job is an authenticated job.
type Job struct {
	gitops.Job
	id    string    // of its token
	until time.Time // when its token expires
	sha   string    // as its token has it
}

// Principal is who asks.
func (j Job) Principal() gitops.Principal { return gitops.Principal{Job: &j.Job} }

// Credential names the token for people.
func (j Job) Credential() string {
	return fmt.Sprintf("OIDC token of %s, run %s, attempt %s", clip(j.Repository), clip(j.RunID), clip(j.RunAttempt))
}

// Revision is the commit that the job was started for; "" where its token does not say. Of
// other events than these the token has the head of the default branch, or a merge that was
// made for a test.
//
// Facts: GitHub's documentation, "Events that trigger workflows" (GITHUB_SHA).
func (j Job) Revision() string {
	switch j.Event {
	case "push", "release", "workflow_dispatch":
		if gitops.CheckRevision("", j.sha) == nil {
			return j.sha
		}
	}
	return ""
}

// ReplayGuard remembers credentials that count once; see queue.ReplayGuard.
type ReplayGuard interface {
	UseOnce(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error
}

// UseOnce uses the token for one order. The same order may be sent again with it;
// for another it is Unauthorized.
func (j Job) UseOnce(ctx context.Context, guard ReplayGuard, order gitops.DeliveryKey) error {
	err := guard.UseOnce(ctx, j.Issuer+"#"+j.id, order, j.until.Add(clockSkew))
	if gitops.CodeOf(err) == gitops.Conflict {
		return gitops.Errorf(gitops.Unauthorized, "the token was used for another order: ask for a new one for each").WithCause(err)
	}
	return err
}

// clip bounds text of a token inside a sentence.
func clip(text string) string { return gitops.Clip(text, 600) }
