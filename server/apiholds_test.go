package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// everyRight lets the token ops do everything.
func (s *site) everyRight() {
	s.edit("{who: {token: ops}, may: [read, order, retry, cancel]}", "{who: {token: ops}, may: [read, order, retry, cancel, rollback, hold, stop, override, report]}")
}

// act sends an act with a key, and decodes what is answered with the status.
func act[T any](r *running, method, path, key, body string, status int) (into T) {
	r.t.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	answer := r.callWith(apiToken, method, path, body, header)
	if err := json.Unmarshal([]byte(answer.body), &into); err != nil || answer.StatusCode != status {
		r.t.Fatalf("%s %s is answered %s %s, want %d", method, path, answer.Status, answer.body, status)
	}
	return into
}

// prod orders a version of api in prod and waits until it is written.
func (r *running) prod(version string) {
	r.t.Helper()
	d := r.order("", `{"app": "api", "environment": "prod", "tag": "`+version+`"}`).delivery(r.t, 202)
	if u := r.settled(d.Updates[0].ID); u.State != gitops.Committed {
		r.t.Fatalf("%s: %+v", version, u)
	}
}

// isHeld waits until an update is reported as held, and returns it.
func (r *running) isHeld(id string) gitops.Update {
	r.t.Helper()
	for {
		changed := r.store.Changed()
		u, err := r.store.Update(r.t.Context(), id)
		if err != nil || u.State.Final() {
			r.t.Fatalf("it is not held: %+v, %v", u, err)
		}
		if len(u.BlockedBy) > 0 {
			return u
		}
		select {
		case <-changed:
		case <-r.t.Context().Done():
			r.t.Fatal("the test is over")
		}
	}
}

const (
	stopProd   = `{"kind": "stop", "environments": ["prod"]}`
	rollProd   = `{"app": "api", "environment": "prod", "reason": "incident 4711"}`
	freezeProd = `{"kind": "freeze", "environments": ["prod"], "for": "48h", "reason": "nobody is in"}`
	order150   = `{"app": "api", "environment": "prod", "tag": "1.5.0"}`
)

// A rollback stands: neither a push of the version that was left nor a newer one is written
// while it is pinned, and the one that was left not when the pin is over. One command goes
// on, to the newest, and the answer says which.
func TestRollback(t *testing.T) { onEachStore(t, testRollback) }

func testRollback(t *testing.T, s *site) {
	s.everyRight()
	r := s.start()
	r.prod("1.4.0")
	r.prod("1.4.1")
	r.prod("1.4.2")
	dry := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks?dryRun=true", "", rollProd, 200)
	if !dry.DryRun || dry.From != "1.4.2" || dry.To != "1.4.1" || dry.Bad == nil || dry.Pin.ID != "" || dry.Update == nil {
		t.Errorf("a dry run: %+v", dry)
	}
	back := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "back", rollProd, 201)
	if back.From != "1.4.2" || back.To != "1.4.1" || back.Bad == nil || back.Bad.Tag != "1.4.2" || back.Pin.Tag != "1.4.1" || back.Resume != "tallyman unpin api --env prod" ||
		!strings.HasPrefix(back.Undo, "tallyman unmark-bad api 1.4.2 --env prod && tallyman update api 1.4.2 --env prod --or-hold && ") || back.Update.Terms.RollsBack != "1.4.2" || back.DryRun {
		t.Errorf("%+v", back)
	}
	u := r.settled(back.Update.ID)
	message, err := s.repository.Git("log", "-1", "--format=%B", u.Commit)
	s.must(err)
	for _, want := range []string{"revert: api back to 1.4.1 (prod)", "Tallyman-Reason: incident 4711", "Tallyman-Rolls-Back: 1.4.2", "Tallyman-Pin-Until: "} {
		if !strings.Contains(message, want) {
			t.Errorf("the commit does not say %s:\n%s", want, message)
		}
	}
	again := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "back", rollProd, 200)
	if again.Update.ID != u.ID || again.Pin.ID != back.Pin.ID || again.Bad == nil || again.From != "1.4.2" {
		t.Errorf("the same key again: %+v", again)
	}
	other := r.keyed("POST", "/api/v1/rollbacks", "back", strings.Replace(rollProd, "4711", "4712", 1)).problem(t, 409)
	order := r.order("back", order150).problem(t, 409)
	if other.Field != "header Idempotency-Key" || !strings.Contains(order.Detail, "a rollback of api in prod to 1.4.1") {
		t.Errorf("another act under the same key: %+v, %+v", other, order)
	}

	left := r.do(r.github(oldSecret, "left", orderOf("1.4.2"))).delivery(t, 202)
	newer := r.do(r.github(oldSecret, "newer", orderOf("1.5.0"))).delivery(t, 202)
	if held := r.isHeld(left.Updates[0].ID); len(held.BlockedBy) != 2 || held.BlockedBy[0].Kind != gitops.BlockPin || held.BlockedBy[1].Kind != gitops.BlockBad {
		t.Errorf("what was left is held by %+v", held.BlockedBy)
	}
	if held := r.isHeld(newer.Updates[0].ID); !strings.HasPrefix(held.BlockedBy[0].Reason, "ops pinned 1.4.1 until ") {
		t.Errorf("what is newer is held by %+v", held.BlockedBy)
	}
	why := read[api.Why](r, "/api/v1/why?app=api&environment=prod")
	if why.Branch != "1.4.1" || why.Written != "1.4.1" || len(why.Pending) != 2 || len(why.Order) != 1 || len(why.Holds) != 2 || why.LastWord.IsZero() {
		t.Errorf("why: %+v", why)
	}
	if p := r.order("", strings.Replace(order150, "1.5.0", "1.4.2", 1)).problem(t, 409); len(p.BlockedBy) != 2 {
		t.Errorf("nobody orders a bad version unaware: %+v", p)
	}
	lifted := act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+back.Pin.ID+"?reason=fixed", "", "", 200)
	if lifted.Hold.Lifted == nil || lifted.Ready != 2 || !strings.HasPrefix(lifted.Undo, "tallyman pin api 1.4.1 --env prod --until ") {
		t.Errorf("lifted: %+v", lifted)
	}
	if u := r.settled(newer.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("the newest is %s", u.State)
	}
	if u := r.settled(left.Updates[0].ID); u.State != gitops.Superseded {
		t.Errorf("what was left is %s", u.State)
	}
	acts := []gitops.Act{}
	for _, e := range read[api.AuditList](r, "/api/v1/audit?app=api").Entries {
		acts = append(acts, e.Act)
	}
	for _, want := range []gitops.Act{gitops.ActRollback, gitops.ActHold, gitops.ActLift} {
		if !slices.Contains(acts, want) {
			t.Errorf("the audit has %v, without %s", acts, want)
		}
	}
}

func orderOf(tag string) string { return order("api", "prod", tag) }

func (r *running) keyed(method, path, key, body string) response {
	r.t.Helper()
	return r.callWith(apiToken, method, path, body, http.Header{"Idempotency-Key": {key}})
}

// A rollback goes to any earlier tag, to none that is bad, past another's pin and a freeze,
// and past a stop only for a reason.
func TestRollbackPastHolds(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	r := s.start()
	r.prod("1.4.0")
	r.prod("1.4.2")
	pin := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "pin", `{"kind": "pin", "environments": ["prod"], "apps": ["api"], "tag": "1.4.2", "reason": "tests"}`, 201)
	if pin.Order != nil || pin.Undo != "tallyman unpin api --env prod" || pin.Hold.Until.Sub(pin.Hold.Since).Round(time.Minute) != 72*time.Hour {
		t.Errorf("a pin at what is there: %+v", pin)
	}
	act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", freezeProd, 201)
	stop := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", stopProd, 201)
	if p := r.call(apiToken, "POST", "/api/v1/rollbacks", rollProd).problem(t, 409); len(p.BlockedBy) != 1 || p.BlockedBy[0].Kind != gitops.BlockStop || !strings.Contains(p.Detail, "--through-stop") {
		t.Errorf("against a stop: %+v", p)
	}
	through := strings.Replace(rollProd, "{", `{"throughStop": "customers are down", "for": "2h", `, 1)
	back := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "", through, 201)
	if !strings.HasPrefix(back.Undo, "tallyman unmark-bad api 1.4.2 --env prod && tallyman pin api 1.4.2 --env prod --until ") || len(back.Replaced) != 1 || back.Replaced[0].ID != pin.Hold.ID || back.Replaced[0].Actor != "token:ops" || back.To != "1.4.0" {
		t.Errorf("through a stop: %+v", back)
	}
	u := r.settled(back.Update.ID)
	message, err := s.repository.Git("log", "-1", "--format=%B", u.Commit)
	s.must(err)
	if !strings.Contains(message, "Tallyman-Override: customers are down") {
		t.Errorf("the commit does not say why:\n%s", message)
	}
	if p := r.call(apiToken, "POST", "/api/v1/rollbacks", strings.Replace(rollProd, "{", `{"tag": "1.4.2", `, 1)).problem(t, 409); p.BlockedBy[0].Kind != gitops.BlockBad || !strings.Contains(p.Detail, "tallyman unmark-bad api 1.4.2 --env prod") {
		t.Errorf("to a bad tag: %+v", p)
	}
	act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+stop.Hold.ID, "", "", 200)
	there := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "there", strings.Replace(rollProd, "{", `{"tag": "1.4.0", `, 1), 201)
	if there.Update != nil || there.Note == "" || there.Pin.Tag != "1.4.0" || there.Bad != nil {
		t.Errorf("to what is there: %+v", there)
	}
	if p := r.call(apiToken, "POST", "/api/v1/rollbacks", rollProd).problem(t, 422); p.Field != "tag" { // the only other one is no version
		t.Errorf("to what the rule refuses: %+v", p)
	}
	if again := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "there", strings.Replace(rollProd, "{", `{"tag": "1.4.0", `, 1), 200); again.Pin.ID != there.Pin.ID {
		t.Errorf("the same key again: %+v", again)
	}
}

// An override passes one order, leaves the freeze, and is in the commit and the audit.
func TestOverride(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	s.edit("  - {who: {token: board}, may: [read]}\n", "  - {who: {token: board}, may: [read, order]}\n")
	r := s.start()
	frozen := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", freezeProd, 201)
	over := strings.Replace(order150, "{", `{"override": "the fix", `, 1)
	if p := r.call(readToken, "POST", "/api/v1/updates", over).problem(t, 403); !strings.Contains(p.Detail, `right "override" is not among read, order`) {
		t.Errorf("without the right: %+v", p)
	}
	dry := act[api.OrderAnswer](r, "POST", "/api/v1/updates?dryRun=true", "", over, 200)
	if !dry.DryRun || dry.Updates[0].Terms == nil || dry.Updates[0].Terms.Override != "the fix" {
		t.Errorf("a dry run: %+v", dry)
	}
	d := r.order("over", over).delivery(t, 202)
	u := r.settled(d.Updates[0].ID)
	message, err := s.repository.Git("log", "-1", "--format=%B", u.Commit)
	s.must(err)
	if u.State != gitops.Committed || !strings.Contains(message, "Tallyman-Override: the fix") {
		t.Errorf("%s:\n%s", u.State, message)
	}
	next := r.do(r.github(oldSecret, "next", orderOf("1.6.0"))).delivery(t, 202)
	r.isHeld(next.Updates[0].ID)
	entries := read[api.AuditList](r, "/api/v1/audit?act=override").Entries
	if len(entries) != 1 || entries[0].Before != "freeze" || entries[0].Reason != "the fix" || entries[0].Update != u.ID || entries[0].Rule != "access[2]" {
		t.Errorf("the audit: %+v", entries)
	}
	list := read[api.HoldList](r, "/api/v1/holds?environment=prod&kind=freeze")
	if len(list.Holds) != 1 || list.Holds[0].ID != frozen.Hold.ID {
		t.Errorf("the freeze: %+v", list)
	}
	if freezes := read[api.FreezeList](r, "/api/v1/freezes?environment=prod"); len(freezes.Holds) != 1 || len(freezes.Closed) != 0 {
		t.Errorf("freezes: %+v", freezes)
	}
}
