package githubapp

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
)

// freshFor is how long a token may be unknown to some of GitHub's servers.
const freshFor = time.Minute

// deploymentToken is a token that may make Deployments in one repository, and read its
// commits, and nothing else.
type deploymentToken struct {
	value      string
	made, ends time.Time // handed out no more from ends on
}

// deploymentTokens are those that are good, by repository. They are in memory alone.
type deploymentTokens struct {
	mu sync.Mutex
	of map[string]deploymentToken
}

func (t *deploymentTokens) get(repository string, now time.Time) (deploymentToken, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token, ok := t.of[repository]
	return token, ok && now.Before(token.ends)
}

func (t *deploymentTokens) put(repository string, token deploymentToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = make(map[string]deploymentToken)
	}
	t.of[repository] = token
}

// drop forgets a token, unless there is another by now.
func (t *deploymentTokens) drop(repository string, token deploymentToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[repository] == token {
		delete(t.of, repository)
	}
}

// token returns the token for a repository, and makes one where the last has ended. It does not
// try a fresh one first: a call that fails because of that is made again.
func (d *Deployer) token(ctx context.Context, repository string) (deploymentToken, error) {
	now := d.app.config.Now()
	if token, ok := d.tokens.get(repository, now); ok {
		return token, nil
	}
	installation, err := d.permitted(ctx, repository)
	if err != nil {
		return deploymentToken{}, err
	}
	_, name, _ := strings.Cut(repository, "/")
	answer, _, err := d.app.app.Apps.CreateInstallationToken(ctx, installation, &github.InstallationTokenOptions{
		Repositories: []string{name},
		Permissions:  &github.InstallationPermissions{Deployments: github.String("write"), Contents: github.String("read"), Metadata: github.String("read")},
	})
	if statusOf(err) == http.StatusUnprocessableEntity {
		return deploymentToken{}, gitops.Errorf(gitops.Forbidden, "GitHub gives the App no token for %s: it takes the permissions Deployments: write and Contents: read there; and where the repository was renamed, correct source", repository).WithCause(err)
	}
	if err != nil {
		return deploymentToken{}, APIError("making an installation token for "+repository, err)
	}
	token := deploymentToken{value: answer.GetToken(), made: now, ends: answer.GetExpiresAt().Add(-uselessIn)}
	if token.value == "" || !now.Before(token.ends) {
		return deploymentToken{}, gitops.Errorf(gitops.Unavailable, "GitHub's answer holds no installation token for %s", repository)
	}
	d.tokens.put(repository, token)
	return token, nil
}

// Permitted reports whether the App may make Deployments in a repository, and read its
// commits. It makes no token.
func (d *Deployer) Permitted(ctx context.Context, repository string) error {
	_, err := d.permitted(ctx, repository)
	return err
}

// permitted is the App's installation on a repository, which has what Deployments take.
func (d *Deployer) permitted(ctx context.Context, repository string) (installation int64, err error) {
	owner, name, _ := strings.Cut(repository, "/")
	found, _, err := d.app.app.Apps.FindRepositoryInstallation(ctx, owner, name)
	err = APIError("looking for the App's installation on "+repository, err)
	permissions := found.GetPermissions()
	switch {
	case gitops.CodeOf(err) == gitops.NotFound:
		return 0, gitops.Errorf(gitops.NotFound, "the GitHub App is not installed on %s: install it there, or correct source", repository).WithCause(err)
	case err != nil:
		return 0, err
	case permissions.GetDeployments() != "write":
		return 0, lacksThere(repository, found.GetID(), "make deployments", "Deployments: write")
	case permissions.GetContents() != "read" && permissions.GetContents() != "write":
		return 0, lacksThere(repository, found.GetID(), "read commits", "Contents: read")
	}
	return found.GetID(), nil
}

func lacksThere(repository string, installation int64, what, permission string) error {
	return gitops.Errorf(gitops.Forbidden, "the GitHub App may not %s in %s: give it the permission %s, and let an owner of the repository approve it in installation %d",
		what, repository, permission, installation)
}
