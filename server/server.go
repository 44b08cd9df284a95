// Package server is the program: receivers in front of the queue, lanes behind
// it, and what an operator watches beside them.
//
// A server is made of parts that know nothing of each other. This package alone
// wires them: New checks everything that can be checked without starting, Start
// opens the store and the ports, Stop drains in the reverse order.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// Version is what is running, for logs and metrics.
type Version struct {
	Version, Revision, Go string
}

// Server is one tallyman. Its methods are not safe for concurrent use, but for
// Addr and AdminAddr after Start has returned.
type Server struct {
	config  config.Config
	logger  *slog.Logger
	version Version
	parts   parts
	metrics *metrics
	writer  *manifest.Writer
	app     *githubapp.App // nil unless one is configured

	// Set by Start, before anything is served.
	store         queue.Queue
	tips          *tips
	lanes         []*lane.Lane
	public, admin net.Listener
	background    sync.WaitGroup
	failed        chan error // a listener's end that nobody asked for

	drain     chan struct{} // closed by Stop: streams end
	listening atomic.Bool   // set by Start: deliveries can arrive
	draining  atomic.Bool   // set by Stop: deliveries are answered 503
	cleanups  []cleanup     // in the order in which things were made; run in reverse
}

// cleanup undoes one step of Start. It ends when ctx does, at the latest.
type cleanup struct {
	name string
	run  func(ctx context.Context) error
}

// New makes a server that does nothing until Start; Stop frees it either way. It
// reads the secrets' files and compiles the rules; its error joins everything
// that is wrong, each an Invalid error that names its field.
func New(c config.Config, v Version, logger *slog.Logger) (*Server, error) {
	p, err := build(c, logger)
	m := newMetrics(v, p.sources(), slices.Collect(maps.Keys(c.Environments)))
	w, app, repositoryErr := newRepository(c, p, m, logger)
	if err := errors.Join(err, repositoryErr); err != nil {
		if w != nil {
			err = errors.Join(err, w.Close())
		}
		return nil, err
	}
	s := &Server{config: c, logger: logger, version: v, parts: p, metrics: m, writer: w, app: app, failed: make(chan error, 2), drain: make(chan struct{})}
	if app != nil {
		s.onStop("GitHub App", func(context.Context) error { return app.Close() })
	}
	if p.jobs != nil {
		s.onStop("OIDC", func(context.Context) error { return p.jobs.Close() })
	}
	s.onStop("manifest writer", func(context.Context) error { return w.Close() })
	return s, nil
}

// Start opens the store, starts the lanes and listens. When it returns without
// error the server takes deliveries; whether the manifest repository can be
// reached is found out beside that, for a delivery must be taken either way.
// After an error nothing is left running.
func (s *Server) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.cleanUp(ctx))
		}
	}()
	if err := s.openStore(ctx); err != nil {
		return err
	}
	s.makeLanes() // before the admin listener asks them how they do
	if s.admin, err = s.listen("adminListen", s.config.AdminListen, s.adminHandler()); err != nil {
		return err
	}
	s.startLanes()
	s.startPruning()
	s.greetOrigin()
	s.public, err = s.listen("listen", s.config.Listen, s.publicHandler())
	if err != nil {
		return err
	}
	s.onStop("streams", func(context.Context) error {
		close(s.drain) // before the listener waits for them
		return nil
	})
	s.startSweeps()
	s.listening.Store(true)
	s.sayReady()
	return nil
}

func (s *Server) onStop(name string, run func(ctx context.Context) error) {
	s.cleanups = append(s.cleanups, cleanup{name, run})
}

func (s *Server) openStore(ctx context.Context) error {
	store, err := s.newStore(ctx)
	if err != nil {
		return err
	}
	s.store = store
	s.onStop("store", func(context.Context) error { return store.Close() })
	environments := slices.Sorted(maps.Keys(s.config.Environments))
	s.metrics.registry.MustRegister(&backlogs{records: store, environments: environments, logger: s.logger})
	return s.warnOfOrphans(ctx)
}

// sayReady tells whoever reads the log what is running, and where.
func (s *Server) sayReady() {
	s.logger.Info("ready",
		slog.String("listen", s.Addr()), slog.String("admin", s.AdminAddr()), slog.String("store", s.config.Store),
		slog.String("manifests", s.config.Manifests.URL), slog.String("branch", s.config.Manifests.Branch),
		slog.Int("environments", len(s.config.Environments)), slog.Int("apps", len(s.config.Apps)),
		slog.String("version", s.version.Version), slog.String("revision", s.version.Revision))
}

// warnOfOrphans names the updates that wait in an environment that is no longer
// configured: they are kept, and nobody works on them.
func (s *Server) warnOfOrphans(ctx context.Context) error {
	found, err := s.store.Backlogs(ctx)
	if err != nil {
		return err
	}
	for _, backlog := range found {
		if _, ok := s.config.Environments[backlog.Environment]; !ok && backlog.Pending > 0 {
			s.logger.Warn("updates wait in an environment that is not configured",
				slog.String("environment", backlog.Environment), slog.Int("pending", backlog.Pending), slog.Time("oldest", backlog.Oldest))
		}
	}
	return nil
}

func (s *Server) makeLanes() {
	holder := newHolder()
	for _, environment := range slices.Sorted(maps.Keys(s.config.Environments)) {
		s.lanes = append(s.lanes, lane.New(lane.Config{
			Environment: environment,
			Holder:      holder,
			Queue:       s.store,
			Writer:      s.writer,
			Recorder:    s.metrics,
			Logger:      s.logger,
			Lease:       s.config.Lease,
			Coalesce:    s.config.Environments[environment].Coalesce == "newest",
		}))
	}
}

func (s *Server) startLanes() {
	for _, l := range s.lanes {
		l.Start()
	}
	s.onStop("lanes", func(ctx context.Context) error {
		ctx, cancel := leaveTime(ctx)
		defer cancel()
		// When the lanes are given up, so is the push that they wait for.
		defer context.AfterFunc(ctx, s.writer.Cut)()
		var stopped sync.WaitGroup
		for _, l := range s.lanes {
			stopped.Go(func() { l.Stop(ctx) })
		}
		stopped.Wait()
		return nil
	})
}

// leaveTime ends a little before ctx does, so that what a lane gives up can
// still be recorded and the store closed in order.
func leaveTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	return context.WithTimeout(ctx, left-min(left/4, 3*time.Second))
}

// greetOrigin brings the branch's tip here before the first update needs it, and
// says early what would be wrong with the first push.
func (s *Server) greetOrigin() {
	ctx, cancel := context.WithCancel(context.Background())
	s.onStop("handshake", func(context.Context) error {
		cancel()
		return nil
	})
	s.background.Go(func() {
		if err := s.writer.Handshake(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("the manifest repository cannot be written yet: updates are taken and wait",
				slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
		}
	})
}

// listen binds the address that field configures and serves it.
func (s *Server) listen(field, address string, handler http.Handler) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, gitops.FieldErrorf(field, "cannot listen on %s", address).WithCause(err)
	}
	srv := s.httpServer(handler)
	bounded := listener
	if field == "listen" {
		bounded = s.parts.limits.connections.on(listener)
		srv.WriteTimeout = 30 * time.Second // more for a look at the past, and for a stream with each event
	}
	s.onStop(field, func(ctx context.Context) error {
		// A request that is only half here was promised nothing: it must not take
		// the time that the lanes need.
		ctx, cancel := withShare(ctx)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			return srv.Close()
		}
		return nil
	})
	s.background.Go(func() {
		if err := srv.Serve(bounded); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- gitops.FieldErrorf(field, "no longer listening").WithCause(err)
		}
	})
	return listener, nil
}

// httpServer bounds what a client can hold without being known: a connection, for
// as long as a request may take to come whole.
func (s *Server) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second, // GitHub and EventBridge have given up by then
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}

// withShare ends after a quarter of the time that ctx has left.
func withShare(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/4)
}

// Failed receives when a started server can no longer do its work and should be
// stopped.
func (s *Server) Failed() <-chan error { return s.failed }

// Addr is the public listener's address.
func (s *Server) Addr() string { return s.public.Addr().String() }

// AdminAddr is the admin listener's address.
func (s *Server) AdminAddr() string { return s.admin.Addr().String() }

// Stop drains: no more deliveries are taken, requests under way are answered,
// the batches at hand are written and settled or, when ctx ends first, given
// back. Everything that was begun has ended when it returns. A delivery that was
// answered 202 and not written by then is written after the next start.
func (s *Server) Stop(ctx context.Context) error {
	s.draining.Store(true)
	s.logger.Info("draining")
	err := s.cleanUp(ctx)
	s.logger.Info("stopped")
	return err
}

// cleanUp ends everything that was begun, and returns when it has ended.
func (s *Server) cleanUp(ctx context.Context) error {
	var problems []error
	for _, c := range slices.Backward(s.cleanups) {
		if err := c.run(ctx); err != nil {
			problems = append(problems, fmt.Errorf("stopping %s: %w", c.name, err))
		}
	}
	s.cleanups = nil
	s.background.Wait()
	return errors.Join(problems...)
}
