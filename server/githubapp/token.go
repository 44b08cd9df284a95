package githubapp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	renewBefore = 10 * time.Minute // a token's end: from then on another is made
	uselessIn   = 2 * time.Minute  // a token is not handed out with less left: a push may take a minute
	renewAgain  = 30 * time.Second // after a renewal that failed, while the old token is good
	mintWithin  = 2 * time.Minute  // trying it again and again included
	askAgain    = 5 * time.Minute  // for a permission that the installation did not have: its owner may have approved it
)

// retries are how long to wait before a fresh token is tried again.
var retries = []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second}

// token is one installation token.
type token struct {
	value string
	renew time.Time // when the next one is due
	ends  time.Time // when it is handed out no more
	pulls bool      // it was asked for with the right to open pull requests
}

// renewal is one minting that many may wait for.
type renewal struct {
	pulls bool          // the token is to be for pull requests, too
	done  chan struct{} // closed when the next two are set
	value string
	err   error
}

// Basic gives git its user and password: it implements git.Credentials. Its
// errors are [*gitops.Error].
func (a *App) Basic(ctx context.Context) (user, password string, err error) {
	value, err := a.token(ctx, false)
	return "x-access-token", value, err
}

// Invalidate says that a server did not accept the password: the installation was
// suspended meanwhile, or the tokens were revoked. The next call mints another.
func (a *App) Invalidate(password string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current.value == password {
		a.current = token{}
	}
}

// token returns one that is good for a while. Once somebody needs it for pull requests it is
// for those, too; who does not goes on with what there is.
func (a *App) token(ctx context.Context, pulls bool) (string, error) {
	for {
		a.mu.Lock()
		a.pullRequests = a.pullRequests || pulls
		now, have := a.config.Now(), a.current
		if pulls && !have.pulls {
			have = token{}
		}
		if now.Before(have.renew) {
			a.mu.Unlock()
			return have.value, nil
		}
		if a.life.Err() != nil {
			a.mu.Unlock()
			return "", gitops.Errorf(gitops.Unavailable, "the program is stopping")
		}
		f := a.renewal
		if f == nil {
			f = &renewal{pulls: a.pullRequests, done: make(chan struct{})}
			a.renewal = f
			a.background.Go(func() { a.renew(f) })
		}
		a.mu.Unlock()
		if now.Before(have.ends) {
			return have.value, nil
		}
		select {
		case <-f.done:
			if pulls && !f.pulls { // it began before anybody needed that
				continue
			}
			return f.value, f.err
		case <-ctx.Done():
			return "", gitops.Errorf(gitops.Unavailable, "GitHub gave no token in time; it is still being asked").WithCause(ctx.Err())
		}
	}
}

// renew mints for all who wait for the renewal.
func (a *App) renew(f *renewal) {
	ctx, cancel := context.WithTimeout(a.life, mintWithin)
	defer cancel()
	minted, err := a.mint(ctx, f.pulls)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renewal = nil
	f.value, f.err = minted.value, err
	close(f.done)
	switch {
	case err == nil:
		a.current = minted
	case a.life.Err() == nil:
		a.current.renew = a.config.Now().Add(renewAgain)
		if !a.current.renew.Before(a.current.ends) {
			a.current.renew = time.Time{} // there is none to go on with
		}
		a.config.Logger.Warn("no installation token from GitHub", slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
	}
}

// mint makes a token and sees to it that it works.
func (a *App) mint(ctx context.Context, pulls bool) (token, error) {
	id, err := a.installationOf(ctx)
	if err != nil {
		return token{}, err
	}
	answer, lacking, err := a.create(ctx, id, pulls)
	if err != nil {
		if gitops.CodeOf(APIError("", err)) == gitops.NotFound {
			a.forgetInstallation()
		}
		return token{}, mintError(err)
	}
	value, expires := answer.GetToken(), answer.GetExpiresAt().Time
	if value == "" || len(value) > 8<<10 || strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }) || expires.IsZero() {
		return token{}, gitops.Errorf(gitops.Unavailable, "GitHub's answer holds no installation token")
	}
	if err := a.try(ctx, value, a.owner, a.name); err != nil {
		return token{}, err
	}
	minted := token{value: value, renew: expires.Add(-renewBefore), ends: expires.Add(-uselessIn), pulls: pulls}
	if lacking {
		minted.renew = a.config.Now().Add(askAgain)
	}
	return minted, nil
}

// create makes a token with the permissions that are needed: what writing the repository
// takes, and pull requests where somebody opens them. The App may have been given more, for
// other repositories or by mistake, and no token has it.
//
// A permission that the App asks for and that the installation's owner has not approved yet
// is refused with the whole token. Pushes must go on meanwhile: then the token is one for
// pushes alone, and lacking.
func (a *App) create(ctx context.Context, id int64, pulls bool) (created *github.InstallationToken, lacking bool, err error) {
	options := github.InstallationTokenOptions{
		Repositories: []string{a.name},
		Permissions:  &github.InstallationPermissions{Contents: github.String("write"), Metadata: github.String("read")},
	}
	if pulls {
		options.Permissions.PullRequests = github.String("write")
	}
	created, response, err := a.app.Apps.CreateInstallationToken(ctx, id, &options)
	if !pulls || err == nil || response == nil || response.StatusCode != http.StatusUnprocessableEntity {
		return created, false, err
	}
	options.Permissions.PullRequests = nil
	created, _, err = a.app.Apps.CreateInstallationToken(ctx, id, &options)
	if err == nil {
		a.config.Logger.Warn("the GitHub App's installation has not approved pull requests", slog.Int64("installation", id))
	}
	return created, true, err
}

// mintError says why no token was made. GitHub refuses with 422 to give a token what
// the installation does not have.
func mintError(err error) error {
	var refused *github.ErrorResponse
	if errors.As(err, &refused) && refused.Response.StatusCode == http.StatusUnprocessableEntity {
		return gitops.Errorf(gitops.NotFound, "GitHub gives the App no token that may write the repository: install the App on the manifest repository, "+
			"give it the permission Contents: write, and accept that in its installation").WithCause(err)
	}
	return APIError("making an installation token", err)
}

// try asks for a repository with a fresh token until it works.
func (a *App) try(ctx context.Context, value, owner, name string) error {
	for i := 0; ; i++ {
		request, err := a.public.NewRequest(http.MethodGet, "repos/"+owner+"/"+name, nil)
		if err != nil {
			return APIError("trying the token", err)
		}
		request.Header.Set("Authorization", "Bearer "+value)
		_, err = a.public.Do(ctx, request, nil)
		if err == nil {
			return nil
		}
		err = APIError("trying the installation token", err)
		notYet := gitops.CodeOf(err) == gitops.NotFound || gitops.CodeOf(err) == gitops.Unauthorized
		if !notYet || i == len(retries) {
			return err
		}
		a.config.Logger.Info("a fresh installation token does not work yet", slog.String("wait", retries[i].String()))
		if err := a.config.Wait(ctx, retries[i]); err != nil {
			return gitops.Errorf(gitops.Unavailable, "GitHub's token did not work in time").WithCause(err)
		}
	}
}

// installationOf finds the installation, once.
func (a *App) installationOf(ctx context.Context) (int64, error) {
	a.mu.Lock()
	id := a.installationID
	a.mu.Unlock()
	if id != 0 {
		return id, nil
	}
	found, _, err := a.app.Apps.FindRepositoryInstallation(ctx, a.owner, a.name)
	if err != nil {
		return 0, APIError("looking for the App's installation on the repository", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.installationID = found.GetID()
	return a.installationID, nil
}

// forgetInstallation makes the next minting look for it, unless it is configured.
func (a *App) forgetInstallation() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.installationID = a.config.InstallationID
}
