package githubapp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
)

// DeploymentTask is the task of the Deployments that tallyman makes. Others' are left alone.
const DeploymentTask = "tallyman"

// MaxDescription is how many characters GitHub takes for what a Deployment or a status of
// one says.
const MaxDescription = 140

// Deployment is a Deployment of GitHub's that tallyman made in a repository.
type Deployment struct {
	ID        int64
	Update    string // the id of the update that it is of
	CreatedAt time.Time
}

// NewDeployment is a Deployment to be made.
type NewDeployment struct {
	Revision    string // full hexadecimal name of the commit
	Environment string
	Description string
	Payload     DeploymentPayload
}

// DeploymentPayload is what a Deployment has for programs. The update's id is what tallyman
// finds its own by.
type DeploymentPayload struct {
	Update      string `json:"update"`
	App         string `json:"app"`
	Environment string `json:"environment"`
	Tag         string `json:"tag"`
}

// DeploymentStatus is a status of a Deployment.
type DeploymentStatus struct {
	State       string // queued, pending, in_progress, success, failure or inactive
	Description string
	LogURL      string // "" for none
}

// Deployer makes Deployments in the repositories of apps. Its errors are [*gitops.Error]:
// NotFound and Forbidden where the App is not installed on the repository or lacks a
// permission there, Rejected for what GitHub would refuse again, RateLimited and Unavailable
// for what is to be tried again. Safe for concurrent use.
//
// Facts: GitHub's documentation, "REST API endpoints for deployments", "REST API endpoints
// for deployment statuses", "Get a commit".
type Deployer struct {
	app    *App
	tokens deploymentTokens
}

// Deployer is the App as whoever makes Deployments.
func (a *App) Deployer() *Deployer { return a.deployer }

// Page is the page of a repository's Deployments, for people.
func (d *Deployer) Page(repository string) string {
	return d.app.Page(repository, "deployments")
}

// deploymentsPerPage is as many as GitHub gives.
const deploymentsPerPage = 100

// Deployments returns the newest of a repository that tallyman made, newest first, and
// whether these are all.
func (d *Deployer) Deployments(ctx context.Context, repository string) (newest []Deployment, all bool, err error) {
	return d.list(ctx, repository, &github.DeploymentsListOptions{})
}

// DeploymentsOf is the same of one commit.
func (d *Deployer) DeploymentsOf(ctx context.Context, repository, revision string) (newest []Deployment, err error) {
	newest, _, err = d.list(ctx, repository, &github.DeploymentsListOptions{SHA: revision})
	return newest, err
}

func (d *Deployer) list(ctx context.Context, repository string, of *github.DeploymentsListOptions) (newest []Deployment, all bool, err error) {
	of.Task, of.PerPage = DeploymentTask, deploymentsPerPage
	err = d.call(ctx, repository, "listing deployments", func(client *github.Client, owner, name string) error {
		page, response, err := client.Repositories.ListDeployments(ctx, owner, name, of)
		if err != nil {
			return err
		}
		for _, found := range page {
			newest = append(newest, Deployment{ID: found.GetID(), Update: updateOf(found.Payload), CreatedAt: found.GetCreatedAt().Time})
		}
		all = response.NextPage == 0
		return nil
	})
	return newest, all, err
}

// updateOf reads an update's id from a payload, which may be text with JSON in it; "" where
// it has none.
func updateOf(payload json.RawMessage) string {
	var text string
	if json.Unmarshal(payload, &text) == nil {
		payload = json.RawMessage(text)
	}
	var found DeploymentPayload
	if json.Unmarshal(payload, &found) != nil {
		return ""
	}
	return found.Update
}

// LastStatus returns the newest status of a Deployment; the zero one where it has no status.
func (d *Deployer) LastStatus(ctx context.Context, repository string, deployment int64) (last DeploymentStatus, err error) {
	err = d.call(ctx, repository, "asking for a deployment's status", func(client *github.Client, owner, name string) error {
		newest, _, err := client.Repositories.ListDeploymentStatuses(ctx, owner, name, deployment, &github.ListOptions{PerPage: 1})
		if err != nil || len(newest) == 0 {
			return err
		}
		last = DeploymentStatus{State: newest[0].GetState(), Description: newest[0].GetDescription(), LogURL: newest[0].GetLogURL()}
		return nil
	})
	return last, d.orGone(ctx, repository, err)
}

// Commit returns the full name of the commit that a ref of a repository names, as
// "tags/v1.4.2", or whose name begins with ref; "" where no commit does, or several do.
func (d *Deployer) Commit(ctx context.Context, repository, ref string) (revision string, err error) {
	err = d.call(ctx, repository, "looking for a commit", func(client *github.Client, owner, name string) error {
		found, _, err := client.Repositories.GetCommitSHA1(ctx, owner, name, ref, "")
		switch statusOf(err) {
		case http.StatusUnprocessableEntity, http.StatusConflict: // it names no commit, or several; the repository is empty
			return nil
		}
		if err == nil && gitops.CheckRevision("", found) == nil {
			revision = found
		}
		return err
	})
	return revision, err
}

// Deploy makes a Deployment. GitHub merges nothing for it and waits for no check: what
// happened in the manifest repository has happened.
func (d *Deployer) Deploy(ctx context.Context, repository string, n NewDeployment) (id int64, err error) {
	request := &github.DeploymentRequest{
		Ref: &n.Revision, Task: github.String(DeploymentTask), Environment: &n.Environment, Description: &n.Description, Payload: n.Payload,
		AutoMerge:        github.Bool(false), // else the default branch is merged into the ref
		RequiredContexts: &[]string{},        // no list would be null, and every check of the commit required
	}
	err = d.call(ctx, repository, "making a deployment", func(client *github.Client, owner, name string) error {
		made, _, err := client.Repositories.CreateDeployment(ctx, owner, name, request)
		id = made.GetID()
		return err
	})
	return id, err
}

// SetStatus gives a Deployment another status. With "success" GitHub makes the earlier ones
// of the repository and environment inactive.
func (d *Deployer) SetStatus(ctx context.Context, repository string, deployment int64, s DeploymentStatus) error {
	request := &github.DeploymentStatusRequest{State: &s.State, Description: &s.Description}
	if s.LogURL != "" {
		request.LogURL = &s.LogURL
	}
	err := d.call(ctx, repository, "setting a deployment's status", func(client *github.Client, owner, name string) error {
		_, _, err := client.Repositories.CreateDeploymentStatus(ctx, owner, name, deployment, request)
		return err
	})
	return d.orGone(ctx, repository, err)
}

// orGone is a call's error, or says that somebody has deleted the Deployment: GitHub gives a
// token for the repository, and so knows it.
func (d *Deployer) orGone(ctx context.Context, repository string, err error) error {
	if gitops.CodeOf(err) != gitops.NotFound {
		return err
	}
	if _, unknown := d.token(ctx, repository); unknown != nil {
		return unknown
	}
	return gitops.Errorf(gitops.Rejected, "the deployment in %s was deleted", repository).WithCause(err)
}

// call calls GitHub with a token for a repository, and says what its refusal means.
func (d *Deployer) call(ctx context.Context, repository, doing string, do func(client *github.Client, owner, name string) error) error {
	owner, name, _ := strings.Cut(repository, "/")
	token, err := d.token(ctx, repository)
	if err != nil {
		return err
	}
	err = do(d.app.public.WithAuthToken(token.value), owner, name)
	if err == nil {
		return nil
	}
	return d.refused(repository, doing, token, err)
}

// refused says what an error of a call means.
func (d *Deployer) refused(repository, doing string, token deploymentToken, err error) error {
	doing += " in " + repository
	switch status := statusOf(err); status {
	case http.StatusUnauthorized, http.StatusNotFound:
		if d.app.config.Now().Sub(token.made) < freshFor {
			return gitops.Errorf(gitops.Unavailable, "GitHub does not know a fresh token everywhere yet (%s)", doing).WithCause(err)
		}
		d.tokens.drop(repository, token)
		if status == http.StatusNotFound {
			return gitops.Errorf(gitops.NotFound, "GitHub does not know what it was asked for (%s): was the repository renamed or deleted?", doing).WithCause(err)
		}
	case http.StatusForbidden:
		d.tokens.drop(repository, token) // the next has what was granted since
	case http.StatusConflict, http.StatusUnprocessableEntity:
		return gitops.Errorf(gitops.Rejected, "GitHub refuses it (%s): %s", doing, gitops.Clip(messageOf(err), 300)).WithCause(err)
	}
	return APIError(doing, err)
}

// statusOf is the status of GitHub's answer; 0 where the error is no answer.
func statusOf(err error) int {
	var refused *github.ErrorResponse
	if errors.As(err, &refused) && refused.Response != nil {
		return refused.Response.StatusCode
	}
	return 0
}

// messageOf is what GitHub says in an answer, with what it says of single fields.
func messageOf(err error) string {
	var refused *github.ErrorResponse
	if !errors.As(err, &refused) {
		return ""
	}
	said := refused.Message
	for _, e := range refused.Errors {
		if e.Message != "" {
			said += "; " + e.Message
		}
	}
	return said
}
