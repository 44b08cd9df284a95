package githubapp

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Environment is a GitHub environment of a repository, and what stands before the
// jobs that run in it.
type Environment struct {
	RepositoryID int64
	Private      bool // the repository is not public

	Exists       bool
	Reviewers    int  // of whom one must approve a job; teams count as one
	SelfReview   bool // who started the run may be the one
	AdminsBypass bool // administrators of the repository can go on without
}

// Environment looks up an environment of any repository, owner/name, that the App is
// installed on. The error's code is Forbidden where the App may not look, and its
// sentence says what it lacks; it is NotFound where the App is not installed.
//
// Facts: GitHub's documentation, "REST API endpoints for deployment environments":
// it takes the permission Actions: read.
func (a *App) Environment(ctx context.Context, repository, environment string) (Environment, error) {
	owner, name, _ := strings.Cut(repository, "/")
	installation, _, err := a.app.Apps.FindRepositoryInstallation(ctx, owner, name)
	switch err := APIError("looking for the App's installation on "+repository, err); {
	case gitops.CodeOf(err) == gitops.NotFound:
		return Environment{}, gitops.Errorf(gitops.NotFound, "the GitHub App is not installed on %s", repository).WithCause(err)
	case err != nil:
		return Environment{}, err
	case installation.GetPermissions().GetActions() == "":
		return Environment{}, gitops.Errorf(gitops.Forbidden, "the GitHub App may not look at the environments of %s: give it the permission Actions: read, and accept that in installation %d",
			repository, installation.GetID())
	}
	reader, err := a.readerOf(ctx, installation.GetID(), owner, name)
	if err != nil {
		return Environment{}, err
	}
	repo, _, err := reader.Repositories.Get(ctx, owner, name)
	if err != nil {
		return Environment{}, APIError("looking at "+repository, err)
	}
	found := Environment{RepositoryID: repo.GetID(), Private: repo.GetPrivate()}
	env, response, err := reader.Repositories.GetEnvironment(ctx, owner, name, url.PathEscape(environment))
	switch {
	case response != nil && response.StatusCode == http.StatusNotFound:
		return found, nil
	case err != nil:
		return Environment{}, APIError("looking at the environment "+environment+" of "+repository, err)
	}
	found.Exists, found.AdminsBypass = true, env.GetCanAdminsBypass()
	for _, rule := range env.ProtectionRules {
		if rule.GetType() == "required_reviewers" {
			found.Reviewers += len(rule.Reviewers)
			found.SelfReview = !rule.GetPreventSelfReview()
		}
	}
	return found, nil
}

// readerOf is a client that may look at one repository's environments, and nothing
// else, with a token of its own.
func (a *App) readerOf(ctx context.Context, installation int64, owner, name string) (*github.Client, error) {
	read := "read"
	answer, _, err := a.app.Apps.CreateInstallationToken(ctx, installation, &github.InstallationTokenOptions{
		Repositories: []string{name}, Permissions: &github.InstallationPermissions{Actions: &read, Metadata: &read},
	})
	if err != nil {
		return nil, APIError("making an installation token", err)
	}
	if err := a.try(ctx, answer.GetToken(), owner, name); err != nil {
		return nil, err
	}
	return a.public.WithAuthToken(answer.GetToken()), nil
}

// Issues reports whether the issuer of a job's token is the GitHub that the App is of.
func (a *App) Issues(issuer string) bool {
	at, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	switch host := strings.ToLower(a.web.Hostname()); {
	case host == "github.com":
		return at.Host == "token.actions.githubusercontent.com"
	case strings.HasSuffix(host, ".ghe.com"):
		return at.Host == "token.actions."+host
	default:
		return strings.ToLower(at.Hostname()) == host
	}
}
