package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// A value that is empty, as of a script's variable that is not set, is none that was left
// out: without it a command would be about everything, or go somewhere else.
func TestEmptyValuesOfActs(t *testing.T) {
	for _, args := range []string{
		"stop --env=", "stop --app=", "resume --env=", "resume ''", "thaw ''", "freeze --env= --app api --for 1h --reason x", "freeze --env prod --app= --for 1h --reason x",
		"mark-bad api 1 --env= --reason x", "unmark-bad api 1 --env=", "unmark-bad ''", "unpin '' --env prod", "rollback api --env prod --to= --reason x", "rollback api --env prod --until= --reason x",
		"pin api 1.4.1 --env prod --until= --reason x", "rollback api --env prod --key= --reason x", "update api 1 --env prod --override=", "update api 1 --env prod --through-stop=", "update api 1 --env prod --digest=", "update api 1 --env prod --revision=",
		"stop --env prod,", "mark-bad api 1 --env ,prod --reason x", "cancel ''", "holds --env=", "updates --state=", "audit --actor=",
	} {
		asked := serveActs(t, answers{"GET /api/v1/holds": api.HoldList{Holds: []gitops.Hold{noonHold("h1", gitops.HoldStop, func(*gitops.Hold) {})}}})
		fields := strings.Fields(args)
		for i := range fields {
			fields[i] = strings.Trim(fields[i], "'")
		}
		if _, failure, exit := ran(t, fields...); exit != exitBadInput || !strings.Contains(failure, " is empty: give it a value, or leave it out") || len(*asked) > 0 {
			t.Errorf("%s: exit %d: %s, after %q", args, exit, failure, *asked)
		}
	}
}

// Of several holds those that were lifted are told, also when another one cannot be.
func TestALiftThatStopsHalfWay(t *testing.T) {
	h := func(id, environment string) gitops.Hold {
		return noonHold(id, gitops.HoldBad, func(h *gitops.Hold) {
			h.Environments, h.Apps, h.Tag = []string{environment}, []string{"api"}, "1.4.2"
		})
	}
	serveActs(t, answers{"GET /api/v1/holds": api.HoldList{Holds: []gitops.Hold{h("h1", "dev"), h("h2", "prod")}}, "DELETE /api/v1/holds/h1": api.LiftAnswer{Hold: h("h1", "dev")},
		"DELETE /api/v1/holds/h2": problem{http.StatusForbidden, map[string]any{"code": gitops.Forbidden, "detail": "token ann may not hold api in prod"}}})
	for _, format := range []string{"table", "json"} {
		out, failure, exit := ran(t, "unmark-bad", "api", "1.4.2", "-o", format)
		if exit != exitRejected || !strings.Contains(out, "h1") || !strings.Contains(failure, "token ann may not hold api in prod") {
			t.Errorf("exit %d: %s\n%s", exit, failure, out)
		}
	}
	if out, failure, exit := ran(t, "unmark-bad", "h1"); exit != 0 || !strings.Contains(out, "Lifted h1, bad mark of api in dev: ") {
		t.Errorf("by its ID: exit %d: %s\n%s", exit, failure, out)
	}
}

// The answer to an act that is repeated says when somebody ended it meanwhile.
func TestAnActThatWasEnded(t *testing.T) {
	ended := noonHold("h9", gitops.HoldStop, func(h *gitops.Hold) {
		h.Lifted = &gitops.Lift{At: time.Now().Add(-3 * time.Minute), Actor: "token:bo", Reason: "over"}
	})
	pin := noonHold("h8", gitops.HoldPin, func(h *gitops.Hold) { h.Tag, h.Until = "1.4.1", time.Now().Add(-time.Minute) })
	serveActs(t, answers{"POST /api/v1/holds": api.HoldAnswer{Hold: ended}, "POST /api/v1/rollbacks": api.RollbackAnswer{From: "1.4.2", To: "1.4.1", Pin: pin}})
	out, failure, exit := ran(t, "stop", "--key", "k1")
	if exit != 0 || !strings.Contains(out, "It was placed before, and is not in force any more: lifted 3m ago by bo: over\n") {
		t.Errorf("exit %d: %s\n%s", exit, failure, out)
	}
	out, failure, exit = ran(t, "rollback", "api", "--env", "prod", "--reason", "x", "--key", "k1")
	if exit != 0 || !strings.Contains(out, "It was placed before, and is not in force any more: ended 1m ago\n") {
		t.Errorf("exit %d: %s\n%s", exit, failure, out)
	}
}
