package server

import (
	"context"
	"strings"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/feedback"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// feedbacks has GitHub told what happens to updates, while some app has a source.
type feedbacks struct {
	ctx     context.Context
	running sync.WaitGroup
	stop    context.CancelFunc // ends the follower; nil while there is no source

	mu   sync.Mutex
	told *toldSite // the latest
}

// hasSources reports whether an app has a source, or one that is found may have one.
func hasSources(c config.Config) bool {
	for _, app := range c.Apps {
		if app.Source != "" {
			return true
		}
	}
	for _, d := range c.Discover {
		if d.Source != "" {
			return true
		}
	}
	return false
}

// startFeedback has GitHub told where the configuration wants it.
func (s *Server) startFeedback() {
	ctx, cancel := context.WithCancel(context.Background())
	s.feedbacks = &feedbacks{ctx: ctx}
	s.onStop("feedback", func(context.Context) error {
		cancel()
		s.feedbacks.running.Wait()
		return nil
	})
	s.tellSources(s.current())
}

// tellSources begins to tell GitHub where a configuration wants it and the one before did
// not, and ends it where it is wanted no longer.
func (s *Server) tellSources(g *generation) {
	f := s.feedbacks
	switch wanted := hasSources(g.config); {
	case !wanted && f.stop != nil:
		f.stop()
		f.stop = nil
	case wanted && f.stop == nil:
		follower := feedback.New(feedback.Config{
			Site: s.told, GitHub: func(manifests string) feedback.GitHub { return deployers{s, manifests} }, Store: s.store, Recorder: s.metrics.feedback, Logger: s.logger, Holder: newHolder(), Now: now,
		})
		ctx, stop := context.WithCancel(f.ctx)
		f.stop = stop
		f.running.Go(func() { follower.Run(ctx) })
	}
}

// told is what is told of apps now: the same as long as the configuration and the apps that
// are known are.
func (s *Server) told() feedback.Site {
	g := s.current()
	apps := g.known()
	s.feedbacks.mu.Lock()
	defer s.feedbacks.mu.Unlock()
	if t := s.feedbacks.told; t == nil || t.of != g || t.apps != apps {
		s.feedbacks.told = newToldSite(g, apps)
	}
	return s.feedbacks.told
}

// toldSite is a [feedback.Site]. It does not change.
type toldSite struct {
	of     *generation
	apps   *known
	shared map[string]bool // sources of several apps, in lower case: GitHub tells no capitals apart
}

func newToldSite(g *generation, apps *known) *toldSite {
	t := &toldSite{of: g, apps: apps, shared: make(map[string]bool)}
	first := make(map[string]string) // app by source
	for _, target := range apps.Targets() {
		source := strings.ToLower(target.Source)
		if other, ok := first[source]; ok && other != target.App {
			t.shared[source] = true
		}
		first[source] = target.App
	}
	return t
}

// Source implements [feedback.Site].
func (t *toldSite) Source(environment, app string) (s feedback.Source, shared bool) {
	target, ok := t.apps.Target(environment, app)
	if !ok {
		return s, false
	}
	return feedback.Source{Repository: target.Source, Manifests: target.Manifests}, t.shared[strings.ToLower(target.Source)]
}

// Followed implements [feedback.Site].
func (t *toldSite) Followed(environment, app string) bool {
	return t.apps.followedBy(environment, app) != ""
}

// CommitURL implements [feedback.Site].
func (t *toldSite) CommitURL(u gitops.Update) string { return commitURL(t.of, t.apps, u) }

// commitURL is the page of an update's commit. Pages are known of repositories that are
// written as a GitHub App; elsewhere it is "".
func commitURL(g *generation, apps *known, u gitops.Update) string {
	target, ok := apps.Target(u.Environment, u.App)
	if !ok || u.Commit == "" {
		return ""
	}
	if r := g.repositories[target.Manifests]; r != nil && r.app != nil {
		return r.app.CommitPage(u.Commit)
	}
	return ""
}

// deployers are the Apps of the configuration in force that the sources of one manifest
// repository's apps are told as. That is the App which that one is written as: what another's
// App may do is for the other's apps, and a host of GitHub's own may have a repository of the
// same name. Where it is not written as an App it is the first of all that is installed on the
// source.
type deployers struct {
	server    *Server
	manifests string
}

var _ feedback.GitHub = deployers{}

// as calls Apps in turn until one knows the repository. No App is closed meanwhile.
func (d deployers) as(call func(*githubapp.Deployer) error) error {
	var err error = gitops.Errorf(gitops.Unavailable, "no GitHub App is configured any more")
	asked := make(map[string]bool)
	all := d.server.current().repositories
	own := all[d.manifests]
	for _, r := range all.sorted() {
		if r.app == nil || own != nil && own.app != nil && r != own || asked[r.app.Key()] || !r.lanes.Keep() {
			continue
		}
		asked[r.app.Key()] = true
		err = call(r.app.Deployer())
		r.lanes.Release()
		if gitops.CodeOf(err) != gitops.NotFound {
			break
		}
	}
	return err
}

// Page implements [feedback.GitHub].
func (d deployers) Page(repository string) (page string) {
	_ = d.as(func(to *githubapp.Deployer) error { page = to.Page(repository); return nil })
	return page
}

// Deployments implements [feedback.GitHub].
func (d deployers) Deployments(ctx context.Context, repository string) (newest []githubapp.Deployment, all bool, err error) {
	err = d.as(func(to *githubapp.Deployer) (err error) {
		newest, all, err = to.Deployments(ctx, repository)
		return err
	})
	return newest, all, err
}

// DeploymentsOf implements [feedback.GitHub].
func (d deployers) DeploymentsOf(ctx context.Context, repository, revision string) (newest []githubapp.Deployment, err error) {
	err = d.as(func(to *githubapp.Deployer) (err error) {
		newest, err = to.DeploymentsOf(ctx, repository, revision)
		return err
	})
	return newest, err
}

// LastStatus implements [feedback.GitHub].
func (d deployers) LastStatus(ctx context.Context, repository string, deployment int64) (last githubapp.DeploymentStatus, err error) {
	err = d.as(func(to *githubapp.Deployer) (err error) {
		last, err = to.LastStatus(ctx, repository, deployment)
		return err
	})
	return last, err
}

// Commit implements [feedback.GitHub].
func (d deployers) Commit(ctx context.Context, repository, ref string) (revision string, err error) {
	err = d.as(func(to *githubapp.Deployer) (err error) { revision, err = to.Commit(ctx, repository, ref); return err })
	return revision, err
}

// Deploy implements [feedback.GitHub].
func (d deployers) Deploy(ctx context.Context, repository string, n githubapp.NewDeployment) (id int64, err error) {
	err = d.as(func(to *githubapp.Deployer) (err error) { id, err = to.Deploy(ctx, repository, n); return err })
	return id, err
}

// SetStatus implements [feedback.GitHub].
func (d deployers) SetStatus(ctx context.Context, repository string, deployment int64, s githubapp.DeploymentStatus) error {
	return d.as(func(to *githubapp.Deployer) error { return to.SetStatus(ctx, repository, deployment, s) })
}
