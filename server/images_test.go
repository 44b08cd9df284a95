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

func newImageSite(t *testing.T) *imageSite { return withRegistry(t, newSite(t)) }

func withRegistry(t *testing.T, plain *site) *imageSite {
	t.Helper()
	s := &imageSite{plain, registrytest.New(t)}
	s.edit("123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api", s.registry.Host()+"/shop/api")
	s.addApp("shop", s.registry.Host()+"/shop/shop")
	s.inspectProd("")
	return s
}

// addApp has one more app in prod.
func (s *site) addApp(name, repository string) {
	s.t.Helper()
	s.edit("\napps:\n", fmt.Sprintf("\napps:\n  %s: {environments: [prod], repository: '%s'}\n", name, repository))
	s.addFile(name, "prod")
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

// orderedInProd is the id of the update that a dispatch orders in prod.
func (r *running) orderedInProd(id, app, tag string) string {
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
		r.t.Fatalf("%s of %s is %s, want %s: %s", u.Tag, u.App, u.State, state, u.Reason)
	}
	return u
}

// commits are the subjects of what tallyman has written, oldest first.
func (s *site) commits() (subjects []string) {
	s.t.Helper()
	for _, subject := range s.subjects(s.repository, "main") {
		if strings.HasPrefix(subject, "chore: bump") {
			subjects = append(subjects, subject)
		}
	}
	return subjects
}

func (s *site) wantCommits(want ...string) {
	s.t.Helper()
	if got := s.commits(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		s.t.Errorf("written are %q, want %q", got, want)
	}
}

// An update whose image is not there yet says so and waits, and is written once as soon as it
// is there; an update of another app is written meanwhile.
func TestAnUpdateWaitsForItsImage(t *testing.T) { onEachStore(t, testWaitForImage) }

func testWaitForImage(t *testing.T, plain *site) {
	s := withRegistry(t, plain)
	there := s.push("shop", "1.0.0", "shop")
	r := s.start()
	late := r.orderedInProd("late", "api", "1.2.3")
	r.awaitBlock(late, "registry "+s.registry.Host()+" has no shop/api:1.2.3 (404 since ")
	if got := gather(t, r.Server)[`tallyman_images_waiting{environment="prod"}`]; got != 1 {
		t.Errorf("%v updates are told to wait", got)
	}
	other := r.becomes(r.orderedInProd("other", "shop", "1.0.0"), gitops.Committed)
	if other.Found == nil || other.Found.Digest != there || other.Found.Named {
		t.Errorf("found is %+v, want %s", other.Found, there)
	}
	s.wantCommits("chore: bump shop to 1.0.0 (prod)")

	digest := s.push("api", "1.2.3", "api")
	u := r.becomes(late, gitops.Committed)
	if u.Found == nil || u.Found.Digest != digest || u.Digest != "" || len(u.BlockedBy) != 0 {
		t.Errorf("it became %+v, found %+v", u, u.Found)
	}
	s.wantCommits("chore: bump shop to 1.0.0 (prod)", "chore: bump api to 1.2.3 (prod)")
	if got := gather(t, r.Server)[`tallyman_images_waiting{environment="prod"}`]; got != 0 {
		t.Errorf("%v updates are told to wait in the end", got)
	}
}

// What never comes fails at the deadline, and a retry looks for it again.
func TestAnImageThatNeverComes(t *testing.T) {
	s := newImageSite(t)
	s.edit("image: {}", "image: {wait: 1s}")
	r := s.start()
	id := r.orderedInProd("1", "api", "1.2.3")
	u := r.becomes(id, gitops.Failed, "registry "+s.registry.Host()+" has no shop/api:1.2.3: looked for from ", "tallyman retry "+id)
	if u.Code != gitops.NotFound {
		t.Errorf("the code is %s", u.Code)
	}
	s.wantCommits()
	s.push("api", "1.2.3", "api")
	if answer := r.call(apiToken, "POST", "/api/v1/updates/"+id+"/retry", ""); answer.StatusCode != http.StatusAccepted {
		t.Fatalf("retried: %s %s", answer.Status, answer.body)
	}
	r.becomes(id, gitops.Committed)
}

// Of many updates of few images the registry is asked once for each image.
func TestABurstAsksOnceForEachImage(t *testing.T) {
	s := newImageSite(t)
	tags := []string{"1.0.1", "1.0.2", "1.0.3"}
	for _, tag := range tags {
		s.push("base", tag, tag)
	}
	var apps []string
	for i := range 8 {
		apps = append(apps, fmt.Sprintf("a%d", i))
		s.addApp(apps[i], s.registry.Host()+"/shop/base")
	}
	r := s.start()
	var ids []string
	for _, tag := range tags {
		for _, app := range apps {
			ids = append(ids, r.orderedInProd(app+tag, app, tag))
		}
	}
	for _, id := range ids {
		r.becomes(id, gitops.Committed)
	}
	if heads, all := s.registry.Count(http.MethodHead, "manifests"), s.registry.Count("", ""); heads != len(tags) || all != heads {
		t.Errorf("%d updates of %d images made %d HEADs, and %d requests", len(ids), len(tags), heads, all)
	}
	if got := gather(t, r.Server)[`tallyman_images_inspected_total{environment="prod",outcome="present"}`]; got != float64(len(ids)) {
		t.Errorf("%v images are counted, want %d", got, len(ids))
	}
}

// Where no environment has images inspected, no registry is asked, and there is no client of
// AWS.
func TestWithoutImageNothingIsAsked(t *testing.T) {
	s := newImageSite(t)
	s.edit("image: {}, ", "")
	r := s.start()
	if r.current().registries.ecr != nil {
		t.Error("there is a client of AWS")
	}
	r.becomes(r.orderedInProd("1", "api", "1.2.3"), gitops.Committed)
	if n := s.registry.Count("", ""); n != 0 {
		t.Errorf("the registry was asked %d times", n)
	}
	for series := range gather(t, r.Server) {
		if strings.HasPrefix(series, "tallyman_registry") || strings.HasPrefix(series, "tallyman_images") {
			t.Errorf("there is %s", series)
		}
	}
}

// An order without a digest writes the one that the tag has, where there is a place for it.
func TestTheDigestThatWasFoundIsWritten(t *testing.T) {
	s := newImageSite(t)
	s.edit("prod: {", "prod: {set: helm-digest, ")
	digest := s.push("api", "1.2.3", "api")
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{gitserver.ValuesFile("api", "prod"): "image:\n  tag: 1.0.0\n  digest: \"\"\n"}})
	s.must(err)
	r := s.start()
	r.becomes(r.orderedInProd("1", "api", "1.2.3"), gitops.Committed)
	text, err := s.repository.Git("show", "main:"+gitserver.ValuesFile("api", "prod"))
	s.must(err)
	if !strings.Contains(text, "tag: 1.2.3") || !strings.Contains(text, digest) {
		t.Errorf("the file is now\n%s\nwant the digest %s", text, digest)
	}
}
