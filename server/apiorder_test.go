package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

const goodOrder = `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`

// opsID is the id of the delivery that the token ops orders with a key.
func opsID(key string) string { return api.DeliveryID(gitops.Principal{Token: "ops"}, key) }

func (r *running) order(key, body string) response {
	r.t.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	return r.callWith(apiToken, "POST", "/api/v1/updates", body, header)
}

// An order goes the way of a dispatch, to the commit.
func TestOrder(t *testing.T) { onEachStore(t, testOrder) }

func testOrder(t *testing.T, s *site) {
	r := s.start()
	d := r.order("release-1", goodOrder).delivery(t, 202)
	if d.ID != opsID("release-1") || d.Actor != "token:ops" || d.Credential != "token ops" || d.Remote != "127.0.0.1" || len(d.Updates) != 1 {
		t.Errorf("%+v", d)
	}
	u := r.settled(d.Updates[0].ID)
	if u.State != gitops.Committed {
		t.Fatalf("%+v", u)
	}
	message, err := s.repository.Git("log", "-1", "--format=%B", u.Commit)
	s.must(err)
	for _, want := range []string{"Tallyman-Delivery: api/" + opsID("release-1"), "Tallyman-Actor: token:ops"} {
		if !strings.Contains(message, want) {
			t.Errorf("the commit does not say %s:\n%s", want, message)
		}
	}
	again := r.order("release-1", goodOrder).delivery(t, 200)
	if len(again.Updates) != 1 || again.Updates[0].ID != u.ID || again.Updates[0].State != gitops.Committed {
		t.Errorf("again: %+v", again)
	}
	other := r.order("release-1", strings.Replace(goodOrder, "1a2b3c4", "1a2b3c5", 1)).problem(t, 409)
	if other.Field != "header Idempotency-Key" || !strings.Contains(other.Detail, "was used for another order: api in dev to main-1a2b3c4") {
		t.Errorf("another order under the same key: %+v", other)
	}
	for _, path := range []string{"api/" + strings.ReplaceAll(d.ID, "-", "%2D"), d.ID, "release-1"} { // escaped more than it must be, without the source, and by the key
		if got := read[gitops.Delivery](r, "/api/v1/deliveries/"+path); got.ID != d.ID {
			t.Errorf("%s: %+v", path, got)
		}
	}
	first, second := r.order("", goodOrder).delivery(t, 202), r.order("", goodOrder).delivery(t, 202)
	if first.ID == second.ID || first.ID == "" {
		t.Errorf("without a key: %s, %s", first.ID, second.ID)
	}
}

func TestOrdersThatAreRefused(t *testing.T) {
	r := newSite(t).start()
	for _, c := range []struct {
		name, key, body string
		status          int
		field, detail   string
		kept            bool
	}{
		{"no JSON", "k", "app=api", 400, "", "the body must be a JSON object", false},
		{"nothing", "k", "", 400, "", "the body must be a JSON object", false},
		{"two", "k", goodOrder + goodOrder, 400, "", "the body must be a JSON object", false},
		{"a mistyped field", "k", `{"app": "api", "env": "dev", "tag": "main-1a2b3c4"}`, 400, "", `the body must be a JSON object with app, environment, tag and perhaps digest, revision, reason, orHold, override, throughStop and dryRun: unknown field "env", which is called environment here`, false},
		{"a number", "k", `{"app": "api", "environment": "dev", "tag": 123}`, 400, "tag", "tag: must be a string", false},
		{"large", "k", goodOrder + strings.Repeat(" ", 1<<20), 413, "", "the body is larger than 1048576 bytes", false},
		{"a key with a space", "a b", goodOrder, 400, "header Idempotency-Key", "header Idempotency-Key: must be 1 to 111", false},
		{"no environment", "k1", `{"app": "api", "tag": "x"}`, 422, "environment", "environment: is missing", true},
		{"an unknown app", "k2", `{"app": "shop", "environment": "dev", "tag": "x"}`, 422, "app", `app: no app "shop" is configured`, true},
		{"a tag that is not taken", "k3", `{"app": "api", "environment": "prod", "tag": "main-1a2b3c4"}`, 422, "tag", "tag: prod: tag main-1a2b3c4 is not a semantic version", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // again is no better
				if p := r.order(c.key, c.body).problem(t, c.status); p.Field != c.field || !strings.HasPrefix(p.Detail, c.detail) {
					t.Errorf("%+v", p)
				}
			}
			if c.kept { // and another order under its key is not told the first one's fault
				if p := r.order(c.key, `{"app": "worker", "environment": "dev", "tag": "main-1a2b3c4"}`).problem(t, 409); p.Field != "header Idempotency-Key" {
					t.Errorf("%+v", p)
				}
			}
			if d, kept := r.stored("api", opsID(c.key)); kept != c.kept || kept && (d.Outcome != gitops.OutcomeRejected || d.Field != c.field) {
				t.Errorf("kept: %t, %+v", kept, d)
			}
		})
	}
}

// A failed update is retried when its cause is fixed, and its steps have both.
func TestRetry(t *testing.T) { onEachStore(t, testRetry) }

func testRetry(t *testing.T, s *site) {
	file := gitserver.ValuesFile("api", "dev")
	content, err := s.repository.Git("show", "main:"+file)
	s.must(err)
	_, err = s.repository.Commit(gitserver.Change{Message: "Away", Files: map[string]string{file: "image: {}\n"}})
	s.must(err)
	r := s.start()
	d := r.order("k", goodOrder).delivery(t, 202)
	failed := r.settled(d.Updates[0].ID)
	if failed.State != gitops.Failed || failed.Reason == "" {
		t.Fatalf("%+v", failed)
	}
	_, err = s.repository.Commit(gitserver.Change{Message: "Back", Files: map[string]string{file: content + "\n"}})
	s.must(err)
	answer := r.call(apiToken, "POST", "/api/v1/updates/"+failed.ID+"/retry", "")
	if answer.StatusCode != 202 {
		t.Fatalf("answered %s %s", answer.Status, answer.body)
	}
	committed := r.settled(failed.ID)
	type step struct {
		State    gitops.State
		Attempts int
		Actor    string
	}
	var steps []step
	for _, s := range committed.Steps {
		steps = append(steps, step{s.State, s.Attempts, s.Actor})
	}
	want := []step{{gitops.Failed, 1, ""}, {gitops.Pending, 0, "token:ops"}, {gitops.Committed, 1, ""}}
	if diff := cmp.Diff(want, steps); diff != "" || committed.State != gitops.Committed {
		t.Errorf("%s, and its steps are\n%s", committed.State, diff)
	}
	got := read[gitops.Update](r, "/api/v1/updates/"+failed.ID)
	if diff := cmp.Diff(committed, got, cmpopts.IgnoreFields(gitops.Update{}, "Actor", "Principal", "Sequence", "MaybePushed", "RetriedAt")); diff != "" {
		t.Errorf("the API answers another update:\n%s", diff)
	}
	if p := r.call(apiToken, "POST", "/api/v1/updates/"+failed.ID+"/retry", "").problem(t, 409); p.Code != gitops.Conflict {
		t.Errorf("%+v", p)
	}
	if len(s.log.Lines(`"msg":"update retry requested"`, failed.ID, `"actor":"token:ops"`, `"state":"pending"`)) != 1 {
		t.Error("the log does not say who requested the retry")
	}
}

// A failed update is dismissed once, and then it is cancelled for good.
func TestDismiss(t *testing.T) { onEachStore(t, testDismiss) }

func testDismiss(t *testing.T, s *site) {
	_, err := s.repository.Commit(gitserver.Change{Message: "Away", Files: map[string]string{gitserver.ValuesFile("api", "dev"): "image: {}\n"}})
	s.must(err)
	r := s.start()
	failed := r.settled(r.order("k", goodOrder).delivery(t, 202).Updates[0].ID)
	answer := r.call(apiToken, "POST", "/api/v1/updates/"+failed.ID+"/dismiss", `{"reason": "not needed"}`)
	dismissed := answer.update(t, 200)
	if dismissed.State != gitops.Cancelled || dismissed.Reason != "not needed" || dismissed.FinishedAt.IsZero() {
		t.Errorf("%+v", dismissed)
	}
	if last := dismissed.Steps[len(dismissed.Steps)-1]; last.State != gitops.Cancelled || last.Actor != "token:ops" || last.Reason != "not needed" || last.Attempts != 0 {
		t.Errorf("its last step: %+v", last)
	}
	for _, decision := range []string{"dismiss", "retry", "cancel"} {
		r.call(apiToken, "POST", "/api/v1/updates/"+failed.ID+"/"+decision, "").problem(t, 409)
	}
	if len(s.log.Lines(`"msg":"update dismissed"`, failed.ID, `"actor":"token:ops"`, `"reason":"not needed"`)) != 1 {
		t.Error("the log does not say who dismissed it")
	}
}

// An update that is queued behind a push is cancelled, and not written.
func TestCancel(t *testing.T) { onEachStore(t, testCancel) }

func testCancel(t *testing.T, s *site) {
	r := s.start()
	pushing, goOn := make(chan struct{}), make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushing) }, Wait: goOn})
	first := r.order("first", goodOrder).delivery(t, 202).Updates[0].ID
	<-pushing
	queued := r.order("queued", `{"app": "worker", "environment": "dev", "tag": "main-1a2b3c4"}`).delivery(t, 202).Updates[0].ID
	answered := make(chan response)
	go func() {
		answered <- r.call(apiToken, "POST", "/api/v1/updates/"+queued+"/cancel", `{"reason": "a wrong build"}`)
	}()
	r.changes(func(u gitops.Update) bool { return u.ID == queued && u.CancelRequest != nil })
	shown := read[gitops.Update](r, "/api/v1/updates/"+queued)
	if shown.State != gitops.Pending || shown.CancelRequest == nil || *shown.CancelRequest != (gitops.CancelRequest{Actor: "token:ops", Reason: "a wrong build"}) {
		t.Errorf("while the lane is pushing: %+v", shown)
	}
	close(goOn)
	cancelled := (<-answered).update(t, 200)
	if cancelled.State != gitops.Cancelled || cancelled.CancelRequest != nil || cancelled.Reason != "a wrong build" || cancelled.Commit != "" {
		t.Errorf("%+v", cancelled)
	}
	if last := cancelled.Steps[len(cancelled.Steps)-1]; last.State != gitops.Cancelled || last.Actor != "token:ops" {
		t.Errorf("its last step: %+v", last)
	}
	if u := r.settled(first); u.State != gitops.Committed {
		t.Errorf("what was being pushed: %+v", u)
	}
	content, err := s.repository.Git("show", "main:"+gitserver.ValuesFile("worker", "dev"))
	s.must(err)
	if strings.Contains(content, "main-1a2b3c4") {
		t.Errorf("it was written:\n%s", content)
	}
	if len(s.log.Lines(`"msg":"update cancellation requested"`, queued, `"actor":"token:ops"`, `"reason":"a wrong build"`)) != 1 {
		t.Error("the log does not say who cancelled it")
	}
	r.call(apiToken, "POST", "/api/v1/updates/"+first+"/cancel", "").problem(t, 409)
}

// An update that the git server refuses alone is held: it, its lane and its retry are
// as the contract has them, and other updates go on.
func TestHeld(t *testing.T) { onEachStore(t, testHeld) }

func testHeld(t *testing.T, s *site) {
	file := gitserver.ValuesFile("api", "dev")
	s.must(s.repository.Hook("pre-receive", `read old new ref; if git diff --name-only $old $new | grep -q `+file+`; then echo "not without the owners" >&2; exit 1; fi`))
	r := s.start()
	id := r.order("held", goodOrder).delivery(t, 202).Updates[0].ID
	r.changes(func(u gitops.Update) bool { return u.ID == id && u.State == gitops.Pending })
	held := read[gitops.Update](r, "/api/v1/updates/"+id)
	if len(held.BlockedBy) != 1 {
		t.Fatalf("it is not blocked: %+v", held)
	}
	if b := held.BlockedBy[0]; b.Kind != gitops.BlockRefused || !strings.Contains(b.Reason, "not without the owners") || b.Since.IsZero() || !b.Until.After(b.Since) {
		t.Errorf("blocked by %+v", b)
	}
	if list := read[api.UpdateList](r, "/api/v1/updates?state=pending"); len(list.Updates) != 1 || len(list.Updates[0].BlockedBy) != 1 {
		t.Errorf("listed: %+v", list.Updates)
	}
	if lane := read[api.Environments](r, "/api/v1/environments").Environments[0].Lane; lane.Ready != 0 || lane.Held[gitops.BlockRefused] != 1 || lane.Outage != nil {
		t.Errorf("its lane: %+v", lane)
	}
	other := r.order("other", `{"app": "worker", "environment": "dev", "tag": "main-1a2b3c4"}`).delivery(t, 202).Updates[0].ID
	if u := r.settled(other); u.State != gitops.Committed {
		t.Errorf("another app's: %+v", u)
	}
	s.must(s.repository.Hook("pre-receive", ""))
	if u := r.call(apiToken, "POST", "/api/v1/updates/"+id+"/retry", `{"reason": "the owners agreed"}`).update(t, 202); len(u.BlockedBy) != 0 {
		t.Errorf("after the retry: %+v", u)
	}
	if u := r.settled(id); u.State != gitops.Committed {
		t.Errorf("%+v", u)
	}
}

// update is an answer as an update.
func (r response) update(t testing.TB, status int) (u gitops.Update) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &u); err != nil || r.StatusCode != status {
		t.Errorf("answered %s %s, want %d: %v", r.Status, r.body, status, err)
	}
	return u
}
