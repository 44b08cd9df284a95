package api

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/verify"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// guard is everything behind the API. It writes down what is asked of the access list,
// and what is touched before anything was.
type guard struct {
	list      *access.List
	principal gitops.Principal
	asked     int      // questions to the list
	early     []string // what was touched before the first of them
	touched   int
}

func (g *guard) Authenticate(context.Context, string) (Caller, error) {
	return Caller{Principal: g.principal, Credential: "a credential"}, nil
}

func (g *guard) Authorize(p gitops.Principal, right gitops.Right, app, environment string) (string, error) {
	g.asked++
	return g.list.Authorize(p, right, app, environment)
}

func (g *guard) Scope(p gitops.Principal, right gitops.Right) access.Scope {
	g.asked++
	return g.list.Scope(p, right)
}

func (g *guard) AuthorizeAnywhere(p gitops.Principal, right gitops.Right) error {
	g.asked++
	return g.list.AuthorizeAnywhere(p, right)
}

func (g *guard) RecordRejection(context.Context, gitops.DeliveryKey, string, error) {}

// touch is a use of what the list guards. It finds nothing, so that a handler ends.
func (g *guard) touch(what string) error {
	g.touched++
	if g.asked == 0 {
		g.early = append(g.early, what)
	}
	return gitops.Errorf(gitops.Unavailable, "%s was asked", what)
}

func (g *guard) Accept(context.Context, webhook.Inbound) (gitops.Delivery, bool, error) {
	return gitops.Delivery{}, false, g.touch("Accept")
}

func (g *guard) Delivery(context.Context, gitops.DeliveryKey) (gitops.Delivery, error) {
	return gitops.Delivery{}, g.touch("Delivery")
}

func (g *guard) Update(context.Context, string) (gitops.Update, error) {
	return gitops.Update{}, g.touch("Update")
}

func (g *guard) Checkpoint(context.Context, string) (string, error) {
	return "", g.touch("Checkpoint")
}

func (g *guard) Head(context.Context, string, string) (gitops.Head, error) {
	return gitops.Head{}, g.touch("Head")
}

func (g *guard) Heads(context.Context, string, []string) ([]gitops.Head, error) {
	return nil, g.touch("Heads")
}

func (g *guard) Backlogs(context.Context) ([]queue.Backlog, error) { return nil, g.touch("Backlogs") }

func (g *guard) NotRunning(context.Context) ([]gitops.Update, error) {
	return nil, g.touch("NotRunning")
}

func (g *guard) Failures(context.Context) ([]queue.Failure, error) { return nil, g.touch("Failures") }

func (g *guard) Overtaken(context.Context, []string) (map[string]string, error) {
	return nil, g.touch("Overtaken")
}

func (g *guard) Deliveries(context.Context, queue.DeliveryFilter, queue.Page) ([]gitops.Delivery, string, error) {
	return nil, "", g.touch("Deliveries")
}

func (g *guard) Updates(context.Context, queue.UpdateFilter, queue.Page) ([]gitops.Update, string, error) {
	return nil, "", g.touch("Updates")
}

func (g *guard) Changes(context.Context, string, int) ([]queue.Change, error) {
	return nil, g.touch("Changes")
}

func (g *guard) Latest(context.Context) (string, error) { return "", g.touch("Latest") }

func (g *guard) Changed() <-chan struct{} { return nil }

func (g *guard) Plan(webhook.Inbound) (gitops.Delivery, error) {
	return gitops.Delivery{}, g.touch("Plan")
}

func (g *guard) HoldsInForce(context.Context) (queue.InForce, error) {
	return queue.InForce{}, g.touch("HoldsInForce")
}

func (g *guard) HoldsRevision(context.Context) (int64, error) { return 0, g.touch("HoldsRevision") }

func (g *guard) Place(context.Context, queue.Placement) (queue.Placed, error) {
	return queue.Placed{}, g.touch("Place")
}

func (g *guard) Lift(context.Context, queue.Lifting) (queue.Lifted, error) {
	return queue.Lifted{}, g.touch("Lift")
}

func (g *guard) Rejudge(context.Context, gitops.BlockKind, []string) error { return g.touch("Rejudge") }

func (g *guard) HoldsListed(context.Context, queue.HoldFilter, queue.Page) ([]gitops.Hold, string, error) {
	return nil, "", g.touch("HoldsListed")
}

func (g *guard) Decide(context.Context, queue.Decision) (gitops.Update, error) {
	return gitops.Update{}, g.touch("Decide")
}

func (g *guard) Suspects(context.Context) ([]gitops.Suspect, error) {
	return nil, g.touch("Suspects")
}

func (g *guard) ClearSuspect(context.Context, string, gitops.AuditEntry) (gitops.Suspect, error) {
	return gitops.Suspect{}, g.touch("ClearSuspect")
}

func (g *guard) ReportRollouts(context.Context, queue.Lease, []queue.RolloutReport) ([]gitops.Rollout, error) {
	return nil, g.touch("ReportRollouts")
}

func (g *guard) AppendAudit(context.Context, []gitops.AuditEntry) error {
	return g.touch("AppendAudit")
}

func (g *guard) AuditEntries(context.Context, queue.AuditFilter, queue.Page) ([]gitops.AuditEntry, string, error) {
	return nil, "", g.touch("AuditEntries")
}

func (g *guard) BranchTags(context.Context, time.Time) BranchTags {
	_ = g.touch("BranchTags")
	return BranchTags{}
}

func (g *guard) History(context.Context, HistoryQuery) (History, error) {
	return History{}, g.touch("History")
}

func (g *guard) Commit(context.Context, gitops.Update) (Commit, error) {
	return Commit{}, g.touch("Commit")
}

// callers are a principal of each kind.
func callers() map[gitops.PrincipalKind]gitops.Principal {
	return map[gitops.PrincipalKind]gitops.Principal{
		gitops.KindPush:     {Push: &gitops.PushSource{Source: "eventbridge", Account: "123456789012"}},
		gitops.KindDispatch: {Dispatch: &gitops.DispatchSender{Repository: "o/r", RepositoryID: 17}},
		gitops.KindJob:      {Job: &gitops.Job{Issuer: "https://issuer", Repository: "o/r", RepositoryID: "17", OwnerID: "1", Ref: "refs/heads/main", Event: "push"}},
		gitops.KindToken:    {Token: "ops"},
		gitops.KindPoll:     {Poll: "ghcr.io"},
		gitops.KindRevert:   {Revert: true},
	}
}

// Every route asks the one list before it touches anything, whoever calls it, and
// without a rule for its caller it touches nothing. A route that is added later is
// walked, too.
func TestEveryRouteAsksTheList(t *testing.T) {
	job := &access.Job{Repository: "o/r", RepositoryID: "17", OwnerID: "1", Refs: []string{"refs/heads/main"}, Events: []string{"push"}}
	all := []string{"*"}
	lists := map[string]access.Config{
		"every right": {
			Rules: []access.Rule{
				{Who: access.Who{Push: &access.Push{Source: "eventbridge"}}, May: []gitops.Right{gitops.RightOrder}, Apps: all, Environments: all},
				{Who: access.Who{Dispatch: &access.Dispatch{Repository: "o/r", RepositoryID: 17}}, May: []gitops.Right{gitops.RightOrder}, Apps: all, Environments: all},
				{Who: access.Who{Job: job}, May: []gitops.Right{gitops.RightRead, gitops.RightOrder, gitops.RightReport}, Apps: all, Environments: all},
				{Who: access.Who{Token: "ops"}, May: gitops.Rights()},
				{Who: access.Who{Poll: &access.Poll{Registries: []string{"ghcr.io"}}}, May: []gitops.Right{gitops.RightOrder}, Apps: all, Environments: all},
				{Who: access.Who{Revert: true}, May: []gitops.Right{gitops.RightRollback}, Apps: all, Environments: all},
			},
			Sources: []string{"eventbridge", "github"}, Issuers: []string{"https://issuer"}, Tokens: []string{"ops"}, Polled: map[string][]string{"dev": {"ghcr.io"}}, Reverted: []string{"dev"},
		},
		"no rule": {},
	}
	kinds := callers()
	for name, config := range lists {
		config.Apps, config.Environments = map[string][]string{"api": nil}, []string{"dev"}
		list, err := access.New(config)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range gitops.PrincipalKinds() {
			for i := range New(Config{}).Routes() {
				g := &guard{list: list, principal: kinds[kind]}
				a := New(Config{Store: g, Intake: g, Manifests: g, Access: g, Authenticators: []Authenticator{g},
					Known: func(string) (iter.Seq[KnownApp], bool) {
						_ = g.touch("Known")
						return func(func(KnownApp) bool) {}, true
					},
					Verify: func(context.Context, string, string) (verify.Report, error) {
						return verify.Report{}, g.touch("Verify")
					},
					Freezes: func() *gate.Freezes { return nil }, CheckNames: func([]string, []string) error { return nil }, Reported: func(string) (time.Duration, error) { return time.Hour, nil },
					Environments: []string{"dev"}, Sources: []string{Source, "github"}, NewID: func() string { return "id" }})
				route := a.Routes()[i]
				_, _, err := route.Handle(deadlines{httptest.NewRecorder()}, aRequest(t, route))
				switch touches := kind == gitops.KindToken && name == "every right"; {
				case g.asked == 0:
					t.Errorf("%s %s of a %s, %s: the list is not asked", route.Method, route.Pattern, kind, name)
				case len(g.early) > 0:
					t.Errorf("%s %s of a %s, %s: before the list is asked it touches %s", route.Method, route.Pattern, kind, name, g.early)
				case touches != (g.touched > 0) && (touches || name == "no rule"):
					t.Errorf("%s %s of a %s, %s: it touches %d things: %v", route.Method, route.Pattern, kind, name, g.touched, err)
				case name == "no rule" && gitops.CodeOf(err) != gitops.Forbidden:
					t.Errorf("%s %s of a %s, %s: %v", route.Method, route.Pattern, kind, name, err)
				}
			}
		}
	}
}

// aRequest is a good one for a route.
func aRequest(t *testing.T, route Route) *http.Request {
	path, body := route.Pattern, ""
	switch {
	case strings.HasSuffix(path, "/history"), strings.HasSuffix(path, "/why"), strings.HasSuffix(path, "/verify"):
		path += "?app=api&environment=dev"
	case path == "/api/v1/updates" && route.Method == http.MethodPost:
		body = `{"app": "api", "environment": "dev", "tag": "v1"}`
	case strings.HasSuffix(path, "/rollbacks"):
		body = `{"app": "api", "environment": "dev", "tag": "v1", "reason": "r"}`
	case strings.HasSuffix(path, "/health"):
		body = `{"app": "api", "environment": "dev", "tag": "v1", "state": "healthy"}`
	case path == "/api/v1/holds" && route.Method == http.MethodPost:
		body = `{"kind": "stop"}`
	}
	req := httptest.NewRequestWithContext(t.Context(), route.Method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer x")
	req.SetPathValue("id", "x")
	req.SetPathValue("source", "github")
	return req
}
