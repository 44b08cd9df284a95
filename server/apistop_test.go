package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

// A stop keeps what a person orders and what automation brings, and its answer says since
// when it is quiet. Resume lets it go, once, without a new event.
func TestStopAndResume(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	r := s.start()
	r.prod("1.4.0")
	f := r.follow("?environment=prod", "")
	stop := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "stop", stopProd, 201)
	if stop.Stop == nil || stop.Stop.QuietSince.IsZero() || len(stop.Stop.UnderWay) != 0 || len(stop.Stop.OtherReplicas) != 0 || stop.Undo != "tallyman resume "+stop.Hold.ID {
		t.Errorf("%+v", stop)
	}
	if e, ok := f.next(); !ok || e.hold.ID != stop.Hold.ID {
		t.Errorf("the stream says %q", e.kind)
	}
	if again := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "stop", stopProd, 200); again.Hold.ID != stop.Hold.ID {
		t.Errorf("the same key again: %+v", again)
	}
	if p := r.keyed("POST", "/api/v1/holds", "stop", freezeProd).problem(t, 409); p.Field != "header Idempotency-Key" {
		t.Errorf("another act under the same key: %+v", p)
	}
	if p := r.order("k", order150).problem(t, 409); len(p.BlockedBy) != 1 || !strings.HasPrefix(p.BlockedBy[0].Reason, "ops stopped prod on ") {
		t.Errorf("%+v", p)
	}
	if _, kept := r.stored("api", opsID("k")); kept {
		t.Error("an order that is refused is kept")
	}
	waits := r.order("k", strings.Replace(order150, "{", `{"orHold": true, "reason": "later", `, 1)).delivery(t, 202)
	if by := waits.Updates[0].BlockedBy; len(by) != 1 || by[0].Kind != gitops.BlockStop {
		t.Errorf("the answer says that it is held by %+v", by)
	}
	if again := r.order("k", strings.Replace(order150, "{", `{"orHold": true, "reason": "later", `, 1)).delivery(t, 200); again.Updates[0].ID != waits.Updates[0].ID {
		t.Errorf("the same key again: %+v", again)
	}
	r.isHeld(waits.Updates[0].ID)
	status := read[api.Environments](r, "/api/v1/environments")
	if i := slices.IndexFunc(status.Environments, func(e api.Environment) bool { return e.Name == "prod" }); len(status.Environments[i].Holds) != 1 || status.Environments[i].Lane.Held[gitops.BlockStop] != 1 {
		t.Errorf("status: %+v", status.Environments[i])
	}
	dry := act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+stop.Hold.ID+"?dryRun=true", "", "", 200)
	if !dry.DryRun || dry.Ready != 1 || dry.Hold.Lifted != nil {
		t.Errorf("a dry run: %+v", dry)
	}
	act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+stop.Hold.ID, "", "", 200)
	if u := r.settled(waits.Updates[0].ID); u.State != gitops.Committed || u.Terms.Reason != "later" {
		t.Errorf("%+v", u)
	}
	if again := act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+stop.Hold.ID, "", "", 200); again.Hold.Lifted == nil || again.Ready != 0 || again.Undo != "" {
		t.Errorf("lifted twice: %+v", again)
	}
}

// A pin orders its tag where the branch has another, and that is one act with it.
func TestPinThatOrders(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	r := s.start()
	const body = `{"kind": "pin", "environments": ["prod"], "apps": ["api"], "tag": "1.4.1", "for": "24h", "reason": "r"}`
	dry := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", strings.Replace(body, "{", `{"dryRun": true, `, 1), 200)
	if dry.Order == nil || dry.Order.Updates[0].Tag != "1.4.1" || !dry.DryRun {
		t.Errorf("a dry run: %+v", dry)
	}
	pin := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "pin", body, 201)
	if u := r.settled(pin.Order.Updates[0].ID); u.State != gitops.Committed || !u.Terms.PinUntil.Equal(pin.Hold.Until) {
		t.Errorf("its order: %+v", u)
	}
	again := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "pin", body, 200)
	if again.Hold.ID != pin.Hold.ID || again.Order.ID != pin.Order.ID {
		t.Errorf("the same key again: %+v", again)
	}
	if p := r.keyed("POST", "/api/v1/holds", "pin", strings.Replace(body, "24h", "25h", 1)).problem(t, 409); !strings.Contains(p.Detail, "a pin of api in prod to 1.4.1") {
		t.Errorf("another pin under the same key: %+v", p)
	}
	if p := r.call(apiToken, "POST", "/api/v1/holds", strings.Replace(body, "1.4.1", "main-1a2b3c4", 1)).problem(t, 422); p.Field != "tag" {
		t.Errorf("a tag that the rule refuses: %+v", p)
	}
	content, err := s.repository.Git("show", "main:"+gitserver.ValuesFile("api", "prod"))
	s.must(err)
	if !strings.Contains(content, "1.4.1") {
		t.Errorf("the branch has\n%s", content)
	}
}
