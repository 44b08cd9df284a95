package server

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/discovery"
)

// How often a branch is looked at for apps, and how soon again when somebody waits for one.
const (
	lookEvery   = 15 * time.Second
	lookBetween = time.Second
)

// finder looks at the branches that name apps, one loop for each, as long as the
// configuration in force has it looked at.
type finder struct {
	server         *Server
	every, between time.Duration
	looked         func(commit string) // told of every look that has ended, "" when it failed; of tests

	changing sync.Mutex // held while what is known changes: by a look, or by a reload

	mu    sync.Mutex
	ctx   context.Context // ends with the server; nil before it starts
	loops map[string]*branchLoop
	ended sync.WaitGroup
}

// branchLoop looks at the branch of one manifest repository.
type branchLoop struct {
	*discovery.Loop
	stop    context.CancelFunc
	looking sync.Mutex // held during a look: what an earlier one saw does not follow what a later one did
	failing string     // why the last look failed; "" when it did not
}

func newFinder(s *Server) *finder {
	return &finder{server: s, every: lookEvery, between: lookBetween, looked: func(string) {}, loops: make(map[string]*branchLoop)}
}

// run looks until ctx ends, and returns when every look has.
func (f *finder) run(ctx context.Context) {
	f.mu.Lock()
	f.ctx = ctx
	f.mu.Unlock()
	f.follow(f.server.current())
	<-ctx.Done()
	f.mu.Lock()
	f.ctx = nil
	f.mu.Unlock()
	f.ended.Wait()
}

// follow looks at the branches of a generation: at once at those that are new or looked
// through for something else, and no more at those that it does not have.
func (f *finder) follow(g *generation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil {
		return
	}
	for name, loop := range f.loops {
		if _, stays := g.known().Look(name); !stays {
			loop.stop()
			delete(f.loops, name)
		}
	}
	for _, look := range g.known().Looks() {
		loop := f.loops[look.Manifests]
		if loop == nil {
			f.begin(look.Manifests)
		} else if look.Result == nil || look.Kept {
			loop.Ask()
		}
	}
}

// begin has a branch looked at.
func (f *finder) begin(manifests string) {
	ctx, stop := context.WithCancel(f.ctx)
	loop := &branchLoop{stop: stop}
	loop.Loop = discovery.NewLoop(f.every, f.between, func(ctx context.Context) { f.look(ctx, manifests, loop) })
	f.loops[manifests] = loop
	f.ended.Go(func() {
		defer stop()
		loop.Run(ctx)
	})
}

// ask has every branch looked at soon: a delivery waits for an app.
func (f *finder) ask() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, loop := range f.loops {
		loop.Ask()
	}
}

// askOf has the branches of manifest repositories looked at soon: they were pushed to.
func (f *finder) askOf(repositories []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range repositories {
		if loop := f.loops[name]; loop != nil {
			loop.Ask()
		}
	}
}

// lookNow looks at a branch for whoever cannot go on without, beside the loop.
func (f *finder) lookNow(ctx context.Context, manifests string) {
	f.mu.Lock()
	loop := f.loops[manifests]
	f.mu.Unlock()
	if loop != nil {
		f.see(ctx, manifests, loop)
	}
}

// look looks at a branch once, as its loop does.
func (f *finder) look(ctx context.Context, manifests string, loop *branchLoop) {
	f.looked(f.see(ctx, manifests, loop))
}

// see looks at a branch once, and puts in force what it names. It returns the commit, ""
// for a look that failed, which changes nothing.
func (f *finder) see(ctx context.Context, manifests string, loop *branchLoop) (commit string) {
	loop.looking.Lock()
	defer loop.looking.Unlock()
	s := f.server
	g := s.current()
	look, ok := g.known().Look(manifests)
	if !ok {
		return ""
	}
	branch := discovery.Branch{View: g.repositories[manifests].writer.View, Guard: s.manifests.files}
	sight, err := branch.Look(ctx, look.Rules)
	switch {
	case ctx.Err() != nil:
		return ""
	case err != nil:
		f.fail(manifests, loop, err)
		return ""
	case f.note(loop, ""):
		s.logger.Info("apps can be discovered again", slog.String("repository", manifests))
	}
	s.metrics.apps.sawBranch(manifests, time.Now())
	if !f.found(manifests, look, sight) {
		loop.Ask() // the configuration changed meanwhile
	}
	return sight.Commit
}

// fail counts a look that failed, and logs it once for each reason.
func (f *finder) fail(manifests string, loop *branchLoop, err error) {
	f.server.metrics.apps.lookFailed(manifests)
	if f.note(loop, gitops.PublicOf(err)) {
		f.server.logger.Warn("apps cannot be discovered, using what was found before", slog.String("repository", manifests),
			slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
	}
}

// note notes why a look failed, "" when it did not, and reports whether that is new.
func (f *finder) note(loop *branchLoop, why string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := loop.failing != why
	loop.failing = why
	return changed
}

// failing reports whether a branch cannot be looked at: other replicas may know what is on
// it.
func (f *finder) failing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, loop := range f.loops {
		if loop.failing != "" {
			return true
		}
	}
	return false
}

// found puts in force what a look saw. It reports whether the look was by the rules that
// are in force.
func (f *finder) found(manifests string, by catalog.Look, sight discovery.Sight) bool {
	f.changing.Lock()
	defer f.changing.Unlock()
	s := f.server
	g := s.current()
	before := g.known()
	looks := slices.Clone(before.Looks())
	i := slices.IndexFunc(looks, func(l catalog.Look) bool { return l.Manifests == manifests && l.Rules == by.Rules })
	if i < 0 {
		return false
	}
	if !looks[i].Kept && looks[i].Result == sight.Result {
		return true // the same result says that nothing has changed
	}
	looks[i].Result, looks[i].Kept, looks[i].Commit = sight.Result, false, sight.Commit
	looks[i].Read = sight.Files(looks[i].Read)
	next, err := newKnown(catalog.Input{Config: g.config, Looks: looks, Within: g.within, Before: before.Catalog, Memo: before.memo})
	if err != nil { // what is wrong with the configuration was found when it was put in force
		s.logger.Error("apps not taken over", slog.String("repository", manifests), slog.String("error", err.Error()))
		return true
	}
	if next.Same(before.Catalog) { // but for what was looked at
		next.reader, next.gone = before.reader, before.gone
		g.now.Store(next)
		return true
	}
	s.know(g, next)
	s.tellFound(manifests, before, next)
	return true
}

// know puts what is known in the place of what was. Requests and streams go on: a right is
// the configuration's, which stays.
func (s *Server) know(g *generation, next *known) {
	before := g.known()
	next.remember(before)
	next.reader = s.newManifestReader(g, next, before)
	s.lanes.Configure(laneEnvironments(g.config), func() { g.now.Store(next) })
	s.configureProposals(g)
	if g.api != nil {
		g.api.Resize(g.answerMemory(next))
	}
	s.metrics.apps.set(next)
	s.metrics.images.know(g, next)
	s.waiting.Ask()
}

// firstNames is how many names a line of the log has.
const firstNames = 10

// tellFound logs what has come and gone, and new problems.
func (s *Server) tellFound(manifests string, before, now *known) {
	came, gone := newNames(before, now), newNames(now, before)
	look, _ := now.Look(manifests)
	if len(came)+len(gone) > 0 || now.Complete() && !before.Complete() {
		s.logger.Info("apps discovered", slog.String("repository", manifests), slog.String("commit", look.Commit),
			slog.Int("apps", len(now.Apps())), slog.Int("added", len(came)), slog.Int("removed", len(gone)),
			slog.Any("addedNames", came[:min(len(came), firstNames)]), slog.Any("removedNames", gone[:min(len(gone), firstNames)]), slog.Int("problems", len(now.Problems())))
	}
	told := make(map[string]bool)
	for _, p := range before.Problems() {
		told[p.Text()] = true
	}
	left := firstNames
	for _, p := range now.Problems() {
		if told[p.Text()] || left == 0 {
			continue
		}
		left--
		s.logger.Warn("app has a problem", slog.String("repository", p.Manifests), slog.String("app", p.App), slog.String("environment", p.Environment),
			slog.Any("files", p.Files), slog.String("problem", p.Message))
	}
}

// newNames are the apps that are known now and were not before.
func newNames(before, now *known) (names []string) {
	for _, app := range now.Apps() {
		if !before.Has(app) {
			names = append(names, app)
		}
	}
	return names
}
