package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// imageSite is a site whose images are in a registry on this machine. Those of prod are
// inspected: of api and shop.
type imageSite struct {
	*site
	registry *registrytest.Server
}

func newImageSite(t testing.TB) *imageSite {
	t.Helper()
	s := &imageSite{newSite(t), registrytest.New(t)}
	s.edit("123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api", s.registry.Host()+"/shop/api")
	s.edit("\napps:\n", "\napps:\n  shop: {environments: [prod], repository: "+s.registry.Host()+"/shop/shop}\n")
	s.addFile("shop", "prod")
	s.inspectProd("")
	return s
}

// inspectProd has the images of prod inspected.
func (s *site) inspectProd(fields string) {
	s.t.Helper()
	s.edit(`prod: {tags: {semver: ">=1.0.0"}}`, `prod: {image: {`+fields+`}, tags: {semver: ">=1.0.0"}}`)
}

// push pushes an image of an app, and returns its digest.
func (s *imageSite) push(app, tag, content string) string {
	return s.registry.Push("shop/"+app, tag, registrytest.Image{Content: content}).Digest
}

// ordered is the id of the update that a dispatch orders in prod.
func (r *running) ordered(id, app, tag string) string {
	r.t.Helper()
	d := r.orders(id, app, "prod", tag).delivery(r.t, http.StatusAccepted)
	if len(d.Updates) != 1 {
		r.t.Fatalf("%s %s has %d updates", app, tag, len(d.Updates))
	}
	return d.Updates[0].ID
}

// becomes waits until an update has ended, and fails unless it is in the state, with the
// texts in its reason.
func (r *running) becomes(id string, state gitops.State, texts ...string) gitops.Update {
	r.t.Helper()
	u := r.settled(id)
	for _, text := range texts {
		if !strings.Contains(u.Reason, text) {
			r.t.Errorf("%s of %s: the reason %q does not say %q", u.Tag, u.App, u.Reason, text)
		}
	}
	if u.State != state {
		r.t.Errorf("%s of %s is %s, want %s: %s", u.Tag, u.App, u.State, state, u.Reason)
	}
	return u
}

// An update whose image is not there yet waits for it, says so, and is written once when it
// is there; an update of another app is written meanwhile.
func TestAnUpdateWaitsForItsImage(t *testing.T) { onEachStore(t, testWaitForImage) }

func testWaitForImage(t *testing.T, plain *site) {
	s := &imageSite{plain, registrytest.New(t)}
	s.edit("123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api", s.registry.Host()+"/shop/api")
	r := s.start()
	_ = r
}

// Of many updates of few images the registry is asked once for each image.
func TestABurstAsksOnceForEachImage(t *testing.T) {
	s := newImageSite(t)
	var apps []string
	for i := range 8 {
		name := fmt.Sprintf("a%d", i)
		s.edit("\napps:\n", "\napps:\n  "+name+": {environments: [prod], repository: "+s.registry.Host()+"/shop/base}\n")
		s.addFile(name, "prod")
		apps = append(apps, name)
	}
	for _, tag := range []string{"1.0.1", "1.0.2", "1.0.3"} {
		s.push("base", tag, tag)
	}
	r := s.start()
	var ids []string
	for _, tag := range []string{"1.0.1", "1.0.2", "1.0.3"} {
		for _, app := range apps {
			ids = append(ids, r.ordered(app+tag, app, tag))
		}
	}
	for _, id := range ids {
		r.becomes(id, gitops.Committed)
	}
	if heads, all := s.registry.Count(http.MethodHead, "manifests"), s.registry.Count("", ""); heads != 3 || all != 3 {
		t.Errorf("%d updates of 3 images made %d HEADs, and %d requests", len(ids), heads, all)
	}
	if got := gather(t, r.Server)[`tallyman_images_inspected_total{environment="prod",outcome="present"}`]; got != float64(len(ids)) {
		t.Errorf("%v images are counted, want %d", got, len(ids))
	}
}

var _ = gitserver.Push
