package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/retention"
)

// coexistence is how long replicas with different configurations may stand beside one
// another.
const coexistence = 10 * time.Minute

func (s *Server) newLanes() *lane.Replica {
	c := lane.Config{
		Holder: s.holder, Queue: s.store, Writer: laneWriter{s.manifests.router, s}, Holds: s.holds, Images: s.room, Proposals: s.metrics.proposals.countEnds(s.proposals), Recorder: s.metrics.lanes, Logger: s.logger, Lease: s.current().config.Lease,
		Environments: laneEnvironments(s.current().config),
		Configured: func(environment, app string) bool {
			_, ok := s.current().known().Target(environment, app)
			return ok
		},
		WhyNot:       func(environment, app string) (string, bool) { return s.current().known().whyGone(environment, app) },
		AnotherImage: s.anotherImage,
	}
	if _, isFile := s.current().config.StoreFile(); !isFile { // which one process has for itself
		c.Rollout, c.Outdated = coexistence, func() bool { return s.outdated.Load() || s.finder.failing() }
	}
	return lane.NewReplica(c)
}

func laneEnvironments(c config.Config) (all []lane.Environment) {
	for name, environment := range c.Environments {
		all = append(all, lane.Environment{
			Name: name, Coalesce: environment.Coalesce == "newest", PullRequest: environment.Proposes(),
			NewestHeld: environment.AfterHold == "newest", RespectHandEdits: environment.HandEdits == "respect",
		})
	}
	return all
}

func (s *Server) startLanes() {
	s.lanes.Start()
	s.onStop("lanes", func(ctx context.Context) error {
		ctx, cancel := drainDeadline(ctx)
		defer cancel()
		// When the lanes are given up, so is the push that they wait for.
		defer context.AfterFunc(ctx, s.manifests.router.Abort)()
		s.lanes.Stop(ctx)
		return nil
	})
}

// drainDeadline ends a little before ctx does, so that what a lane gives up can
// still be recorded and the store closed in order.
func drainDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	return context.WithTimeout(ctx, left-min(left/4, 3*time.Second))
}

// warmUp brings the branch's tip here before the first update needs it, and says
// early what would be wrong with the first push.
func (s *Server) warmUp() {
	ctx, cancel := context.WithCancel(context.Background())
	s.onStop("warm-up", func(context.Context) error {
		cancel() // and leaves the lanes the time that it may still take
		return nil
	})
	s.warm = func(g *generation) { s.background.Go(func() { s.handshake(ctx, g) }) }
	s.warm(s.current())
}

// handshake has every manifest repository of a generation made ready.
func (s *Server) handshake(ctx context.Context, g *generation) {
	var each sync.WaitGroup
	for _, r := range g.repositories {
		each.Go(func() {
			if err := r.writer.Handshake(ctx); err != nil && ctx.Err() == nil {
				s.logger.Warn("cannot write the manifest repository, updates are queued", slog.String("repository", r.name),
					slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
			}
		})
	}
	each.Wait()
}

// startPruning has what is older than the configuration keeps forgotten.
func (s *Server) startPruning() {
	s.runUntilStop("retention", retention.Pruner{Store: s.store, Keep: s.current().config.Retention.Keep, Logger: s.logger}.Run)
}

// runUntilStop runs something in the background. Stop ends it and waits for it,
// before it stops what was started earlier.
func (s *Server) runUntilStop(name string, run func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s.background.Go(func() {
		defer close(ended)
		run(ctx)
	})
	s.onStop(name, func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}
