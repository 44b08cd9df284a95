package githubapp

import (
	"context"
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
)

// retries are how long to wait before a fresh token is tried again.
var retries = []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second}

// token is one installation token.
type token struct {
	value string
	renew time.Time // when the next one is due
	ends  time.Time // when it is handed out no more
}

// renewal is one minting that many may wait for.
type renewal struct {
	done  chan struct{} // closed when the next two are set
	value string
	err   error
}

// source makes the tokens for one use, each of which may do what that takes and no more:
// the App may have been given more, for other repositories or by mistake. A permission that
// an installation's owner has not approved is refused with the whole token, so what one use
// lacks must not be asked for by another.
type source struct {
	app         *App
	permissions github.InstallationPermissions
	refused     *gitops.Error // what it means that GitHub gives no such token

	// Guarded by app.mu.
	current token
	renewal *renewal // the minting under way, if any
}

// pushing makes git's tokens.
func pushing(a *App) *source {
	return &source{
		app:         a,
		permissions: github.InstallationPermissions{Contents: github.String("write"), Metadata: github.String("read")},
		refused: gitops.Errorf(gitops.NotFound, "GitHub gives the App no token that may write the repository: install the App on the manifest repository, "+
			"give it the permission Contents: write, and accept that in its installation"),
	}
}

// proposing makes the tokens of pull requests. To merge one writes the contents, too.
func proposing(a *App) *source {
	return &source{
		app:         a,
		permissions: github.InstallationPermissions{Contents: github.String("write"), PullRequests: github.String("write"), Metadata: github.String("read")},
		refused:     Lacks("making a token for pull requests", "Pull requests: write, or Contents: write"),
	}
}

// Basic gives git its user and password: it implements git.Credentials. Its
// errors are [*gitops.Error].
func (a *App) Basic(ctx context.Context) (user, password string, err error) {
	value, err := a.pushing.token(ctx)
	return "x-access-token", value, err
}

// Invalidate says that a server did not accept the password: the installation was
// suspended meanwhile, or the tokens were revoked. The next call mints another.
func (a *App) Invalidate(password string) { a.pushing.invalidate(password) }

func (s *source) invalidate(value string) {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	if s.current.value == value {
		s.current = token{}
	}
}

// token returns one that is good for a while.
func (s *source) token(ctx context.Context) (string, error) {
	a := s.app
	a.mu.Lock()
	now, have := a.config.Now(), s.current
	if now.Before(have.renew) {
		a.mu.Unlock()
		return have.value, nil
	}
	if a.life.Err() != nil {
		a.mu.Unlock()
		return "", gitops.Errorf(gitops.Unavailable, "the program is stopping")
	}
	f := s.renewal
	if f == nil {
		f = &renewal{done: make(chan struct{})}
		s.renewal = f
		a.background.Go(func() { s.renew(f) })
	}
	a.mu.Unlock()
	if now.Before(have.ends) {
		return have.value, nil
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return "", gitops.Errorf(gitops.Unavailable, "GitHub gave no token in time; it is still being asked").WithCause(ctx.Err())
	}
}

// renew mints for all who wait for the renewal.
func (s *source) renew(f *renewal) {
	a := s.app
	ctx, cancel := context.WithTimeout(a.life, mintWithin)
	defer cancel()
	minted, err := s.mint(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	s.renewal = nil
	f.value, f.err = minted.value, err
	close(f.done)
	switch {
	case err == nil:
		s.current = minted
	case a.life.Err() == nil:
		s.current.renew = a.config.Now().Add(renewAgain)
		if !s.current.renew.Before(s.current.ends) {
			s.current.renew = time.Time{} // no token is left to go on with
		}
		a.config.Logger.Warn("no installation token from GitHub", slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
	}
}

// mint makes a token and sees to it that it works. GitHub refuses with 422 to give a token
// what the installation does not have.
func (s *source) mint(ctx context.Context) (token, error) {
	a := s.app
	id, err := a.installationOf(ctx)
	if err != nil {
		return token{}, err
	}
	answer, response, err := a.app.Apps.CreateInstallationToken(ctx, id, &github.InstallationTokenOptions{Repositories: []string{a.name}, Permissions: &s.permissions})
	if err != nil {
		known := APIError("making an installation token", err)
		if gitops.CodeOf(known) == gitops.NotFound {
			a.forgetInstallation()
		}
		if response != nil && response.StatusCode == http.StatusUnprocessableEntity {
			return token{}, s.refused.WithCause(err)
		}
		return token{}, known
	}
	value, expires := answer.GetToken(), answer.GetExpiresAt().Time
	if value == "" || len(value) > 8<<10 || strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }) || expires.IsZero() {
		return token{}, gitops.Errorf(gitops.Unavailable, "GitHub's answer holds no installation token")
	}
	if err := a.try(ctx, value, a.owner, a.name); err != nil {
		return token{}, err
	}
	return token{value: value, renew: expires.Add(-renewBefore), ends: expires.Add(-uselessIn)}, nil
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
