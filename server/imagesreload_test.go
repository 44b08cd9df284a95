package server

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// A reload that removes image writes what waited, one that adds it has what comes then wait,
// and one that changes nothing of registries keeps their connections.
func TestReloadAddsAndRemovesImage(t *testing.T) {
	s := newImageSite(t)
	s.push("shop", "1.0.0", "shop")
	r := s.start()
	waits := r.orderedInProd("1", "api", "1.0.0")
	r.awaitBlock(waits, "registry "+s.registry.Host()+" has no shop/api:1.0.0")
	kept := r.current().registries
	s.edit("image: {}", "image: {wait: 10m}")
	s.must(s.reload(r))
	if r.current().registries != kept {
		t.Error("what asks registries was made again")
	}
	s.edit("image: {wait: 10m}, ", "")
	s.must(s.reload(r))
	r.becomes(waits, gitops.Committed)
	asked := s.registry.Count("", "")
	r.becomes(r.orderedInProd("2", "api", "1.0.1"), gitops.Committed)
	if now := s.registry.Count("", ""); now != asked || r.current().registries.ecr != nil {
		t.Errorf("without image the registry was asked %d times, and there is a client of AWS: %t", now-asked, r.current().registries.ecr != nil)
	}

	s.edit("prod: {", "prod: {image: {}, ")
	s.must(s.reload(r))
	waits = r.orderedInProd("3", "api", "1.0.2")
	r.becomes(r.orderedInProd("4", "shop", "1.0.0"), gitops.Committed)
	r.awaitBlock(waits, "registry "+s.registry.Host()+" has no shop/api:1.0.2")
	s.push("api", "1.0.2", "api")
	r.becomes(waits, gitops.Committed)
}

// A wait that a reload makes shorter is shorter for what waits already.
func TestReloadOfTheWaitCountsForWhatWaits(t *testing.T) {
	s := newImageSite(t)
	s.edit("image: {}", "image: {wait: 24h}")
	r := s.start()
	waits := r.orderedInProd("1", "api", "1.0.0")
	r.awaitBlock(waits, "registry "+s.registry.Host()+" has no shop/api:1.0.0")
	s.edit("image: {wait: 24h}", "image: {wait: 1s}")
	s.must(s.reload(r))
	r.becomes(waits, gitops.Failed, "has no shop/api:1.0.0: looked for from ")
}

// An app that gets another repository while its update waits is not written with a tag that
// was looked for in the first, whether it is there or not.
func TestReloadOfTheRepositoryEndsWhatWaits(t *testing.T) {
	s := newImageSite(t)
	r := s.start()
	waits := r.orderedInProd("1", "api", "1.0.0")
	r.awaitBlock(waits, "registry "+s.registry.Host()+" has no shop/api:1.0.0")
	s.edit(s.registry.Host()+"/shop/api", s.registry.Host()+"/shop/other")
	s.must(s.reload(r))
	s.push("api", "1.0.0", "api")
	r.becomes(waits, gitops.Cancelled, "/shop/api when this update was accepted, and is "+s.registry.Host()+"/shop/other now")
	s.push("other", "1.0.0", "other")
	r.becomes(r.orderedInProd("2", "api", "1.0.0"), gitops.Committed)
}
