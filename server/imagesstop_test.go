package server

import (
	"net/http"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// A server that is told to stop, while a registry answers neither a look nor a poll, stops at once,
// and leaves nothing behind: no connection, nothing that runs. The update is there after the next
// start, and is written when the registry answers.
func TestStopWhileARegistryHangs(t *testing.T) {
	s := newImageSite(t)
	s.push("api", "1.0.0", "api")
	s.edit("image: {}", "image: {poll: 1m}")
	s.edit("access:\n", "access:\n  - {who: {poll: {registries: ['"+s.registry.Host()+"']}}, may: [order], apps: ['*'], environments: [prod]}\n")
	asked := make(chan string, 100)
	heal := s.registry.Inject(registrytest.Fault{Answer: func(w http.ResponseWriter, r *http.Request, registry http.Handler, closing <-chan struct{}) {
		asked <- r.Method
		registrytest.Hang()(w, r, registry, closing)
	}})
	r := s.start()
	id := r.orderedInProd("1", "api", "1.0.0")
	for of := map[string]bool{}; !of[http.MethodHead] || !of[http.MethodGet]; {
		of[<-asked] = true
	}
	began := now()
	r.stop()
	if took := now().Sub(began); took.Seconds() > 5 {
		t.Errorf("it took %s", took)
	}
	nothingRuns(t)
	heal()
	r = s.start()
	if u := r.becomes(id, gitops.Committed); u.Found == nil {
		t.Error("it was written without a look")
	}
}
