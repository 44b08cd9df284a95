package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

// newDigestSite is a site whose prod has a digest written, which the registry names.
func newDigestSite(t *testing.T) *imageSite {
	t.Helper()
	s := newImageSite(t)
	s.everyRight()
	s.edit("prod: {", "prod: {set: helm-digest, ")
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{gitserver.ValuesFile("api", "prod"): "image:\n  tag: 1.0.0\n  digest: \"\"\n"}})
	s.must(err)
	return s
}

// The digest that was found belongs to the update afterwards: its commit shows it, and a
// rollback goes back to it.
func TestTheDigestThatWasFoundIsKnownAfterwards(t *testing.T) {
	s := newDigestSite(t)
	digest, next := s.push("api", "1.2.3", "first"), s.push("api", "1.3.0", "next")
	r := s.start()
	first := r.becomes(r.orderedInProd("1", "api", "1.2.3"), gitops.Committed)
	commit := readAs[api.Commit](r, apiToken, "/api/v1/updates/"+first.ID+"/commit")
	if len(commit.Files) != 1 || !slices.ContainsFunc(commit.Files[0].Diff, func(line string) bool { return strings.Contains(line, digest) }) {
		t.Errorf("the commit is %+v", commit)
	}
	second := r.becomes(r.orderedInProd("2", "api", "1.3.0"), gitops.Committed)
	if second.Found == nil || second.Found.Digest != next {
		t.Errorf("found is %+v", second.Found)
	}
	for _, fields := range []string{`"tag": "1.2.3"`, `"tag": "1.2.3", "digest": "` + digest + `"`} {
		back := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks?dryRun=true", "", strings.Replace(rollProd, "{", "{"+fields+", ", 1), http.StatusOK)
		if back.Update == nil || back.Update.Digest != digest {
			t.Errorf("a rollback to %s orders %+v", fields, back.Update)
		}
	}
	back := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "", strings.Replace(rollProd, "{", `{"tag": "1.2.3", `, 1), http.StatusCreated)
	r.becomes(back.Update.ID, gitops.Committed)
	text, err := s.repository.Git("show", "main:"+gitserver.ValuesFile("api", "prod"))
	s.must(err)
	if !strings.Contains(text, digest) || strings.Contains(text, next) {
		t.Errorf("after the rollback the file is\n%s", text)
	}
}

// A dry run does not ask the registry: it stands in for the digest that an inspection would
// find, and says what is missing where images are not inspected.
func TestDryRunWhereTheDigestIsFound(t *testing.T) {
	s := newDigestSite(t)
	q := Image{Tag: "1.2.3", Apps: []string{"api"}, Environments: []string{"prod"}}
	d, err := s.dryRun(q, false)
	if s.must(err); !d.Taken() || !strings.Contains(d.Targets[0].Files[0].Diff, zeroDigest) {
		t.Errorf("inspected: %+v", d)
	}
	s.edit("image: {}, ", "")
	d, err = s.dryRun(q, false)
	const want = "the update names none: order it with its digest, or set image under its environment"
	if s.must(err); d.Taken() || !strings.Contains(d.Targets[0].Reason, want) {
		t.Errorf("not inspected: %+v", d)
	}
	if n := s.registry.Count("", ""); n != 0 {
		t.Errorf("the registry was asked %d times", n)
	}
}
