package server

import (
	"net/http"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// A registry that is away, twice, holds its own images only: nothing of them is written
// unchecked, updates of another registry are written, and in the end all are, in their order.
func TestARegistrysOutageHoldsItsOwnImages(t *testing.T) {
	s := newImageSite(t)
	other := registrytest.New(t)
	s.addApp("web", other.Host()+"/web")
	other.Push("web", "1.0.0", registrytest.Image{})
	other.Push("web", "1.0.1", registrytest.Image{})
	for _, tag := range []string{"1.0.0", "1.0.1"} {
		s.push("api", tag, tag)
		s.push("shop", tag, tag)
	}
	r := s.start()
	since := `tallyman_registry_unavailable_since_timestamp_seconds{host="` + s.registry.Host() + `"}`
	var want []string
	for i, away := range []registrytest.Answer{registrytest.Status(http.StatusServiceUnavailable), registrytest.Reset()} {
		round := []string{"1.0.0", "1.0.1"}[i]
		heal := s.registry.Inject(registrytest.Fault{Answer: away})
		api, shop := r.orderedInProd("api"+round, "api", round), r.orderedInProd("shop"+round, "shop", round)
		r.awaitBlock(api, "cannot check shop/api:"+round+" in registry "+s.registry.Host()+": ")
		r.awaitBlock(shop, "cannot check shop/shop:"+round+" in registry "+s.registry.Host()+": ")
		r.becomes(r.orderedInProd("web"+round, "web", round), gitops.Committed)
		if want = append(want, "chore: bump web to "+round+" (prod)"); gather(t, r.Server)[since] == 0 {
			t.Error("the registry is not told to be away")
		}
		s.wantCommits(want...)
		heal()
		r.becomes(api, gitops.Committed)
		r.becomes(shop, gitops.Committed)
		want = s.commits()
	}
	if got := gather(t, r.Server)[since]; got != 0 || len(want) != 6 {
		t.Errorf("in the end the registry is told to be away since %v; written are %q", got, want)
	}
}
