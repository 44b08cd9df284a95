package server

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/guard"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/proof"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// repository is what reaches the manifest repository.
type repository struct {
	writer *manifest.Writer
	past   *history.Reader
	prover *proof.Prover  // has no keys until the store is open
	files  *guard.Guard   // stands before all that is parsed; notes nothing until then
	app    *githubapp.App // as whom it is written; nil unless one is configured
}

// newRepository does not use the network.
func newRepository(c config.Config, current func() *generation, recorder manifest.Recorder, logger *slog.Logger) (r repository, err error) {
	r.prover = proof.New()
	r.files = guard.New(current().shares.Parsers, logger)
	roots, rootsErr := readRoots("manifests.caFile", c.Manifests.CAFile)
	var appErr error
	if c.Manifests.Credentials.GitHubApp != nil {
		r.app, appErr = newApp(c.Manifests, roots, logger)
	}
	at := remoteOf(c.Manifests, r.app, roots)
	breaker := git.NewBreaker(time.Now) // a pause that the server asks for is everybody's
	var writerErr, pastErr error
	r.writer, writerErr = newWriter(c, current, at, r, breaker, recorder, logger)
	if writerErr == nil { // what is wrong with the address is said once
		r.past, pastErr = newPast(c, current().shares.Search, at, r, breaker)
	}
	if err := errors.Join(rootsErr, appErr, writerErr, pastErr); err != nil {
		return repository{}, errors.Join(err, r.close())
	}
	return r, nil
}

// close frees what was made.
func (r repository) close() error {
	if r.past != nil {
		r.past.Close()
	}
	if r.writer != nil {
		return r.writer.Close()
	}
	return nil
}

// remoteOf says where the repository is, and how to get in.
func remoteOf(c config.Manifests, app *githubapp.App, roots *x509.CertPool) git.Config {
	at := git.Config{
		URL:     c.URL,
		RootCAs: roots,
		SSH:     git.SSH{KeyFile: c.Credentials.SSHKeyFile, KnownHostsFile: c.Credentials.KnownHostsFile},
	}
	if file := c.Credentials.TokenFile; file != "" {
		at.Credentials = git.TokenFile{Path: file, User: c.Credentials.Username}
	}
	if c.Credentials.GitHubApp != nil { // also one that is wrong: what else is wrong is found as well
		at.Credentials = app
	}
	return at
}

func newPast(c config.Config, memory int64, at git.Config, r repository, breaker *git.Breaker) (*history.Reader, error) {
	remote, err := git.NewRemote(at)
	if err != nil {
		return nil, gitops.PrefixField("manifests", err)
	}
	return history.New(breaker.Guard(remote), c.Manifests.Branch, r.prover, history.Limits{
		Memory:    memory,
		FileBytes: int64(c.Limits.File.Bytes),
		Enter: func(ctx context.Context, o gitops.ParsedObject) (func(), error) {
			return r.files.Enter(ctx, o, 0, true)
		},
	}), nil
}

// Without it an App would go on with a token that was revoked.
var _ git.Invalidator = (*githubapp.App)(nil)

func newApp(c config.Manifests, roots *x509.CertPool, logger *slog.Logger) (*githubapp.App, error) {
	app, err := githubapp.New(githubapp.Config{
		AppID:          c.Credentials.GitHubApp.AppID,
		InstallationID: c.Credentials.GitHubApp.InstallationID,
		PrivateKeyFile: c.Credentials.GitHubApp.PrivateKeyFile,
		RepositoryURL:  c.URL,
		APIURL:         c.Credentials.GitHubApp.APIURL,
		RootCAs:        roots,
		Logger:         logger,
	})
	return app, gitops.PrefixField("manifests.credentials.githubApp", err)
}

func newWriter(c config.Config, current func() *generation, at git.Config, r repository, breaker *git.Breaker, recorder manifest.Recorder, logger *slog.Logger) (*manifest.Writer, error) {
	var identify func(ctx context.Context) (git.Signature, error)
	if c.Manifests.Credentials.GitHubApp != nil {
		identify = func(ctx context.Context) (git.Signature, error) {
			bot, err := r.app.Identity(ctx)
			return git.Signature(bot), err
		}
	}
	w, err := manifest.New(manifest.Config{
		Prover:      r.prover,
		Guard:       r.files,
		Limits:      manifest.Limits{FileBytes: int(c.Limits.File.Bytes), Snapshot: current().snapshot},
		URL:         at.URL,
		Branch:      c.Manifests.Branch,
		Credentials: at.Credentials,
		RootCAs:     at.RootCAs,
		SSH:         at.SSH,
		Breaker:     breaker,
		Author:      git.Signature(c.Manifests.Author),
		Identify:    identify,
		Signing:     git.Signing(c.Manifests.Signing),
		Subject:     c.Manifests.Subject,
		Squash: func(environment string) bool {
			return current().config.Environments[environment].Commits == "one-per-batch"
		},
		BatchSubject: c.Manifests.BatchSubject,
		Recorder:     recorder,
		Logger:       logger,
		Files:        func() []string { return current().known().Files("default") },
		Target: func(environment, app string) (manifest.Target, error) {
			to, ok := current().known().Target(environment, app)
			if !ok { // accepted under another configuration
				return manifest.Target{}, gitops.Errorf(gitops.NotFound, "app %q is no longer configured for environment %q", app, environment)
			}
			return to.Written(), nil
		},
	})
	return w, gitops.PrefixField("manifests", err)
}

// readRoots returns the system's certificates and those of the file, or nil for
// no file, which means the system's.
func readRoots(field, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, gitops.FieldErrorf(field, "%s cannot be read", file).WithCause(err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, gitops.FieldErrorf(field, "%s holds no certificate in PEM", file)
	}
	return roots, nil
}
