package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// health sends what its flags say, says what stands by then, and has the exit status of
// what refuses it.
func TestHealth(t *testing.T) {
	answer := func(edit func(*api.HealthAnswer)) api.HealthAnswer {
		a := api.HealthAnswer{Update: "u1", App: "api", Environment: "prod", Tag: "1.4.2", Rollout: gitops.Rollout{State: gitops.RolloutHealthy}, Changed: true}
		edit(&a)
		return a
	}
	const path = "POST /api/v1/health "
	for name, c := range map[string]struct {
		args   string
		answer any
		asked  string
		want   string
		exit   int
	}{
		"healthy": {"--tag 1.4.2 --state healthy", answer(func(*api.HealthAnswer) {}), `{"app":"api","environment":"prod","tag":"1.4.2","state":"healthy"}`, "api in prod at 1.4.2: healthy\n", 0},
		"with all that there is": {"--update u1 --state degraded --reason crashes --link https://x.example --place eu --dry-run",
			answer(func(a *api.HealthAnswer) {
				a.Rollout.State, a.Rollout.Reason, a.DryRun = gitops.RolloutDegraded, "crashes", true
			}),
			`{"app":"api","environment":"prod","update":"u1","state":"degraded","reason":"crashes","url":"https://x.example","place":"eu","dryRun":true}`,
			"Dry run: nothing was done. This would be done:\napi in prod at 1.4.2: degraded: crashes\n", 0},
		"the same again": {"--tag 1.4.2 --state healthy", answer(func(a *api.HealthAnswer) { a.Changed = false }), `{"app":"api","environment":"prod","tag":"1.4.2","state":"healthy"}`, "api in prod at 1.4.2: healthy (nothing new)\n", 0},
		"as JSON":        {"--tag 1.4.2 --state healthy --json", answer(func(*api.HealthAnswer) {}), `{"app":"api","environment":"prod","tag":"1.4.2","state":"healthy"}`, `"changed": true`, 0},
		"of another": {"--tag 1.4.2 --state healthy", problem{http.StatusConflict, map[string]any{"code": gitops.Conflict, "detail": "1.4.2 is not the tag of api in prod that was written last"}},
			`{"app":"api","environment":"prod","tag":"1.4.2","state":"healthy"}`, "1.4.2 is not the tag of api in prod that was written last", exitRejected},
	} {
		t.Run(name, func(t *testing.T) {
			asked := serveActs(t, answers{"POST /api/v1/health": c.answer})
			out, failure, exit := ran(t, strings.Fields("health api --env prod "+c.args)...)
			if diff := cmp.Diff([]string{path + c.asked}, *asked); diff != "" || exit != c.exit || !strings.Contains(out+failure, c.want) {
				t.Errorf("exit %d: %s%s\n%s", exit, out, failure, diff)
			}
		})
	}
	for args, want := range map[string]string{
		"health --env prod --tag 1 --state healthy":                    "tallyman health needs APP",
		"health api --tag 1 --state healthy":                           "--env is required",
		"health api --env prod --tag 1":                                "--state is required: progressing, paused, healthy, degraded or sync_failed",
		"health api --env prod --state healthy":                        "one of --tag and --update is required: another tag may have been written meanwhile",
		"health api --env prod --tag 1 --update u1 --state healthy":    "one of --tag and --update is required",
		"health api --env prod --tag= --state healthy":                 "--tag is empty: give it a value, or leave it out",
		"health api --env prod --tag 1 --state healthy --reason=":      "--reason is empty",
		"health api --env prod --tag 1 --state healthy --link= --json": "--link is empty",
	} {
		asked := serveActs(t, nil)
		if _, failure, exit := ran(t, strings.Fields(args)...); exit != exitBadInput || !strings.Contains(failure, want) || len(*asked) > 0 {
			t.Errorf("%s: exit %d: %s, after %q", args, exit, failure, *asked)
		}
	}
}
