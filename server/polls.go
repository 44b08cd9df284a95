package server

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// polls have registries polled, while some environment wants that.
type polls struct {
	ctx     context.Context
	running sync.WaitGroup
	stop    context.CancelFunc // ends the poller; nil while no environment polls

	mu    sync.Mutex
	of    *generation // that the site is of
	apps  *known      // likewise
	found *poll.Site  // the latest
}

// buildPolled is how environments poll, of those that do.
func buildPolled(c config.Config) map[string]poll.Environment {
	polled := make(map[string]poll.Environment)
	for name, env := range c.Environments {
		if env.Image != nil && env.Image.Poll != 0 {
			polled[name] = poll.Environment{Every: env.Image.Poll, RefusesMoved: env.Image.Moved != "allow"}
		}
	}
	return polled
}

// polls reports whether some environment polls.
func (p parts) polls() bool { return len(p.polled) > 0 }

// warnUnnamedPolls tells of registries of discovered apps that are polled in vain, once for each
// environment. Of the configuration's own apps it is an error.
func warnUnnamedPolls(out io.Writer, g *generation) {
	told := make(map[string]bool)
	for _, t := range g.known().Targets() {
		if _, polled := g.polled[t.Environment]; !polled || t.Image == "" {
			continue
		}
		host := policy.HostOf(t.Image)
		if why := g.access.WhyNoPoll(host, t.Environment); why != "" && !told[why] {
			told[why] = true
			fmt.Fprintf(out, "warning: %s.poll: %s\n", config.ImageField(t.Environment), why)
		}
	}
}

// startPolls has registries polled where the configuration wants it.
func (s *Server) startPolls() {
	ctx, cancel := context.WithCancel(context.Background())
	s.polls = &polls{ctx: ctx}
	s.onStop("polls", func(context.Context) error {
		cancel()
		s.polls.running.Wait()
		return nil
	})
	s.poll(s.current())
}

// poll begins to poll where a configuration wants it and the one before did not, and ends
// it where it is wanted no longer.
func (s *Server) poll(g *generation) {
	switch {
	case !g.polls() && s.polls.stop != nil:
		s.polls.stop()
		s.polls.stop = nil
	case g.polls() && s.polls.stop == nil:
		poller := poll.New(poll.Config{Site: s.polled, Store: s.store, Recorder: s.metrics.images, Logger: s.logger, Holder: newHolder(), Now: now, Jitter: rand.N[time.Duration]})
		ctx, stop := context.WithCancel(s.polls.ctx)
		s.polls.stop = stop
		s.polls.running.Go(func() { poller.Run(ctx) })
	}
}

// polled is what polls are made by: the same as long as the configuration and the apps that
// are known are.
func (s *Server) polled() *poll.Site {
	g := s.current()
	apps := g.known()
	s.polls.mu.Lock()
	defer s.polls.mu.Unlock()
	if s.polls.of != g || s.polls.apps != apps {
		s.polls.of, s.polls.apps = g, apps
		s.polls.found = &poll.Site{
			Policy: apps.policy, Intake: g.intake, Environments: g.polled,
			Registry: poll.Registries{Tags: g.registries.client, ECR: g.registries.ecr},
		}
	}
	return s.polls.found
}
