// Package githubapp acts as a GitHub App: it is who commits, pushes and asks
// GitHub, without a token that anybody has to keep.
//
// # From the key to a push
//
// The App's private key, which is in a file, signs a JWT that lives two minutes
// and proves to be the App. With it an installation token is minted, which lives
// an hour and may do what the installation may, in the manifest repository alone.
// That token is git's password and the API's. It is held in memory only.
//
// A token just minted is not known to all of GitHub's servers at once: one of
// them may answer 404. So a token is tried before it is used, and tried again a
// few times when it does not work. One minting serves all who wait for a token; it
// does not end with the caller that began it, since trying may take longer than
// one request may. A token is replaced in the background well before it ends,
// so nobody waits for that.
//
// Facts: GitHub's documentation, "Generating a JSON Web Token (JWT) for a GitHub
// App", "Authenticating as a GitHub App installation", "Rate limits for the REST
// API".
package githubapp

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Config says which App to be, and where.
type Config struct {
	AppID int64 // required

	// InstallationID of the App's installation on the repository. 0 means to ask
	// GitHub for it.
	InstallationID int64

	// PrivateKeyFile holds the App's private key, as GitHub lets it be downloaded.
	// It is read for each JWT, so that a new key counts at once. Required.
	PrivateKeyFile string

	// RepositoryURL is the manifest repository, https://HOST/OWNER/NAME.git. Tokens
	// are for it alone. Required.
	RepositoryURL string

	// APIURL is where GitHub's REST API is. Default: where the repository's host has
	// it. Plain http is refused but for a loopback address.
	APIURL string

	// RootCAs are trusted for the API's certificate. Default: the system's.
	RootCAs *x509.CertPool

	// Timeout bounds each request to the API, from its beginning to the end of the answer.
	// Default: a minute.
	Timeout time.Duration

	Logger *slog.Logger // default: nothing is logged

	Now  func() time.Time                                        // default time.Now
	Wait func(ctx context.Context, duration time.Duration) error // sleeps, or ends with ctx; default that
}

// App is a GitHub App at work in one repository. Safe for concurrent use.
type App struct {
	config       Config
	api, web     *url.URL
	owner, name  string
	app          *github.Client // authenticates as the App
	installation *github.Client // authenticates as the installation, as git does
	pulls        *github.Client // authenticates as the installation, for pull requests
	public       *github.Client // with a token that is still being tried
	deployer     *Deployer
	idle         func()

	life       context.Context // ends with Close
	end        context.CancelFunc
	background sync.WaitGroup

	mu             sync.Mutex
	pushing        *source
	proposing      *source
	installationID int64 // 0 while it is not known
	identity       Identity
}

// New checks the configuration and reads the key. It does not use the network.
// Its errors are [gitops.Invalid] and name the field as githubApp has it.
func New(c Config) (*App, error) {
	a := &App{config: c.withDefaults(), installationID: c.InstallationID}
	switch {
	case c.AppID <= 0:
		return nil, gitops.FieldErrorf("appID", "must be the number that GitHub shows as the App's ID")
	case c.InstallationID < 0:
		return nil, gitops.FieldErrorf("installationID", "must be a number above 0")
	case c.PrivateKeyFile == "":
		return nil, gitops.FieldErrorf("privateKeyFile", "is missing")
	}
	if _, err := readKey(c.PrivateKeyFile); err != nil {
		return nil, gitops.FieldErrorf("privateKeyFile", "%s %s", c.PrivateKeyFile, err)
	}
	if err := a.locate(); err != nil {
		return nil, err
	}
	a.connect()
	a.deployer = &Deployer{app: a}
	a.life, a.end = context.WithCancel(context.Background())
	return a, nil
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = sleep
	}
	return c
}

func sleep(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends what goes on in the background and frees the connections.
func (a *App) Close() error {
	a.end()
	a.background.Wait()
	a.idle()
	return nil
}

// locate finds owner and name of the repository, and its host's API.
func (a *App) locate() error {
	web, err := url.Parse(a.config.RepositoryURL)
	if err != nil || web.Host == "" || web.Scheme != "https" && web.Scheme != "http" {
		return gitops.FieldErrorf("", "is for a repository with a URL of https")
	}
	owner, name, ok := strings.Cut(strings.Trim(web.Path, "/"), "/")
	name = strings.TrimSuffix(name, ".git")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return gitops.FieldErrorf("", "is for a repository of GitHub: https://HOST/OWNER/NAME.git")
	}
	a.web, a.owner, a.name = web, owner, name
	address := a.config.APIURL
	if address == "" {
		address = defaultAPI(web)
	}
	a.api, err = url.Parse(strings.TrimSuffix(address, "/") + "/")
	switch {
	case err != nil || a.api.Host == "" || a.api.Scheme != "https" && a.api.Scheme != "http" || a.api.RawQuery != "" || a.api.Fragment != "":
		return gitops.FieldErrorf("apiURL", "must be an https:// address, such as https://api.github.com")
	case a.api.User != nil:
		return gitops.FieldErrorf("apiURL", "must not hold credentials")
	case a.api.Scheme == "http" && !gitops.IsLoopback(a.api.Hostname()):
		return gitops.FieldErrorf("apiURL", "must begin with https://: over http anybody on the way could read the tokens")
	}
	return nil
}

// defaultAPI is where a host of GitHub's has its API: github.com and the
// subdomains of ghe.com beside it, a GitHub Enterprise Server below a path.
func defaultAPI(web *url.URL) string {
	host := strings.ToLower(web.Host)
	if host == "github.com" || strings.HasSuffix(host, ".ghe.com") {
		return "https://api." + host
	}
	return web.Scheme + "://" + web.Host + "/api/v3"
}

// connect makes the clients on one pool of connections.
func (a *App) connect() {
	transport := newTransport(a.config.RootCAs)
	a.idle = transport.CloseIdleConnections
	client := func(as http.RoundTripper) *github.Client {
		c := github.NewClient(&http.Client{Transport: as, CheckRedirect: a.checkRedirect, Timeout: a.config.Timeout})
		c.BaseURL = a.api
		c.UserAgent = "tallyman"
		return c
	}
	capped := &limitedTransport{next: cappedTransport{transport}}
	a.app = client(asApp{a, capped})
	a.pushing, a.proposing = pushing(a), proposing(a)
	a.installation = client(asInstallation{a.pushing, capped})
	a.pulls = client(asInstallation{a.proposing, capped})
	a.public = client(capped)
}

// AppClient asks GitHub as the App: about its installations, and the deliveries
// that its webhook missed. A redirect to another host is an error.
func (a *App) AppClient() *github.Client { return a.app }

// InstallationClient asks GitHub as the App's installation on the manifest
// repository. Its token is minted when it is first needed.
func (a *App) InstallationClient() *github.Client { return a.installation }

// PullRequestClient asks GitHub as the installation, with tokens that may open and merge
// pull requests. An installation whose owner has not approved that has none: each call then
// fails as Forbidden, and pushes go on.
func (a *App) PullRequestClient() *github.Client { return a.pulls }

// Key tells Apps apart, whatever repository they are for: the App's number and GitHub's
// host.
func (a *App) Key() string { return strconv.FormatInt(a.config.AppID, 10) + "@" + a.api.Host }

// Page is a page of a repository on the App's host, for people.
func (a *App) Page(repository, below string) string {
	return a.web.Scheme + "://" + a.web.Host + "/" + repository + "/" + below
}

// CommitPage is the page of a commit of the manifest repository.
func (a *App) CommitPage(commit string) string {
	return a.Page(a.owner+"/"+a.name, "commit/"+commit)
}

// Repository is the manifest repository's owner and name.
func (a *App) Repository() (owner, name string) { return a.owner, a.name }
