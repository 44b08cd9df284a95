package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// ecrSite is a site whose images are in a registry of ECR, whose API is a fake, too. Those of
// prod are inspected.
type ecrSite struct {
	*site
	api      *ecrtest.Repository // of shop/api
	registry *registrytest.Server
}

const ecrHost = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

// newECRSite has AWS credentials in the environment.
func newECRSite(t *testing.T) *ecrSite {
	t.Helper()
	aws := ecrtest.New(t)
	aws.UseKeys(t)
	s := &ecrSite{site: newSite(t), api: aws.Registry("123456789012", "eu-west-1").Repository("shop/api")}
	var authority string
	s.registry, authority = registrytest.NewTLS(t, ecrHost, time.Now().Add(time.Hour))
	s.inspectProd("")
	s.yaml += "registries: [{host: " + ecrHost + ", caFile: " + authority + "}]\n"
	return s
}

func (s *ecrSite) start() *running {
	s.t.Helper()
	server, err := s.newServer()
	s.must(err)
	server.dial = s.registry.Dial
	server.current().registries = server.newRegistries(s.config(), nil)
	return s.run(server)
}

// pushed is the event of an image's push, by the digest that it has.
func pushed(id, tag, digest string) string {
	return strings.Replace(push(id, tag), fmt.Sprintf("sha256:%064d", 7), digest, 1)
}

// What is in ECR's archive fails at once, and says how to get it back; what is absent waits.
func TestAnArchivedImageIsToldFromAnAbsentOne(t *testing.T) {
	s := newECRSite(t)
	s.api.Push(ecrtest.Image{Digest: "sha256:" + strings.Repeat("ab", 32), Tags: []string{"1.0.0"}, Status: "ARCHIVED"})
	r := s.start()
	u := r.becomes(r.orderedInProd("1", "api", "1.0.0"), gitops.Failed, "registry "+ecrHost+" has shop/api:1.0.0 in its archive", "aws ecr update-image-storage-class")
	if u.Code != gitops.Rejected {
		t.Errorf("the code is %s", u.Code)
	}
	absent := r.orderedInProd("2", "api", "1.0.1")
	r.awaitBlock(absent, "registry "+ecrHost+" has no shop/api:1.0.1 (404 since ")
	s.registry.Push("shop/api", "1.0.1", registrytest.Image{})
	r.becomes(absent, gitops.Committed)
	if n := gather(t, r.Server)[`tallyman_registry_requests_total{code="200",host="`+ecrHost+`",operation="DescribeImages"}`]; n == 0 {
		t.Error("calls to ECR's API are not counted")
	}
}

// An event that says that a tag names another image than before is ignored with both digests,
// counted, and answered so again; an order that names the digest is the way out, and events of
// both images are accepted after it.
func TestAnEventOfAMovedTagIsIgnored(t *testing.T) {
	s := newECRSite(t)
	first := s.registry.Push("shop/api", "1.2.3", registrytest.Image{Content: "first"}).Digest
	r := s.start()
	d := r.do(r.ecr(bridgeSecret, pushed("e1", "1.2.3", first))).delivery(t, http.StatusAccepted)
	r.becomes(d.Updates[0].ID, gitops.Committed)

	second := s.registry.Push("shop/api", "1.2.3", registrytest.Image{Content: "second"}).Digest
	for range 2 {
		d = r.do(r.ecr(bridgeSecret, pushed("e2", "1.2.3", second))).delivery(t, http.StatusOK)
		for _, want := range []string{"prod: shop/api:1.2.3 has moved", first, second, "by delivery eventbridge/e1", "--digest " + second} {
			if d.Outcome != gitops.OutcomeIgnored || !strings.Contains(d.Reason, want) {
				t.Errorf("it is %s: %q does not say %q", d.Outcome, d.Reason, want)
			}
		}
	}
	if r.moved(t) != 1 || len(s.log.Lines("moved tag refused", second)) != 1 {
		t.Errorf("%v moved tags are counted, and logged: %q", r.moved(t), s.log.Lines("moved tag refused"))
	}
	order := fmt.Sprintf(`{"app": "api", "environment": "prod", "tag": "1.2.3", "digest": %q}`, second)
	u := r.becomes(r.order("way-out", order).delivery(t, http.StatusAccepted).Updates[0].ID, gitops.Unchanged)
	if u.Found == nil || !u.Found.Named {
		t.Errorf("found is %+v", u.Found)
	}
	if d = r.do(r.ecr(bridgeSecret, pushed("e3", "1.2.3", second))).delivery(t, http.StatusAccepted); d.Outcome != gitops.OutcomeAccepted || r.moved(t) != 1 {
		t.Errorf("the event is %s then: %s", d.Outcome, d.Reason)
	}
}
