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

// Whoever may read an update, or ordered it, sees its commit with the proof and the
// update's own change; nobody else learns that there is one.
func TestTheCommitOfAnUpdate(t *testing.T) {
	s := newSite(t)
	r := newScopedSite(t, s)
	hidden := r.order("prod", `{"app": "api", "environment": "prod", "tag": "1.0.0"}`).delivery(t, 202).Updates[0]
	mine := r.order("dev", `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`).delivery(t, 202).Updates[0]
	own := r.callWith(readToken, "POST", "/api/v1/updates", `{"app": "worker", "environment": "dev", "tag": "main-fffffff"}`, http.Header{"Idempotency-Key": {"k"}}).delivery(t, 202).Updates[0]
	for _, u := range []gitops.Update{hidden, mine, own} {
		r.settled(u.ID)
	}
	for _, u := range []gitops.Update{mine, own} {
		c := readAs[api.Commit](r, readToken, "/api/v1/updates/"+u.ID+"/commit")
		if c.Update != u.ID || c.Commit != r.settled(u.ID).Commit || c.Proof == "" || len(c.Files) != 1 || c.Files[0].File != gitserver.ValuesFile(u.App, "dev") || c.Files[0].Problem != "" {
			t.Fatalf("%+v", c)
		}
		if diff := c.Files[0].Diff; len(diff) != 2 || !strings.HasPrefix(diff[0], "-") || !strings.Contains(diff[1], u.Tag) {
			t.Errorf("%q", diff)
		}
	}
	if c := readAs[api.Commit](r, apiToken, "/api/v1/updates/"+hidden.ID+"/commit"); len(c.Files) != 1 || !slices.ContainsFunc(c.Files[0].Diff, func(line string) bool { return strings.Contains(line, "1.0.0") }) {
		t.Errorf("%+v", c)
	}
	missing := r.call(readToken, "GET", "/api/v1/updates/none/commit", "").problem(t, 404).Detail
	if p := r.call(readToken, "GET", "/api/v1/updates/"+hidden.ID+"/commit", "").problem(t, 404); p.Detail != strings.Replace(missing, "none", hidden.ID, 1) {
		t.Errorf("what is hidden is answered %q, what is not there %q", p.Detail, missing)
	}
	r.call(readToken, "GET", "/api/v1/updates/"+mine.ID+"/commit?x=y", "").problem(t, 400)

	again := r.order("again", `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`).delivery(t, 202).Updates[0]
	if u := r.settled(again.ID); u.Commit == "" {
		if p := r.call(readToken, "GET", "/api/v1/updates/"+again.ID+"/commit", "").problem(t, 404); !strings.Contains(p.Detail, "has no commit: it is unchanged") {
			t.Errorf("%+v", p)
		}
	}
}
