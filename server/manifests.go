package server

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// newRepository makes what reaches the manifest repository: the writer, and the
// GitHub App that it writes as, which is nil unless one is configured. It does
// not use the network.
func newRepository(c config.Config, p parts, recorder manifest.Recorder, logger *slog.Logger) (*manifest.Writer, *githubapp.App, error) {
	roots, rootsErr := readRoots("manifests.caFile", c.Manifests.CAFile)
	var app *githubapp.App
	var appErr error
	if c.Manifests.Credentials.GitHubApp != nil {
		app, appErr = newApp(c.Manifests, roots, logger)
	}
	w, err := newWriter(c, p, app, roots, recorder, logger)
	if err := errors.Join(rootsErr, appErr, err); err != nil {
		if w != nil {
			err = errors.Join(err, w.Close())
		}
		return nil, nil, err
	}
	return w, app, nil
}

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

func newWriter(c config.Config, p parts, app *githubapp.App, roots *x509.CertPool, recorder manifest.Recorder, logger *slog.Logger) (*manifest.Writer, error) {
	var credentials git.Credentials
	var identify func(ctx context.Context) (git.Signature, error)
	if file := c.Manifests.Credentials.TokenFile; file != "" {
		credentials = git.TokenFile{Path: file, User: c.Manifests.Credentials.Username}
	}
	if c.Manifests.Credentials.GitHubApp != nil {
		credentials = app
		identify = func(ctx context.Context) (git.Signature, error) {
			bot, err := app.Identity(ctx)
			return git.Signature(bot), err
		}
	}
	files := p.files()
	w, err := manifest.New(manifest.Config{
		URL:         c.Manifests.URL,
		Branch:      c.Manifests.Branch,
		Credentials: credentials,
		RootCAs:     roots,
		SSH: git.SSH{
			KeyFile:        c.Manifests.Credentials.SSHKeyFile,
			KnownHostsFile: c.Manifests.Credentials.KnownHostsFile,
		},
		Author:   git.Signature(c.Manifests.Author),
		Identify: identify,
		Signing:  git.Signing(c.Manifests.Signing),
		Subject:  c.Manifests.Subject,
		Squash: func(environment string) bool {
			return c.Environments[environment].Commits == "one-per-batch"
		},
		BatchSubject: c.Manifests.BatchSubject,
		Recorder:     recorder,
		Logger:       logger,
		Files:        func() []string { return files },
		Target: func(environment, app string) (manifest.Target, error) {
			t, ok := p.targets[target{environment, app}]
			if !ok { // accepted under another configuration
				return t, gitops.Errorf(gitops.NotFound, "app %q is no longer configured for environment %q", app, environment)
			}
			return t, nil
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
