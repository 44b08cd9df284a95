package server

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/routing"
)

// newWriter makes a repository's writer. All of them together take the share of the memory
// that is for the tips of branches: each takes an equal part, as many as there are.
func (m *manifestMaker) newWriter(r *repository, c config.Config, at git.Config, breaker *git.Breaker) (*manifest.Writer, error) {
	return manifest.New(manifest.Config{
		Prover: m.prover,
		Guard:  m.files,
		Limits: manifest.Limits{
			FileBytes: int(c.Limits.File.Bytes),
			Snapshot:  func() int64 { return m.current().snapshot / int64(len(m.current().repositories)) },
		},
		URL:         at.URL,
		Branch:      r.settings.Branch,
		Credentials: at.Credentials,
		RootCAs:     at.RootCAs,
		SSH:         at.SSH,
		Breaker:     breaker,
		Author:      git.Signature(r.settings.Author),
		Identify:    r.identify(),
		Signing:     git.Signing(r.settings.Signing),
		Subject:     r.settings.Subject,
		Squash: func(environment string) bool {
			return m.current().config.Environments[environment].Commits == "one-per-batch"
		},
		BatchSubject: r.settings.BatchSubject,
		Gate:         m.holds.Gate,
		Recorder:     m.metrics.pushes(r.name),
		Logger:       m.logger.With("repository", r.name),
		Files:        func() []string { return m.filesOf(r) },
		Target:       func(environment, app string) (manifest.Target, error) { return m.targetIn(r, environment, app) },
	})
}

// identify asks who the author of commits is; nil where the author is configured.
func (r *repository) identify() func(ctx context.Context) (git.Signature, error) {
	if r.settings.Credentials.GitHubApp == nil {
		return nil
	}
	return func(ctx context.Context) (git.Signature, error) {
		bot, err := r.app.Identity(ctx)
		return git.Signature(bot), err
	}
}

// filesOf are the files of a repository that updates can change; none of one that is in
// force no longer.
func (m *manifestMaker) filesOf(r *repository) []string {
	g := m.current()
	if g.repositories[r.name] != r {
		return nil
	}
	return g.known().Files(r.name)
}

// targetIn is where a repository's writer writes an update. A reload may move an app to
// another repository while its update is at hand: it is not written to the one before.
func (m *manifestMaker) targetIn(r *repository, environment, app string) (manifest.Target, error) {
	g := m.current()
	to, ok := g.known().Target(environment, app)
	if !ok { // accepted under another configuration
		return manifest.Target{}, gitops.Errorf(gitops.NotFound, "app %q is no longer configured for environment %q", app, environment)
	}
	if g.repositories[to.Manifests] != r {
		return manifest.Target{}, gitops.Errorf(gitops.NotFound, "the files of app %q in environment %q are in manifest repository %s now", app, environment, to.Manifests)
	}
	return to.Written(), nil
}

// routes say where updates go now.
func (m *manifestMaker) routes() routing.Routes {
	g := m.current()
	k := g.known()
	return routing.Routes{
		Repositories: g.lanes,
		Of: func(environment, app string) (string, bool) {
			to, ok := k.Target(environment, app)
			if !ok {
				return "", false
			}
			return to.Manifests, true
		},
		Apps: k.Apart,
	}
}
