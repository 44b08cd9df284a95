package server

import (
	"context"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// follows has written updates followed into the cluster, while some environment wants it.
type follows struct {
	ctx     context.Context
	running sync.WaitGroup
	stop    context.CancelFunc // ends the follower; nil while nothing is followed

	mu   sync.Mutex
	site *followedSite // the latest
}

// isFollowed reports whether rollouts of an environment are followed.
func isFollowed(c config.Config) bool {
	for _, e := range c.Environments {
		if e.Rollout.Followed() {
			return true
		}
	}
	return false
}

// startFollowing follows where the configuration wants it.
func (s *Server) startFollowing() {
	ctx, cancel := context.WithCancel(context.Background())
	s.follows = &follows{ctx: ctx}
	s.onStop("rollouts", func(context.Context) error {
		cancel()
		s.follows.running.Wait()
		s.current().argoCDs.endUnused(nil)
		return nil
	})
	s.followRollouts(s.current())
}

// followRollouts begins to follow where a configuration wants it and the one before did not,
// and ends it where it is wanted no longer. What is open then stays as it is.
func (s *Server) followRollouts(g *generation) {
	f := s.follows
	switch wanted := isFollowed(g.config); {
	case !wanted && f.stop != nil:
		f.stop()
		f.stop = nil
	case wanted && f.stop == nil:
		follower := follow.New(follow.Config{
			Site: s.followed, Git: revisions{s.current}, Reverter: reverts{s}, Store: s.store, Recorder: s.metrics.rollouts, Logger: s.logger, Holder: newHolder(), Now: now,
		})
		ctx, stop := context.WithCancel(f.ctx)
		f.stop = stop
		f.running.Go(func() { follower.Run(ctx) })
	}
}

// followed is what is followed now: the same as long as the configuration and the apps that
// are known are.
func (s *Server) followed() follow.Site {
	g := s.current()
	apps := g.known()
	s.follows.mu.Lock()
	defer s.follows.mu.Unlock()
	if t := s.follows.site; t == nil || t.of != g || t.apps != apps {
		s.follows.site = newFollowedSite(g, apps)
	}
	return s.follows.site
}

// followedSite is a [follow.Site]. It does not change.
type followedSite struct {
	of        *generation
	apps      *known
	instances []follow.Instance
}

func newFollowedSite(g *generation, apps *known) *followedSite {
	t := &followedSite{of: g, apps: apps}
	for _, a := range g.argoCDs {
		t.instances = append(t.instances, follow.Instance{Name: a.client.Instance(), Argo: a})
	}
	return t
}

// Instances implements [follow.Site].
func (t *followedSite) Instances() []follow.Instance { return t.instances }

// Followed implements [follow.Site]. Until every branch was looked at it is not known which
// apps there are.
func (t *followedSite) Followed(environment, app string) (f follow.Followed, known bool) {
	if in, ok := t.of.config.Environments[environment]; !ok || !in.Rollout.Followed() {
		return f, true
	}
	target, ok := t.apps.Target(environment, app)
	if !ok {
		_, settled := t.apps.whyGone(environment, app)
		return f, settled
	}
	f = follow.Followed{By: follow.By(target.Rollout.By), Timeout: target.Rollout.Timeout, Revert: target.Rollout.Revert, Application: target.Deployed.String()}
	if r := t.of.repositories[target.Manifests]; r != nil {
		f.File = rollout.Manifest{Repository: r.settings.URL, Branch: r.settings.Branch, File: target.Files[0].Path}
	}
	return f, true
}
