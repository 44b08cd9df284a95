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

// Basic gives git its user and password: it implements git.Credentials. Its
// errors are [*gitops.Error].
func (a *App) Basic(ctx context.Context) (user, password string, err error) {
	value, err := a.token(ctx)
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

// token returns one that is good for a while.
func (a *App) token(ctx context.Context) (string, error) {
	a.mu.Lock()
	now, have := a.config.Now(), a.current
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
		f = &renewal{done: make(chan struct{})}
		a.renewal = f
		a.background.Go(func() { a.renew(f) })
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
func (a *App) renew(f *renewal) {
	ctx, cancel := context.WithTimeout(a.life, mintWithin)
	defer cancel()
	minted, err := a.mint(ctx)
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
func (a *App) mint(ctx context.Context) (token, error) {
	id, err := a.installationOf(ctx)
	if err != nil {
		return token{}, err
	}
	answer, _, err := a.app.Apps.CreateInstallationToken(ctx, id, &github.InstallationTokenOptions{Repositories: []string{a.name}, Permissions: needed()})
	if err != nil {
		if gitops.CodeOf(apiError("", err)) == gitops.NotFound {
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
	return token{value: value, renew: expires.Add(-renewBefore), ends: expires.Add(-uselessIn)}, nil
}

// needed are the permissions of a token: what writing the repository takes. The App may
// have been given more, for other repositories or by mistake, and no token has it.
func needed() *github.InstallationPermissions {
	return &github.InstallationPermissions{Contents: github.String("write"), Metadata: github.String("read")}
}

// mintError says why no token was made. GitHub refuses with 422 to give a token what
// the installation does not have.
func mintError(err error) error {
	var refused *github.ErrorResponse
	if errors.As(err, &refused) && refused.Response.StatusCode == http.StatusUnprocessableEntity {
		return gitops.Errorf(gitops.NotFound, "GitHub gives the App no token that may write the repository: install the App on the manifest repository, "+
			"give it the permission Contents: write, and accept that in its installation").WithCause(err)
	}
	return apiError("making an installation token", err)
}

// try asks for a repository with a fresh token until it works.
func (a *App) try(ctx context.Context, value, owner, name string) error {
	for i := 0; ; i++ {
		request, err := a.public.NewRequest(http.MethodGet, "repos/"+owner+"/"+name, nil)
		if err != nil {
			return apiError("trying the token", err)
		}
		request.Header.Set("Authorization", "Bearer "+value)
		_, err = a.public.Do(ctx, request, nil)
		if err == nil {
			return nil
		}
		err = apiError("trying the installation token", err)
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
		return 0, apiError("looking for the App's installation on the repository", err)
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

// apiError turns what go-github says into what a caller is told.
func apiError(doing string, err error) error {
	var (
		known   *gitops.Error
		key     *keyError
		limited *github.RateLimitError
		abuse   *github.AbuseRateLimitError
		refused *github.ErrorResponse
	)
	code, sentence, wait := gitops.Unavailable, "the connection to GitHub's API failed", time.Duration(0)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &key):
		code, sentence = gitops.Unauthorized, "the GitHub App's private key cannot be used"
	case errors.As(err, &limited):
		code, sentence, wait = gitops.RateLimited, "GitHub's API is rate limited", time.Until(limited.Rate.Reset.Time)
	case errors.As(err, &abuse):
		code, sentence, wait = gitops.RateLimited, "GitHub's API is rate limited", abuse.GetRetryAfter()
	case errors.As(err, &refused):
		code, sentence = refusalMeans(refused.Response.StatusCode)
	case errors.Is(err, context.DeadlineExceeded):
		sentence = "GitHub's API did not answer in time"
	}
	if doing != "" {
		sentence += " (" + doing + ")"
	}
	e := gitops.Errorf(code, "%s", sentence).WithCause(err)
	e.RetryAfter = max(0, min(wait, time.Hour))
	return e
}

func refusalMeans(status int) (gitops.Code, string) {
	switch status {
	case http.StatusUnauthorized:
		return gitops.Unauthorized, "GitHub does not accept the App's credentials: is the key this App's, and this machine's clock right?"
	case http.StatusForbidden:
		return gitops.Forbidden, "GitHub does not let the App do this: is its installation suspended, or a permission missing?"
	case http.StatusNotFound, http.StatusUnprocessableEntity:
		return gitops.NotFound, "GitHub does not know what it was asked for: is the App installed on the manifest repository?"
	case http.StatusTooManyRequests:
		return gitops.RateLimited, "GitHub's API is rate limited"
	}
	return gitops.Unavailable, "GitHub's API answered with an unexpected status"
}
