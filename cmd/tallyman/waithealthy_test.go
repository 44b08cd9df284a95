package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Each way of waiting ends at each state of an update and its rollout as the table says, or
// goes on; 6 is that it goes on until the time is over.
func TestEveryStateEndsEveryWait(t *testing.T) {
	inState := func(state gitops.State) gitops.Update {
		u := proposedUpdate(func(u *gitops.Update) { u.State, u.FollowedBy = state, "argocd" })
		return u
	}
	notFollowed := inState(gitops.Committed)
	notFollowed.FollowedBy = ""
	noLonger := rolledOut(gitops.RolloutProgressing, "")
	noLonger.FollowedBy = ""
	healthyOnce := rolledOut(gitops.RolloutHealthy, "")
	healthyOnce.FollowedBy = ""
	unchanged := rolledOut(gitops.RolloutHealthy, "")
	unchanged.State, unchanged.Commit = gitops.Unchanged, ""
	type exits struct{ proposed, committed, healthy int }
	rows := map[string]struct {
		update gitops.Update
		exits
	}{
		"pending":               {inState(gitops.Pending), exits{6, 6, 6}},
		"proposed":              {inState(gitops.Proposed), exits{9, 6, 6}},
		"superseded":            {inState(gitops.Superseded), exits{5, 5, 5}},
		"failed":                {inState(gitops.Failed), exits{5, 5, 5}},
		"closed":                {inState(gitops.Closed), exits{5, 5, 5}},
		"cancelled":             {inState(gitops.Cancelled), exits{5, 5, 5}},
		"committed":             {inState(gitops.Committed), exits{0, 0, 6}},
		"unchanged":             {inState(gitops.Unchanged), exits{0, 0, 6}},
		"not followed":          {notFollowed, exits{0, 0, 11}},
		"followed no longer":    {noLonger, exits{0, 0, 11}},
		"was healthy before":    {healthyOnce, exits{0, 0, 0}},
		"unchanged and healthy": {unchanged, exits{0, 0, 0}},
	}
	for state, exit := range map[gitops.RolloutState]int{
		gitops.RolloutWaiting: 6, gitops.RolloutPerson: 6, gitops.RolloutSyncing: 6, gitops.RolloutProgressing: 6, gitops.RolloutPaused: 6, gitops.RolloutUnknown: 6, gitops.RolloutHealthy: 0,
		gitops.RolloutDegraded: 10, gitops.RolloutSyncFailed: 10, gitops.RolloutTimedOut: 10, gitops.RolloutSuperseded: 10, gitops.RolloutGone: 10, gitops.RolloutUnmapped: 11,
	} {
		rows["rollout "+string(state)] = struct {
			update gitops.Update
			exits
		}{rolledOut(state, "why"), exits{0, 0, exit}}
	}
	if want := 12 + len(gitops.RolloutStates()); len(rows) != want {
		t.Errorf("%d rows, want %d: a state is missing", len(rows), want)
	}
	for name, row := range rows {
		for until, exit := range map[awaited]int{untilProposed: row.proposed, untilCommitted: row.committed, untilHealthy: row.healthy} {
			if reached := until.reached(row.update); reached == (exit == exitPending) {
				t.Errorf("%s: --wait=%s ends: %t, want exit %d", name, until, reached, exit)
			}
			err := (apiRun{print: &printer{now: noon}}).missing([]gitops.Update{row.update}, nil, waitFlags{until: until}, false)
			if exitCode(err) != exit {
				t.Errorf("%s: --wait=%s: exit %d, want %d: %v", name, until, exitCode(err), exit, err)
			}
		}
	}
}

// Every command that waits has --wait=healthy, and says what it ended at.
func TestWaitUntilHealthy(t *testing.T) {
	accepted := proposedUpdate(func(u *gitops.Update) { u.State, u.Proposal = gitops.Pending, nil })
	order := gitops.Delivery{Source: "api", ID: "d1", Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{accepted}}
	pin := gitops.Hold{ID: "h1", Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.0"}
	notFollowed := rolledOut(gitops.RolloutHealthy, "")
	notFollowed.Rollout, notFollowed.FollowedBy = nil, ""
	notYet := rolledOut(gitops.RolloutHealthy, "")
	notYet.Rollout = nil
	for _, c := range []struct {
		command string
		now     gitops.Update // what the server says after the first answer
		exit    int
		failure string
	}{
		{"update api 1.4.0 --env prod --wait=healthy", rolledOut(gitops.RolloutHealthy, ""), 0, ""},
		{"update api 1.4.0 --env prod --wait=healthy", rolledOut(gitops.RolloutDegraded, "runs api:1.3.0, not 1.4.0"), exitNotHealthy,
			"api in prod to 1.4.0: committed, and does not run; in the cluster: degraded: runs api:1.3.0, not 1.4.0"},
		{"update api 1.4.0 --env prod --wait=healthy", rolledOut(gitops.RolloutSuperseded, "superseded by 1.4.1 (update u2)"), exitNotHealthy, "in the cluster: superseded by 1.4.1 (update u2)"},
		{"update api 1.4.0 --env prod --wait=healthy", rolledOut(gitops.RolloutUnmapped, "no Application reads prod.yaml"), exitNotFollowed,
			"committed, and nothing says whether it runs; in the cluster: unmapped: no Application reads prod.yaml"},
		{"update api 1.4.0 --env prod --wait=healthy", notFollowed, exitNotFollowed,
			"committed, and nothing says whether it runs: updates of api in prod are not followed to the cluster. Set environments.prod.rollout.by, or wait with --wait=committed"},
		{"update api 1.4.0 --env prod --wait=healthy --timeout 1ms", notYet, exitPending, "still committed after 1ms; it is not known yet whether it runs"},
		{"update api 1.4.0 --env prod --wait=healthy --timeout 1ms", rolledOut(gitops.RolloutPerson, "it is not synced by itself"), exitPending,
			"still committed after 1ms; in the cluster: person: it is not synced by itself: " + placeURL},
		{"update api 1.4.0 --env prod --wait=committed", rolledOut(gitops.RolloutDegraded, ""), 0, ""},
		{"retry u1 --wait=healthy", rolledOut(gitops.RolloutTimedOut, "progressing for 15 min"), exitNotHealthy, "timed_out: progressing for 15 min"},
		{"rollback api --env prod --reason x --wait=healthy", rolledOut(gitops.RolloutSyncFailed, "no such kind"), exitNotHealthy, "sync_failed: no such kind"},
		{"rollback api --env prod --reason x --wait=healthy", rolledOut(gitops.RolloutHealthy, ""), 0, ""},
		{"pin api 1.4.0 --env prod --reason x --wait=healthy", rolledOut(gitops.RolloutGone, "the Application was removed"), exitNotHealthy, "gone: the Application was removed"},
	} {
		t.Run(c.command, func(t *testing.T) {
			serveAnswers(t, answers{
				"POST /api/v1/updates": order, "POST /api/v1/updates/u1/retry": accepted,
				"POST /api/v1/rollbacks": api.RollbackAnswer{To: "1.4.0", Update: &accepted, Pin: pin}, "POST /api/v1/holds": api.HoldAnswer{Hold: pin, Order: &order},
				"GET /api/v1/updates/u1": c.now,
			})
			out, failure, exit := ran(t, strings.Fields(c.command)...)
			if exit != c.exit || !strings.Contains(failure, c.failure) || (failure == "") != (c.failure == "") {
				t.Errorf("exit %d: %s\n%s", exit, failure, out)
			}
		})
	}
}

// A command that waits until it runs says where the update stands, each thing once, and goes on
// while a person is awaited.
func TestProgressUntilHealthy(t *testing.T) {
	var out bytes.Buffer
	u := proposedUpdate(func(u *gitops.Update) { u.State = gitops.Pending })
	shown := newProgress(&out, &printer{now: noon}, untilHealthy, []gitops.Update{u}, nil)
	notYet := rolledOut(gitops.RolloutWaiting, "")
	notYet.Rollout = nil
	for _, now := range []gitops.Update{
		notYet, rolledOut(gitops.RolloutWaiting, ""), rolledOut(gitops.RolloutProgressing, "1 of 3 pods is ready"), rolledOut(gitops.RolloutProgressing, "1 of 3 pods is ready"),
		rolledOut(gitops.RolloutPaused, "at 20 %"), rolledOut(gitops.RolloutHealthy, ""),
	} {
		shown.setUpdate(now)
	}
	const was = "api in prod to 1.4.0: committed (" + pullHead + ")"
	want := "api in prod to 1.4.0: pending\n" + was + "\n" + was + "; in the cluster: waiting\n" + was + "; in the cluster: progressing: 1 of 3 pods is ready\n" +
		was + "; in the cluster: paused: at 20 %: " + placeURL + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// Of several updates the exit status is that of the worst, and the error says how many do not
// run.
func TestExitStatusOfSeveralUntilHealthy(t *testing.T) {
	healthy, degraded, waiting, unmapped := rolledOut(gitops.RolloutHealthy, ""), rolledOut(gitops.RolloutDegraded, "x"), rolledOut(gitops.RolloutWaiting, ""), rolledOut(gitops.RolloutUnmapped, "x")
	failed := proposedUpdate(func(u *gitops.Update) { u.State = gitops.Failed })
	for _, c := range []struct {
		updates []gitops.Update
		exit    int
		want    string
	}{
		{[]gitops.Update{healthy, healthy}, 0, ""},
		{[]gitops.Update{healthy, waiting}, exitPending, "1 of 2 updates are not known to run. The first: api in prod to 1.4.0: "},
		{[]gitops.Update{waiting, unmapped}, exitNotFollowed, "2 of 2 updates"},
		{[]gitops.Update{waiting, unmapped, degraded}, exitNotHealthy, "3 of 3 updates"},
		{[]gitops.Update{waiting, unmapped, degraded, failed}, exitEnded, "4 of 4 updates"},
	} {
		err := (apiRun{print: &printer{now: noon}}).missing(c.updates, nil, waitFlags{until: untilHealthy}, false)
		if exitCode(err) != c.exit || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("exit %d: %v", exitCode(err), err)
		}
	}
}

// What is followed has longer than what is only written, unless the timeout is given.
func TestHowLongACommandWaits(t *testing.T) {
	for args, want := range map[string]time.Duration{"": usualTimeout, "--wait": usualTimeout, "--wait=healthy": healthyTimeout, "--wait=healthy --timeout 10m": 10 * time.Minute, "--wait=committed --timeout 1h": time.Hour} {
		var w waitFlags
		cmd := newVersion()
		w.flags(cmd)
		if err := cmd.ParseFlags(strings.Fields(args)); err != nil || w.limit() != want {
			t.Errorf("%q: %v, %v", args, w.limit(), err)
		}
	}
}
