package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// office is a store of one update, and all else that a decision about it needs.
type office struct {
	Store
	Intake
	ManifestReader
	caller   Caller
	rule     access.Rule   // what the caller may
	more     []access.Rule // the same
	backlogs []queue.Backlog
	suspects []gitops.Suspect
	cleared  []gitops.AuditEntry
	failures []queue.Failure
	rolling  []gitops.Update // that do not run
	feed     queue.Broadcast
	holds    queue.InForce
	freezes  *gate.Freezes

	mu      sync.Mutex
	update  gitops.Update
	away    bool // the store does not answer
	decided []queue.Decision
	refused []error
	audited []gitops.AuditEntry
}

func (o *office) record(e gitops.AuditEntry) { o.audited = append(o.audited, e) }

func (o *office) Authenticate(context.Context, string) (Caller, error) { return o.caller, nil }
func (o *office) Changed() <-chan struct{}                             { return o.feed.Next() }

func (o *office) RecordRejection(_ context.Context, _ gitops.DeliveryKey, _ string, err error) {
	o.refused = append(o.refused, err)
}

func (o *office) HoldsInForce(context.Context) (queue.InForce, error) { return o.holds, nil }

func (o *office) frozen() *gate.Freezes { return o.freezes }

func (o *office) Backlogs(context.Context) ([]queue.Backlog, error) { return o.backlogs, nil }

func (o *office) BranchTags(context.Context, time.Time) BranchTags {
	return BranchTags{Problem: gitops.Errorf(gitops.Unavailable, "connection failed"), Apps: map[string][]App{"dev": {{App: "api", File: "dev.yaml", Tag: "v1"}}}}
}

func (o *office) Update(_ context.Context, id string) (gitops.Update, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.away:
		return gitops.Update{}, gitops.Errorf(gitops.Unavailable, "the store is away")
	case id != o.update.ID:
		return gitops.Update{}, gitops.Errorf(gitops.NotFound, "no such update")
	}
	return o.update, nil
}

func (o *office) NotRunning(context.Context) ([]gitops.Update, error) { return o.rolling, nil }

func (o *office) Failures(context.Context) ([]queue.Failure, error) { return o.failures, nil }

func (o *office) Decide(_ context.Context, d queue.Decision) (gitops.Update, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	to, ok := gitops.Next(o.update.State, d.Action)
	if !ok {
		return gitops.Update{}, gitops.Errorf(gitops.Conflict, "update is %s", o.update.State)
	}
	if d.DryRun {
		return o.update, nil
	}
	o.decided = append(o.decided, d)
	if d.Action == gitops.ActionCancel {
		o.update.CancelRequest = &gitops.CancelRequest{Actor: d.Actor, Reason: d.Reason}
	} else {
		o.update.State = to
	}
	return o.update, nil
}

// carryOut is the lane: it ends the update, and the feed says so if the lane is of
// this replica.
func (o *office) carryOut(to gitops.State, here bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.update.State, o.update.CancelRequest = to, nil
	if here {
		o.feed.Send()
	}
}

// post decides about an update and returns what is answered, and how long it took.
func (o *office) post(t *testing.T, path, body string, log *bytes.Buffer, drain chan struct{}) (status int, u gitops.Update, took time.Duration, failure error) {
	t.Helper()
	if log == nil {
		log = new(bytes.Buffer)
	}
	a := New(Config{Freezes: o.frozen, Store: o, Intake: o, Manifests: o, Access: o.list(t), Hash: "hash", Refused: o.record,
		Authenticators: []Authenticator{o}, Drain: drain, Logger: slog.New(slog.NewJSONHandler(log, nil))})
	mux := http.NewServeMux()
	for _, route := range a.Routes() {
		mux.HandleFunc(route.Method+" "+route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			var answer any
			if status, answer, failure = route.Handle(w, r); failure == nil {
				u = answer.(gitops.Update)
			}
		})
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer x")
	began := time.Now()
	mux.ServeHTTP(httptest.NewRecorder(), req)
	return status, u, time.Since(began), failure
}

func pendingOffice() *office {
	return &office{
		update: gitops.Update{ID: "u1", Delivery: gitops.DeliveryKey{Source: "api", ID: "d1"}, Environment: "dev", App: "api", Tag: "v1", State: gitops.Pending},
		caller: Caller{Principal: gitops.Principal{Token: "ops"}, Credential: "token ops"},
		rule:   access.Rule{Who: access.Who{Token: "ops"}, May: gitops.Rights()},
	}
}

// list is the access list of one rule.
func (o *office) list(t *testing.T) *access.List {
	t.Helper()
	l, err := access.New(access.Config{
		Rules: append([]access.Rule{o.rule}, o.more...), Tokens: []string{"ops"}, Environments: []string{"dev", "prod"}, Apps: map[string][]string{"api": nil, "web": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A cancellation is answered as soon as the lane has carried it out, and not later
// than the bound.
func TestCancelWaitsForTheLane(t *testing.T) {
	for _, c := range []struct {
		name   string
		lane   func(o *office, drain chan struct{})
		status int
		state  gitops.State
		took   time.Duration
	}{
		{"carried out at once", func(o *office, _ chan struct{}) { time.Sleep(time.Millisecond); o.carryOut(gitops.Cancelled, true) }, 200, gitops.Cancelled, time.Millisecond},
		{"its commit was first", func(o *office, _ chan struct{}) { time.Sleep(3 * time.Second); o.carryOut(gitops.Committed, true) }, 200, gitops.Committed, 3 * time.Second},
		{"by another replica", func(o *office, _ chan struct{}) { time.Sleep(time.Second); o.carryOut(gitops.Cancelled, false) }, 200, gitops.Cancelled, lookAgain},
		{"something else changes", func(o *office, _ chan struct{}) { time.Sleep(time.Second); o.feed.Send() }, 202, gitops.Pending, cancelWithin},
		{"not carried out", func(*office, chan struct{}) {}, 202, gitops.Pending, cancelWithin},
		{"the server stops", func(_ *office, drain chan struct{}) { time.Sleep(time.Second); close(drain) }, 202, gitops.Pending, time.Second},
		{"the store goes away", func(o *office, _ chan struct{}) { time.Sleep(time.Second); o.mu.Lock(); o.away = true; o.mu.Unlock() }, 202, gitops.Pending, lookAgain},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, drain := pendingOffice(), make(chan struct{})
				go c.lane(o, drain)
				status, u, took, err := o.post(t, "/api/v1/updates/u1/cancel", `{"reason": "a wrong build"}`, nil, drain)
				if err != nil || status != c.status || u.State != c.state || took != c.took {
					t.Errorf("answered %d after %s: %+v, %v", status, took, u, err)
				}
				if requested := u.CancelRequest != nil; requested != (c.status == 202) {
					t.Errorf("it shows a request: %t", requested)
				}
			})
		})
	}
}

// Each decision goes to the store with its actor and reason, leaves an audit line,
// and needs its right.
func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		path   string
		state  gitops.State
		right  gitops.Right
		want   queue.Decision
		status int
		line   string
	}{
		{"retry", gitops.Failed, gitops.RightRetry, queue.Decision{Update: "u1", Action: gitops.ActionRetry, Actor: "token:ops", Reason: "fixed"}, 202, "update retry requested"},
		{"dismiss", gitops.Failed, gitops.RightCancel, queue.Decision{Update: "u1", Action: gitops.ActionDismiss, Actor: "token:ops", Reason: "fixed"}, 200, "update dismissed"},
		{"cancel", gitops.Pending, gitops.RightCancel, queue.Decision{Update: "u1", Action: gitops.ActionCancel, Actor: "token:ops", Reason: "fixed"}, 202, "update cancellation requested"},
	} {
		t.Run(c.path, func(t *testing.T) {
			o, log, drain := pendingOffice(), new(bytes.Buffer), make(chan struct{})
			close(drain) // no cancellation is waited for
			o.update.State = c.state
			path := "/api/v1/updates/u1/" + c.path
			status, u, _, err := o.post(t, path, ` {"reason": " fixed "} `, log, drain)
			if err != nil || status != c.status || u.ID != "u1" {
				t.Fatalf("answered %d, %+v, %v", status, u, err)
			}
			c.want.Principal, c.want.Credential, c.want.Remote, c.want.Rule, c.want.Config = "token:ops", "token ops", "192.0.2.1", "access[0]", "hash"
			if diff := cmp.Diff([]queue.Decision{c.want}, o.decided); diff != "" {
				t.Error(diff)
			}
			var line map[string]any
			if err := json.Unmarshal(log.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			for key, want := range map[string]string{"msg": c.line, "update": "u1", "delivery": "api/d1", "environment": "dev", "app": "api", "tag": "v1", "actor": "token:ops", "reason": "fixed"} {
				if line[key] != want {
					t.Errorf("the log has %s=%v, want %s", key, line[key], want)
				}
			}

			o.update.State = gitops.Committed
			if _, _, _, err := o.post(t, path, "", nil, drain); gitops.CodeOf(err) != gitops.Conflict {
				t.Errorf("of a committed update: %v", err)
			}
			if _, _, _, err := o.post(t, "/api/v1/updates/u2/"+c.path, "", nil, drain); gitops.CodeOf(err) != gitops.NotFound {
				t.Errorf("of no update: %v", err)
			}
			o.rule.Apps, o.more = []string{"web"}, []access.Rule{{Who: o.rule.Who, May: []gitops.Right{gitops.RightRead}}}
			_, _, _, err = o.post(t, path, "", nil, drain)
			if want := "token ops may not " + string(c.right) + ` api in dev: the nearest rule, access[0], does not hold: app "api" is not among web`; gitops.CodeOf(err) != gitops.Forbidden || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("out of scope: %v", err)
			}
			o.more = nil
			if _, _, _, err = o.post(t, path, "", nil, drain); gitops.CodeOf(err) != gitops.NotFound {
				t.Errorf("of an update that may not even be read: %v", err)
			}
			o.rule.Apps = nil
			o.rule.May = slices.DeleteFunc(gitops.Rights(), func(right gitops.Right) bool { return right == c.right })
			_, _, _, err = o.post(t, path, "", nil, drain)
			if want := "token ops may not " + string(c.right) + ` anything: the nearest rule, access[0], does not hold: right "` + string(c.right) + `" is not among `; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("without the right: %v", err)
			}
			if len(o.refused) != 3 || len(o.audited) != 3 || len(o.decided) != 1 {
				t.Errorf("%d refusals are counted, %d recorded, %d decisions made", len(o.refused), len(o.audited), len(o.decided))
			}
			want := gitops.AuditEntry{Principal: "token:ops", Actor: "token:ops", Credential: "token ops", Remote: "192.0.2.1",
				Right: c.right, Environment: "dev", App: "api", Update: "u1", Reason: o.audited[0].Reason}
			if diff := cmp.Diff(want, o.audited[0]); diff != "" || !strings.Contains(want.Reason, "may not "+string(c.right)) {
				t.Errorf("%s\n%s", want.Reason, diff)
			}
		})
	}
}

func TestReasonsThatAreRejected(t *testing.T) {
	for body, want := range map[string]string{
		"reason":                          "the body must be a JSON object with perhaps reason: it is not well formed",
		`{"why": "x"}`:                    `the body must be a JSON object with perhaps reason: unknown field "why"`,
		`{"reason": 1}`:                   "reason: must be a string in quotes, not a number",
		`{"reason": ["x"]}`:               "reason: must be a string in quotes, not a list",
		`{"reason": {"x": 1}}`:            "reason: must be a string in quotes, not an object",
		`{"reason": true}`:                "reason: must be a string in quotes, not true or false",
		`{"reason": "x"} {}`:              "the body must be a JSON object with perhaps reason: it is not well formed",
		`{"reason": "two\nlines"}`:        "reason: must be one line of at most 500 bytes",
		`{"reason": "a\u0000zero"}`:       "reason: must be one line of at most 500 bytes",
		long(`{"reason": "`, maxReason+1): "reason: must be one line of at most 500 bytes",
		strings.Repeat(" ", 5000):         "the body is larger than 4096 bytes",
	} {
		o := pendingOffice()
		if _, _, _, err := o.post(t, "/api/v1/updates/u1/cancel", body, nil, nil); gitops.PublicOf(err) != want || len(o.decided) != 0 {
			t.Errorf("%.40s: %v, and %d decisions", body, err, len(o.decided))
		}
	}
}

func long(begin string, n int) string { return begin + strings.Repeat("x", n) + `"}` }
