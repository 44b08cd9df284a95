package main

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Every command that waits ends at a pull request with an exit status of its own, goes on
// with --wait=committed, and never takes an open one for a commit.
func TestWaitEndsAtAPullRequest(t *testing.T) {
	proposed := proposedUpdate(asItIs)
	accepted := proposedUpdate(func(u *gitops.Update) { u.State, u.Proposal = gitops.Pending, nil })
	order := gitops.Delivery{Source: "api", ID: "d1", Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{accepted}}
	pin := gitops.Hold{ID: "h1", Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.0"}
	closed := ended(gitops.Closed, "ann")
	closed.Reason = "ann closed pull request 7"
	for _, c := range []struct {
		command string
		now     gitops.Update // what the server says after the first answer
		exit    int
		failure string
	}{
		{"update api 1.4.0 --env prod --wait", proposed, exitProposed,
			"api in prod to 1.4.0: not committed yet: proposed: " + pullURL + " (a review is required; the merge queue). To wait for the merge: --wait=committed"},
		{"update api 1.4.0 --env prod --wait=proposed", ended(gitops.Committed, "ann"), 0, ""},
		{"update api 1.4.0 --env prod --wait=committed", ended(gitops.Committed, "ann"), 0, ""},
		{"update api 1.4.0 --env prod --wait=committed", closed, exitEnded, "api in prod to 1.4.0: not committed: closed: ann closed pull request 7"},
		{"update api 1.4.0 --env prod --wait=committed --timeout 1ms", proposed, exitPending, "api in prod to 1.4.0: still proposed after 1ms: " + pullURL},
		{"update api 1.4.0 --env prod", proposed, 0, ""},
		{"retry u1 --wait", proposed, exitProposed, "not committed yet: proposed"},
		{"rollback api --env prod --reason x", proposed, exitProposed, "not committed yet: proposed"},
		{"rollback api --env prod --reason x --wait=committed --timeout 1ms", proposed, exitPending, "still proposed after 1ms"},
		{"rollback api --env prod --reason x --no-wait", proposed, 0, ""},
		{"pin api 1.4.0 --env prod --reason x", proposed, exitProposed, "not committed yet: proposed"},
		{"update api 1.4.0 --env prod --wait=merged", proposed, exitBadInput, `invalid argument "merged" for "--wait" flag: must be proposed, committed or healthy`},
	} {
		t.Run(c.command+" "+string(c.now.State), func(t *testing.T) {
			serveAnswers(t, answers{
				"POST /api/v1/updates": order, "POST /api/v1/updates/u1/retry": accepted,
				"POST /api/v1/rollbacks": api.RollbackAnswer{To: "1.4.0", Update: &accepted, Pin: pin}, "POST /api/v1/holds": api.HoldAnswer{Hold: pin, Order: &order},
				"GET /api/v1/updates/u1": c.now,
			})
			out, failure, exit := ran(t, strings.Fields(c.command)...)
			if exit != c.exit || !strings.Contains(failure, c.failure) || (failure == "") != (c.failure == "") {
				t.Errorf("exit %d: %s\n%s", exit, failure, out)
			}
			if exit == exitProposed && !strings.Contains(out, "proposed ("+pullURL+")") {
				t.Errorf("the output does not say where it is:\n%s", out)
			}
		})
	}
}

// Of several updates the exit status is that of the worst: one that ended without a commit,
// one that is late, one that is proposed.
func TestExitStatusOfSeveralWithProposals(t *testing.T) {
	in := func(state gitops.State) gitops.Update {
		return proposedUpdate(func(u *gitops.Update) { u.State = state })
	}
	for _, c := range []struct {
		updates []gitops.Update
		exit    int
	}{
		{[]gitops.Update{in(gitops.Committed), in(gitops.Unchanged)}, 0},
		{[]gitops.Update{in(gitops.Committed), in(gitops.Proposed)}, exitProposed},
		{[]gitops.Update{in(gitops.Proposed), in(gitops.Pending)}, exitPending},
		{[]gitops.Update{in(gitops.Proposed), in(gitops.Pending), in(gitops.Closed)}, exitEnded},
	} {
		if err := (apiRun{print: &printer{now: noon}}).missing(c.updates, nil, waitFlags{until: untilProposed}, false); exitCode(err) != c.exit {
			t.Errorf("%v: %v", c.updates, err)
		}
	}
}

// --wait takes its value with "=" alone: one after a space is an argument too many, and the
// failure says how to write it.
func TestWaitsValueAfterASpace(t *testing.T) {
	for command, want := range map[string]string{
		"update api 1.4.0 --env prod --wait committed":       "tallyman update needs APP and TAG, not 3 arguments: write --wait=committed, without a space",
		"update api --tag 1.4.0 --env prod --wait committed": "tallyman update needs APP, not 2 arguments: write --wait=committed, without a space",
		"retry u1 --wait proposed":                           "tallyman retry needs ID, not 2 arguments: write --wait=proposed, without a space",
		"rollback api --reason x --env prod --wait proposed": "tallyman rollback needs APP, not 2 arguments: write --wait=proposed, without a space",
		"update api 1.4.0 committed --env prod":              "tallyman update needs APP and TAG, not 3 arguments",
		"update api 1.4.0 x --env prod --wait":               "tallyman update needs APP and TAG, not 3 arguments",
		"cancel u1 committed":                                "tallyman cancel needs ID, not 2 arguments",
	} {
		if _, failure, exit := ran(t, strings.Fields(command)...); failure != want || exit != exitBadInput {
			t.Errorf("%s: exit %d: %s", command, exit, failure)
		}
	}
}

// An order may name the commit that its image was built from.
func TestUpdateNamesTheRevision(t *testing.T) {
	order := gitops.Delivery{Source: "api", ID: "d1", Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{proposedUpdate(asItIs)}}
	asked := serveAnswers(t, answers{"POST /api/v1/updates": order})
	revision := strings.Repeat("1a2b3c4d", 5)
	if _, failure, exit := ran(t, "update", "api", "1.4.0", "--env", "prod", "--revision", revision); exit != 0 {
		t.Fatalf("exit %d: %s", exit, failure)
	}
	if sent := strings.Join(*asked, "\n"); !strings.Contains(sent, `"revision":"`+revision+`"`) {
		t.Errorf("the order has no revision: %s", sent)
	}
}
