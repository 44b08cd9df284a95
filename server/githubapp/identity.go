package githubapp

import (
	"context"
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Identity is whom GitHub shows for the App's commits.
type Identity struct {
	Name  string // slug[bot]
	Email string // the bot's noreply address, which begins with its user's id
}

// Identity asks GitHub who the App's bot is, until it has been told once. Its
// errors are [*gitops.Error].
func (a *App) Identity(ctx context.Context) (Identity, error) {
	a.mu.Lock()
	known := a.identity
	a.mu.Unlock()
	if known != (Identity{}) {
		return known, nil
	}
	app, _, err := a.app.Apps.Get(ctx, "")
	if err != nil {
		return Identity{}, APIError("asking for the App's name", err)
	}
	login := app.GetSlug() + "[bot]"
	bot, _, err := a.installation.Users.Get(ctx, strings.NewReplacer("[", "%5B", "]", "%5D").Replace(login))
	if err != nil {
		return Identity{}, APIError("asking for the bot's user", err)
	}
	if app.GetSlug() == "" || bot.GetID() == 0 || strings.ContainsAny(login, "<>\r\n\x00 ") {
		return Identity{}, gitops.Errorf(gitops.Unavailable, "GitHub's answer does not say who the App's bot is")
	}
	known = Identity{Name: login, Email: fmt.Sprintf("%d+%s@users.noreply.%s", bot.GetID(), login, a.mailHost())}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.identity = known
	return known, nil
}

// mailHost is what noreply addresses end in.
func (a *App) mailHost() string {
	if gitops.IsLoopback(a.web.Hostname()) {
		return "github.com" // no host of GitHub's: a test's
	}
	return strings.ToLower(a.web.Hostname())
}

// Report is what the App may do, for a person to read.
type Report struct {
	Identity     Identity
	Installation int64
	Contents     string // the permission for the repository's contents: "write" is needed
	PullRequests string // the permission for pull requests: "write" is needed where they are opened
	Events       []string
	Page         string // of the installation, where an owner approves permissions
}

// Report asks GitHub for all of it, and mints a token on the way. Without the permission
// there is no token to mint: then the identity is the App's name alone.
func (a *App) Report(ctx context.Context) (Report, error) {
	id, err := a.installationOf(ctx)
	if err != nil {
		return Report{}, err
	}
	installation, _, err := a.app.Apps.GetInstallation(ctx, id)
	if err != nil {
		return Report{}, APIError("asking for the App's installation", err)
	}
	report := Report{Identity: Identity{Name: installation.GetAppSlug()}, Installation: id,
		Contents: installation.GetPermissions().GetContents(), PullRequests: installation.GetPermissions().GetPullRequests(),
		Events: installation.Events, Page: installation.GetHTMLURL()}
	if report.Contents != "write" {
		return report, nil
	}
	report.Identity, err = a.Identity(ctx)
	return report, err
}
