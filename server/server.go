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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/inspect"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/audit"
	"github.com/tallyman-dev/tallyman/server/budget"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/discovery"
	"github.com/tallyman-dev/tallyman/server/holds"
	"github.com/tallyman-dev/tallyman/server/limits"
	"github.com/tallyman-dev/tallyman/server/notify"
	"github.com/tallyman-dev/tallyman/server/storehealth"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Version is what is running, for logs and metrics.
type Version struct {
	Version, Revision, Go string
}

// Server is one tallyman. Its methods are not safe for concurrent use, but for
// Addr, AdminAddr and ProbeAddr after Start has returned.
type Server struct {
	*generations
	logger    *slog.Logger
	version   Version
	limits    *limits.Limits
	metrics   *metrics
	audit     *audit.Recorder
	overLimit *overLimit
	answers   *api.Shared   // of the API, whatever configuration they are made by
	kept      *webhook.Kept // of the intake, likewise
	health    *storehealth.Monitor
	volume    func(path string) (sqlite.Volume, error) // of tests; nil asks the kernel
	dial      dialer                                   // of tests, to registries; nil connects
	rejection string                                   // why the configuration file is not in force; "" when it is
	manifests *manifestMaker
	sweeps    *sweeps             // nil before Start
	polls     *polls              // nil before Start
	feedbacks *feedbacks          // nil before Start
	notifiers *notify.Manager     // nil before Start
	follows   *follows            // nil before Start
	warm      func(g *generation) // brings the tips of its branches here; nil before Start
	finder    *finder             // of apps on branches
	holds     *holds.Book         // has no store before Start
	verifier  *verifier           // likewise
	holder    string              // names this process in the store

	// Set by Start, before anything is served.
	store         queue.Queue
	room          *inspect.Room    // finds out whether images are there
	proposals     *proposals.Rooms // open pull requests and follow them
	lanes         *lane.Replica
	waiting       *discovery.Loop // decides deliveries that wait for an app
	public, admin net.Listener
	probes        net.Listener
	background    sync.WaitGroup
	failed        chan error // a listener's unexpected end

	listening atomic.Bool // set by Start: deliveries can arrive
	outdated  atomic.Bool // the configuration file was rejected
	draining  atomic.Bool // set by Stop: deliveries are answered 503
	cleanups  []cleanup   // in the order in which things were made; run in reverse
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
	all := &generations{}
	all.replace(newGeneration(c, p))
	m := newMetrics(v)
	book := holds.New(all.holdRules)
	manifests := newManifestMaker(all.current, book, m, logger)
	repositories, repositoriesErr := manifests.make(c, nil)
	instances, instancesErr := newArgoCDs(c, nil, m.rollouts, logger)
	if err := errors.Join(err, repositoriesErr, instancesErr); err != nil {
		manifests.router.Close()
		return nil, err
	}
	all.current().use(repositories)
	all.current().argoCDs = instances
	recordMemory(m.registry, p.shares)
	s := &Server{generations: all, logger: logger, version: v, limits: p.limits, metrics: m, audit: newAudit(c, m, logger), overLimit: newOverLimit(m.registry, logger), answers: api.NewShared(), kept: new(webhook.Kept), health: storehealth.New(logger), manifests: manifests, holds: book, holder: newHolder(), failed: make(chan error, 3)}
	s.verifier = newVerifier(s)
	s.current().registries = s.newRegistries(c, nil)
	s.finder = newFinder(s)
	s.knowLabels(nil, all.current())
	s.onStop("OIDC", func(context.Context) error { return s.current().jobs.release() })
	s.onStop("manifest repositories", s.manifests.close)
	return s, nil
}

// Start opens the store, listens and starts the lanes. When it returns without
// error the server takes deliveries; whether the manifest repository can be
// reached is found out beside that, for a delivery must be taken either way.
// After an error nothing is left running, and nothing was written.
func (s *Server) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.cleanUp(ctx))
		}
	}()
	if err := s.openStore(ctx); err != nil {
		return err
	}
	s.startRoom()
	s.startProposals()
	s.lanes = s.newLanes() // before a probe asks whether they are stuck
	if err := s.serveOperators(); err != nil {
		return err
	}
	if s.public, err = s.bind(publicListener, s.current().config.Listen); err != nil {
		return err
	}
	s.prepare(s.current(), nil) // before the branch is fetched, which keeps the machine busy
	s.startLanes()              // now that nothing can fail any more
	s.startReconsidering()
	s.startPruning()
	s.startBackups()
	s.startAudit()
	s.warmUp()
	s.runUntilStop("discovery", s.finder.run)
	s.serve(publicListener, s.limits.Listener(s.public, publicListener, s.metrics.connections), s.generations)
	s.onStop("streams", func(context.Context) error {
		s.current().endStreams() // before the listener waits for them
		return nil
	})
	s.startSweeps()
	s.startPolls()
	s.startFeedback()
	s.startNotifiers()
	s.startFollowing()
	s.listening.Store(true)
	s.logAccess()
	connections, ofAddress := s.limits.Connections()
	s.logger.Info("memory", slog.Any("shares", s.current().shares), slog.Int("connections", connections), slog.Int("connectionsPerAddress", ofAddress))
	s.logReady()
	s.logWarnings()
	return nil
}

// environments are the configured ones, sorted.
func (s *Server) environments() []string {
	return slices.Sorted(maps.Keys(s.current().config.Environments))
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
	s.onStop("reading", func(ctx context.Context) error {
		// Nothing is parsed any more, and so nothing is noted when the store closes.
		err := s.manifests.close(ctx)
		s.manifests.files.Close()
		return err
	})
	s.holds.Use(store)
	if err := s.manifests.files.Use(ctx, store, s.holder); err != nil {
		return err
	}
	keys, err := store.ProofKeys(ctx)
	if err != nil {
		return err
	}
	s.manifests.prover.SetKeys(keys)
	soon, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	s.health.Measure(soon, store) // so that the first scrape has it
	s.metrics.registry.MustRegister(&laneStates{reader: store, environments: s.environments, logger: s.logger}, holdStates{store, s.environments, func() *gate.Freezes { return s.holdRules().Freezes }, s.logger}, setAsides{store, s.logger}, waitingDeliveries{store, s.logger}, storeCollector{s.health})
	s.runUntilStop("store's monitor", func(ctx context.Context) { s.health.Run(ctx, store) })
	return nil
}

// logReady logs what is running, and where.
func (s *Server) logReady() {
	s.logger.Info("ready",
		slog.String("listen", s.Addr()), slog.String("admin", s.AdminAddr()), slog.String("probes", s.ProbeAddr()), slog.String("store", s.current().config.Store),
		slog.String("manifests", s.current().config.Manifests.URL), slog.String("branch", s.current().config.Manifests.Branch), slog.Int("repositories", len(s.current().repositories)),
		slog.Int("environments", len(s.current().config.Environments)), slog.Int("apps", len(s.current().known().Apps())),
		slog.String("version", s.version.Version), slog.String("revision", s.version.Revision))
}

// Memory is how the memory of the process is divided.
func (s *Server) Memory() budget.Shares { return s.current().shares }

// Failed receives when a started server can no longer do its work and should be
// stopped.
func (s *Server) Failed() <-chan error { return s.failed }

// Addr is the public listener's address.
func (s *Server) Addr() string { return s.public.Addr().String() }

// AdminAddr is the admin listener's address.
func (s *Server) AdminAddr() string { return s.admin.Addr().String() }

// ProbeAddr is the address of the listener for probes.
func (s *Server) ProbeAddr() string { return s.probes.Addr().String() }

// Stop drains: no more deliveries are taken, requests under way are answered,
// the batches at hand are written and reported or, when ctx ends first, given
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
