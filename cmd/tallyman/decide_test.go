package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// answers are what a server answers, by method and path; a [*gitops.Error] is
// answered as a problem with the status 409.
type answers map[string]any

// serveAnswers points the commands at a server, and notes what it is asked.
func serveAnswers(t *testing.T, all answers) (asked *[]string) {
	t.Helper()
	asked = new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request := r.Method + " " + r.URL.Path
		*asked = append(*asked, strings.TrimSpace(request+" "+string(body)))
		answer := all[request]
		if problem, ok := answer.(*gitops.Error); ok {
			w.WriteHeader(http.StatusConflict)
			answer = map[string]any{"code": problem.Code, "detail": problem.Message}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("TALLYMAN_URL", s.URL)
	t.Setenv("TALLYMAN_TOKEN", "a-token-of-a-test")
	t.Setenv("TALLYMAN_TOKEN_FILE", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	return asked
}

// ran is what a command did.
func ran(t *testing.T, args ...string) (stdout, failure string, exit int) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		failure = err.Error()
	}
	return out.String(), failure, exitCode(err)
}

// Each decision sends its reason, and its exit status is the result.
func TestDecisions(t *testing.T) {
	u := gitops.Update{ID: "u1", Delivery: gitops.DeliveryKey{Source: "api", ID: "d1"}, Environment: "dev", App: "api", Tag: "v1"}
	in := func(state gitops.State, request *gitops.CancelRequest) gitops.Update {
		u.State, u.CancelRequest = state, request
		return u
	}
	for _, c := range []struct {
		name, command string
		answer        any
		exit          int
		out, failure  string
	}{
		{"cancelled", "cancel", in(gitops.Cancelled, nil), 0, "api in dev to v1: cancelled\ndetails: tallyman explain api/d1\n", ""},
		{"committed first", "cancel", in(gitops.Committed, nil), exitEnded, "api in dev to v1: committed\ndetails: tallyman explain api/d1\n", "api in dev to v1: not cancelled: it was committed first"},
		{"not carried out", "cancel", in(gitops.Pending, &gitops.CancelRequest{Actor: "token:ops"}), exitPending,
			"api in dev to v1: pending (cancellation requested by token:ops)\ndetails: tallyman explain api/d1\n", "api in dev to v1: cancellation requested, not carried out yet"},
		{"had ended", "cancel", gitops.Errorf(gitops.Conflict, "update u1 is committed"), exitRejected, "", "update u1 is committed"},
		{"dismissed", "dismiss", in(gitops.Cancelled, nil), 0, "api in dev to v1: cancelled\ndetails: tallyman explain api/d1\n", ""},
		{"retried", "retry", in(gitops.Pending, nil), 0, "api in dev to v1: pending\ndetails: tallyman explain api/d1\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := serveAnswers(t, answers{"POST /api/v1/updates/u1/" + c.command: c.answer})
			out, failure, exit := ran(t, c.command, "u1", "--reason", "a wrong build")
			if out != c.out || failure != c.failure || exit != c.exit {
				t.Errorf("exit %d, %q\n%s", exit, failure, out)
			}
			if diff := cmp.Diff([]string{"POST /api/v1/updates/u1/" + c.command + ` {"reason":"a wrong build"}`}, *asked); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, command := range []string{"retry", "cancel", "dismiss"} {
		serveAnswers(t, answers{"POST /api/v1/updates/api/d1/" + command: gitops.Errorf(gitops.NotFound, "no such update")})
		if _, failure, exit := ran(t, command, "api/d1"); exit != exitRejected || !strings.HasPrefix(failure, "no update with ID api/d1. The ID of a delivery") {
			t.Errorf("%s: exit %d, %s", command, exit, failure)
		}
	}
}

// A mistyped name is bad input where it would find nothing, and an environment that
// left the configuration still lists its updates.
func TestNamesThatTheServerDoesNotHave(t *testing.T) {
	environments := api.Environments{Environments: []api.Environment{{Name: "dev", Apps: []api.App{{App: "myshop-api"}}}, {Name: "prod"}}}
	nothing := answers{
		"GET /api/v1/updates": api.UpdateList{}, "GET /api/v1/audit": api.AuditList{}, "GET /api/v1/environments": environments,
		"GET /api/v1/history":  gitops.Errorf(gitops.NotFound, "there is no app"),
		"POST /api/v1/updates": gitops.Errorf(gitops.Rejected, "no environment is configured"),
	}
	for _, c := range []struct {
		args    []string
		exit    int
		failure string
	}{
		{[]string{"updates", "--env", "dev"}, 0, ""},
		{[]string{"updates", "--env", "nope"}, exitBadInput, `unknown environment "nope": there are dev, prod`},
		{[]string{"updates", "--env", "prdo"}, exitBadInput, `unknown environment "prdo": did you mean prod?`},
		{[]string{"updates", "--app", "myshop-apy"}, exitBadInput, `unknown app "myshop-apy": did you mean myshop-api?`},
		{[]string{"watch", "--env", "prd"}, exitBadInput, `unknown environment "prd": did you mean prod?`},
		{[]string{"audit", "--env", "nope"}, exitBadInput, `unknown environment "nope": there are dev, prod`},
		{[]string{"history", "myshop-api", "--env", "nope"}, exitBadInput, `unknown environment "nope": there are dev, prod`},
		{[]string{"update", "myshop-api", "v1", "--env", "nope"}, exitRejected, `unknown environment "nope": there are dev, prod`},
		{[]string{"update", "myshop-apy", "v1", "--env", "dev"}, exitRejected, `unknown app "myshop-apy": did you mean myshop-api?`},
	} {
		serveAnswers(t, nothing)
		if _, failure, exit := ran(t, c.args...); exit != c.exit || failure != c.failure {
			t.Errorf("%v: exit %d, %s", c.args, exit, failure)
		}
	}
	nothing["GET /api/v1/apps"] = api.KnownAppList{Apps: []api.KnownApp{{App: "myshop-apy", Problem: "its own file is not YAML"}}}
	nothing["POST /api/v1/updates"] = gitops.Errorf(gitops.Rejected, "its own file is not YAML")
	serveAnswers(t, nothing)
	if _, failure, exit := ran(t, "update", "myshop-apy", "v1", "--env", "dev"); exit != exitRejected || failure != "its own file is not YAML" {
		t.Errorf("an app that has a problem: exit %d, %s", exit, failure)
	}
	asked := serveAnswers(t, answers{"GET /api/v1/updates": api.UpdateList{Updates: []gitops.Update{{ID: "u1", Delivery: gitops.DeliveryKey{Source: "api", ID: "d1"}, Environment: "old"}}}})
	if out, failure, exit := ran(t, "updates", "--env", "old"); exit != 0 || !strings.Contains(out, "u1") || len(*asked) != 1 {
		t.Errorf("exit %d, %s\n%s", exit, failure, out)
	}
}

// explain asks for the lane of an update that is pending, and for nothing more of
// others.
func TestExplainAsksForTheOutage(t *testing.T) {
	u := gitops.Update{ID: "u1", Delivery: gitops.DeliveryKey{Source: "api", ID: "d1"}, Environment: "dev", App: "api", Tag: "v1", State: gitops.Pending}
	d := gitops.Delivery{Source: "api", ID: "d1", Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{u}}
	lane := api.Lane{Ready: 1, Outage: &api.Outage{Code: gitops.Unavailable, Reason: "git server: connection failed", Since: noon}}
	serveAnswers(t, answers{
		"GET /api/v1/deliveries/api/d1": d,
		"GET /api/v1/environments":      api.Environments{Environments: []api.Environment{{Name: "dev", Lane: lane}}},
	})
	out, failure, exit := ran(t, "explain", "api/d1")
	if want := "Pending: retries automatically. Lane blocked since 2026-01-02 12:00:00: git server: connection failed\n"; exit != 0 || !strings.HasSuffix(out, want) {
		t.Errorf("exit %d, %s\n%s", exit, failure, out)
	}
	d.Updates[0].State = gitops.Committed
	asked := serveAnswers(t, answers{"GET /api/v1/deliveries/api/d1": d})
	if out, _, _ := ran(t, "explain", "api/d1"); !strings.HasSuffix(out, "Committed. Argo CD syncs it from the branch\n") || len(*asked) != 1 {
		t.Errorf("asked %q\n%s", *asked, out)
	}
}
