package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// reader asks for the audit of a store as somebody.
type reader struct {
	t     *testing.T
	store *queuetest.Model
	list  *access.List
	told  []gitops.AuditEntry
}

func newReader(t *testing.T, rules ...access.Rule) *reader {
	t.Helper()
	list, err := access.New(access.Config{
		Rules: rules, Tokens: []string{"ops", "dev", "ci", "deaf"}[:len(rules)], Environments: []string{"dev", "staging", "prod"}, Apps: map[string][]string{"api": nil, "web": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t: t, store: queuetest.NewModel(func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }, queuetest.Hooks{}), list: list}
}

// knownAs authenticates every token as its own text.
type knownAs struct{}

func (knownAs) Authenticate(_ context.Context, bearer string) (Caller, error) {
	return Caller{Principal: gitops.Principal{Token: bearer}, Credential: "token " + bearer}, nil
}

func (r *reader) get(token, query string) (*httptest.ResponseRecorder, AuditList, error) {
	r.t.Helper()
	a := New(Config{
		Store: r.store, Intake: &office{}, Access: r.list, Authenticators: []Authenticator{knownAs{}},
		Refused: func(e gitops.AuditEntry) { r.told = append(r.told, e) },
	})
	request := httptest.NewRequest(http.MethodGet, "/api/v1/audit"+query, nil)
	request.Header.Set("Authorization", "Bearer "+token)
	w := &deadlines{httptest.NewRecorder()}
	_, body, err := a.allow(gitops.RightRead, a.audit)(w, request)
	list, _ := body.(AuditList)
	return w.ResponseRecorder, list, err
}

// deadlines is a recorder that takes deadlines, as a connection does.
type deadlines struct{ *httptest.ResponseRecorder }

func (deadlines) SetWriteDeadline(time.Time) error { return nil }

// fill orders n times in prod and dev, and changes the configuration.
func (r *reader) fill(n int) {
	r.t.Helper()
	for i := range n {
		d := gitops.Delivery{
			Source: "api", ID: fmt.Sprint(i), Principal: fmt.Sprint("token:", []string{"ci", "ops"}[i%2]), Actor: "token:ops", Outcome: gitops.OutcomeAccepted,
			Updates: []gitops.Update{{Environment: "dev", App: "api", Tag: "v1", Rule: "access[0]"}, {Environment: "prod", App: "web", Tag: "v1"}},
		}
		if _, _, err := r.store.Accept(r.t.Context(), d); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.store.AppendAudit(r.t.Context(), []gitops.AuditEntry{{Act: gitops.ActConfig}}); err != nil {
		r.t.Fatal(err)
	}
}

func TestAuditIsScoped(t *testing.T) {
	read := []gitops.Right{gitops.RightRead}
	r := newReader(t,
		access.Rule{Who: access.Who{Token: "ops"}, May: read},
		access.Rule{Who: access.Who{Token: "dev"}, May: read, Environments: []string{"dev"}, Apps: []string{"*"}},
		access.Rule{Who: access.Who{Token: "ci"}, May: []gitops.Right{gitops.RightOrder, gitops.RightRead}, Environments: []string{"staging"}, Apps: []string{"api"}},
		access.Rule{Who: access.Who{Token: "deaf"}, May: []gitops.Right{gitops.RightRetry}},
	)
	r.fill(4)
	for token, want := range map[string]int{"ops": 9, "dev": 4, "ci": 4} {
		_, list, err := r.get(token, "?limit=200")
		if err != nil || len(list.Entries) != want {
			t.Errorf("%s reads %d entries, %v; want %d", token, len(list.Entries), err, want)
		}
		for _, e := range list.Entries {
			if token == "dev" && e.Environment != "dev" || token == "ci" && e.Principal != "token:ci" {
				t.Errorf("%s reads %+v", token, e)
			}
		}
	}
	if _, _, err := r.get("deaf", ""); gitops.CodeOf(err) != gitops.Forbidden {
		t.Errorf("who may not read is answered %v", err)
	}
	if len(r.told) != 1 || r.told[0].Principal != "token:deaf" || r.told[0].Right != gitops.RightRead || !strings.HasPrefix(r.told[0].Reason, "GET /api/v1/audit: ") {
		t.Errorf("told of refusals: %+v", r.told)
	}
}

func TestAuditFilters(t *testing.T) {
	r := newReader(t, access.Rule{Who: access.Who{Token: "ops"}, May: []gitops.Right{gitops.RightRead}})
	r.fill(4)
	for query, want := range map[string]int{
		"?environment=prod": 4, "?app=api": 4, "?act=config": 1, "?principal=token:ci": 4, "?actor=token:ops": 8, "?since=2026-03-02": 0, "?until=2026-03-02": 9,
		"?since=2026-03-01T12:00:00Z&limit=3": 3, "?environment=nowhere": 0,
	} {
		if _, list, err := r.get("ops", query); err != nil || len(list.Entries) != want {
			t.Errorf("%s: %d entries, %v; want %d", query, len(list.Entries), err, want)
		}
	}
	for query, field := range map[string]string{"?since=yesterday": "since", "?act=nothing": "act", "?format=xml": "format", "?who=ann": "who", "?cursor=x": "cursor"} {
		if _, _, err := r.get("ops", query); gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(gitops.PublicOf(err), field+": ") {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// TestAuditAsLines exports more than a page, in both ways to ask for it.
func TestAuditAsLines(t *testing.T) {
	r := newReader(t, access.Rule{Who: access.Who{Token: "ops"}, May: []gitops.Right{gitops.RightRead}})
	r.fill(exportPage)
	w, _, err := r.get("ops", "?format=jsonl")
	if err != nil || w.Header().Get("Content-Type") != "application/jsonl" {
		t.Fatal(err, w.Header())
	}
	var last int64
	lines := 0
	for line := range strings.Lines(w.Body.String()) {
		var e gitops.AuditEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil || last > 0 && e.Sequence >= last {
			t.Fatalf("line %d: %s after %d, %v", lines, line, last, err)
		}
		last, lines = e.Sequence, lines+1
	}
	if lines != 2*exportPage+1 {
		t.Errorf("%d lines", lines)
	}
}

// breaking is a store that answers the first page only.
type breaking struct {
	*queuetest.Model
	pages int
}

func (b *breaking) AuditEntries(ctx context.Context, f queue.AuditFilter, p queue.Page) ([]gitops.AuditEntry, string, error) {
	if b.pages++; b.pages > 1 {
		return nil, "", gitops.Errorf(gitops.Unavailable, "the store is away")
	}
	return b.Model.AuditEntries(ctx, f, p)
}

// TestAuditExportThatBreaksOff ends with a line that says so.
func TestAuditExportThatBreaksOff(t *testing.T) {
	r := newReader(t, access.Rule{Who: access.Who{Token: "ops"}, May: []gitops.Right{gitops.RightRead}})
	r.fill(exportPage)
	a := New(Config{Store: &breaking{Model: r.store}, Access: r.list})
	w := &deadlines{httptest.NewRecorder()}
	if _, _, err := a.exportAudit(w, httptest.NewRequest(http.MethodGet, "/", nil), queue.AuditFilter{}, ""); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if len(lines) != exportPage+1 || lines[exportPage] != `{"problem":"the store is away"}` {
		t.Errorf("%d lines, the last is %s", len(lines), lines[len(lines)-1])
	}
}
