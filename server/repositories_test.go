package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// A version that is pushed to the registry of dev is not of prod. What ECR replicates into
// prod's registry is, and prod's file names that registry.
func TestARegistryForEachEnvironment(t *testing.T) {
	const prodImage = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/copy/api"
	s := newSite(t)
	s.edit(`accounts: ["123456789012"]`, `accounts: ["123456789012", "210987654321"]`)
	s.edit("shop/api}", "shop/api, repositories: {prod: "+prodImage+"}, set: image, environments: [dev, prod]}")
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{
		"charts/api/values-dev.yaml":  "image: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api:main-0000000\n",
		"charts/api/values-prod.yaml": "image: " + prodImage + ":1.0.0\n",
	}})
	s.must(err)
	out, err := s.check()
	if err != nil || len(out) != 4 {
		t.Fatalf("check: %q, %v", out, err)
	}
	r := s.start()
	d := r.do(r.ecr(bridgeSecret, push("d1", "1.2.3"))).delivery(t, 200)
	if len(d.Updates) > 0 || !strings.Contains(d.Reason, `prod: the repository of app "api" is `+prodImage+` there`) {
		t.Errorf("a push to dev's registry is %+v", d)
	}
	copied := strings.NewReplacer("ECR Image Action", "ECR Replication Action", `"PUSH"`, `"REPLICATE", "source-account": "123456789012"`,
		"123456789012\",\n", "210987654321\",\n", "eu-west-1", "eu-central-1", "shop/api", "copy/api").Replace(push("d2", "1.2.3"))
	d = r.do(r.ecr(bridgeSecret, copied)).delivery(t, 202)
	if len(d.Updates) != 1 || d.Updates[0].Environment != "prod" || d.Updates[0].Repository != prodImage {
		t.Fatalf("a replication is %+v", d)
	}
	if u := r.settled(d.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("ended as %+v", u)
	}
	if text, err := s.repository.Git("show", "main:charts/api/values-prod.yaml"); err != nil || text != "image: "+prodImage+":1.2.3" {
		t.Errorf("the file says %q, %v", text, err)
	}
}
