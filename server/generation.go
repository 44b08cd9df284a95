package server

import (
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/routing"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// generation is one configuration with all that is made of it. It does not change: a
// reload puts another in its place, and a request that began under it ends under it.
type generation struct {
	config config.Config
	parts
	latest                   // the apps that are known now
	repositories             // that manifests are in
	argoCDs      argoCDs     // that are asked what runs
	registries   *registries // that images are in; nil before New has ended
	lanes        map[string]*routing.Repository
	intake       *webhook.Intake // the one way in for events, whatever brings them
	handler      http.Handler    // of the public listener
	api          *api.API        // nil where it is not served

	requests sync.WaitGroup // that are being answered
	ended    chan struct{}  // closed when it is in force no longer: streams end
	end      sync.Once
}

func newGeneration(c config.Config, p parts) *generation {
	g := &generation{config: c, parts: p, ended: make(chan struct{})}
	g.now.Store(p.first)
	return g
}

// catalog is the one that is known; nil without a generation.
func (g *generation) catalog() *catalog.Catalog {
	if g == nil {
		return nil
	}
	return g.known().Catalog
}

// memo is that of the tag rules.
func (g *generation) memo() *policy.Memo {
	if g == nil {
		return new(policy.Memo)
	}
	return g.known().memo
}

// endStreams has the streams end. Their clients come again, and are asked again what they
// may see.
func (g *generation) endStreams() { g.end.Do(func() { close(g.ended) }) }

// generations holds the one that is in force. Safe for concurrent use.
type generations struct {
	swap sync.RWMutex // held to put another in its place: no request is between the two
	now  atomic.Pointer[generation]
}

// current is the generation in force.
func (g *generations) current() *generation { return g.now.Load() }

// replace puts another in force and returns the one before.
func (g *generations) replace(next *generation) (before *generation) {
	g.swap.Lock()
	defer g.swap.Unlock()
	return g.now.Swap(next)
}

// ServeHTTP answers a request of the public listener under the configuration that is in
// force when it comes.
func (g *generations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.swap.RLock()
	of := g.current()
	of.requests.Add(1)
	g.swap.RUnlock()
	defer of.requests.Done()
	of.handler.ServeHTTP(w, r)
}

// prepare makes what serves a generation. The store is open.
// What was known before, if anything, is not read again.
func (s *Server) prepare(g *generation, before *known) {
	g.known().reader = s.newManifestReader(g, g.known(), before)
	g.intake = s.newIntake(g)
	g.handler = s.newHandler(g)
}

// use has the generation use manifest repositories, which release frees.
func (g *generation) use(all repositories) { g.repositories, g.lanes = all, all.byLanes() }

// release frees what the generation uses.
func (g *generation) release() error {
	g.repositories.release()
	return g.jobs.release()
}
