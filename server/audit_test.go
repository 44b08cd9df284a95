package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestARecordedDispatchIsADuplicate sends a dispatch that somebody recorded under other
// ids: nothing is ordered, and the answer says how to order it again.
func TestARecordedDispatchIsADuplicate(t *testing.T) {
	r := newSite(t).start()
	body := strings.Replace(order("api", "dev", "main-1a2b3c4"), `, "nonce": "-"`, "", 1)
	first := r.do(r.github(newSecret, "d1", body)).delivery(t, 202)
	for _, id := range []string{"d1", "d2", "d3"} {
		again := r.do(r.github(newSecret, id, body)).delivery(t, 200)
		if again.ID != "d1" || len(again.Updates) != 1 || again.Updates[0].ID != first.Updates[0].ID || strings.Contains(again.Reason, "nonce") != (id != "d1") {
			t.Errorf("%s is answered with %+v", id, again)
		}
		if _, stored := r.stored("github", id); stored != (id == "d1") {
			t.Errorf("%s is stored: %t", id, stored)
		}
	}
	r.do(r.github(newSecret, "d4", strings.Replace(body, `"client_payload": {`, `"client_payload": {"nonce": "again", `, 1))).delivery(t, 202)
}

// TestWhatIsWrittenDown orders, asks for what it may not do, and replaces a secret: the
// audit has an entry of each, with the configuration in force.
func TestWhatIsWrittenDown(t *testing.T) {
	s := newSite(t)
	r := s.start()
	r.do(r.github(newSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	others := strings.Replace(order("api", "dev", "main-2a2b3c4"), `"id": 17`, `"id": 18`, 1)
	r.do(r.github(newSecret, "d2", others)).problem(t, http.StatusUnprocessableEntity)
	r.Server.audit.Replaced("sources.github.secretFiles[0]")
	acts := map[gitops.Act]gitops.AuditEntry{}
	for len(acts) < 4 {
		found, _, err := r.store.AuditEntries(t.Context(), queue.AuditFilter{}, queue.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			acts[e.Act] = e
			if e.Config != r.Server.audit.Hash || e.Config == "" {
				t.Errorf("the entry has another configuration: %+v", e)
			}
		}
	}
	if e := acts[gitops.ActOrder]; e.Principal != "dispatch:17" || e.Actor != "github:ann" || e.Credential != "webhook secret" || e.Rule == "" || e.Delivery != "github/d1" {
		t.Errorf("the order's entry is %+v", e)
	}
	if e := acts[gitops.ActRefuse]; e.Principal != "dispatch:18" || e.Right != gitops.RightOrder || e.Environment != "dev" || e.App != "api" || e.Delivery != "github/d2" || e.Reason == "" {
		t.Errorf("the refusal's entry is %+v", e)
	}
	if e := acts[gitops.ActConfig]; e.After != r.Server.audit.Hash {
		t.Errorf("the configuration's entry is %+v", e)
	}
}

// TestConfigurationParts changes one field after another: each changes the hash.
func TestConfigurationParts(t *testing.T) {
	c := newSite(t).config()
	first := configuration(c)
	if again := configuration(c); again.Hash != first.Hash || len(first.Parts) < 10 {
		t.Errorf("the same configuration has the hashes %s and %s, of %d parts", first.Hash, again.Hash, len(first.Parts))
	}
	c.AdminListen += "0"
	second := configuration(c)
	if second.Hash == first.Hash || second.Parts["adminListen"] == first.Parts["adminListen"] || second.Parts["listen"] != first.Parts["listen"] {
		t.Error("another adminListen is not seen")
	}
	for _, secret := range []string{oldSecret, newSecret} {
		for _, part := range second.Parts {
			if strings.Contains(part, secret) {
				t.Error("a part has a secret")
			}
		}
	}
}
