package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

const placeURL = "https://argocd.example/applications/argocd/api-prod"

// rolledOut is a committed update that came to stand in the cluster, three minutes before noon.
func rolledOut(state gitops.RolloutState, reason string, edit ...func(r *gitops.Rollout)) gitops.Update {
	u := gitops.Update{ID: "u1", Delivery: gitops.DeliveryKey{Source: "api", ID: "d1"}, AcceptedAt: noon, Environment: "prod", App: "api", Tag: "1.4.0",
		State: gitops.Committed, Commit: pullHead, FinishedAt: noon, FollowedBy: "argocd"}
	u.Rollout = &gitops.Rollout{State: state, Reason: reason, Since: noon.Add(-3 * time.Minute), By: "argocd",
		Places: []gitops.RolloutPlace{{Name: "myshop/argocd/api-prod", URL: placeURL, State: state, Reason: reason}}}
	if !state.Final() {
		u.Rollout.Deadline = noon.Add(12 * time.Minute)
	}
	for _, e := range edit {
		e(u.Rollout)
	}
	return u
}

func noPlaces(r *gitops.Rollout) { r.Places = nil }

// explain says where an update stands in the cluster: since when, who says so, why, of which
// places, until when it has time, and what a person can do about it.
func TestExplainShowsTheRollout(t *testing.T) {
	const place, page = "    - myshop/argocd/api-prod: ", "      " + placeURL + "\n"
	const has, stands = "    It has until 12:12:00 UTC (in 12 min)\n", "    Its time does not run out meanwhile\n"
	const back = "    To go back: tallyman rollback api --env prod --reason TEXT\n"
	for name, c := range map[string]struct {
		update gitops.Update
		want   string
	}{
		"waiting":     {rolledOut(gitops.RolloutWaiting, "", noPlaces), "waiting since 2026-01-02 11:57:00 UTC (3m ago), says Argo CD\n" + has},
		"syncing":     {rolledOut(gitops.RolloutSyncing, ""), "syncing since 2026-01-02 11:57:00 UTC (3m ago), says Argo CD\n" + place + "syncing\n" + page + has},
		"progressing": {rolledOut(gitops.RolloutProgressing, "1 of 3 pods is ready"), "progressing since 2026-01-02 11:57:00 UTC (3m ago), says Argo CD: 1 of 3 pods is ready\n" + place + "progressing: 1 of 3 pods is ready\n" + page + has},
		"person": {rolledOut(gitops.RolloutPerson, "it is not synced by itself"), "person since 2026-01-02 11:57:00 UTC (3m ago), says Argo CD: it is not synced by itself\n" + place + "person: it is not synced by itself\n" + page + stands +
			"    Nothing does it by itself. Sync it in Argo CD: " + placeURL + "\n"},
		"paused": {rolledOut(gitops.RolloutPaused, ""), "paused since 2026-01-02 11:57:00 UTC (3m ago), says Argo CD\n" + place + "paused\n" + page + stands +
			"    Promote or abort it where it is rolled out: " + placeURL + "\n" + back},
		"unknown": {rolledOut(gitops.RolloutUnknown, "argocd.example has not answered since 11:57:00 UTC", noPlaces),
			"unknown since 2026-01-02 11:57:00 UTC (3m ago), says Argo CD: argocd.example has not answered since 11:57:00 UTC\n" + stands + "    tallyman asks again by itself\n"},
		"healthy, reported": {rolledOut(gitops.RolloutHealthy, "", noPlaces, func(r *gitops.Rollout) { r.By, r.Revision = "token:flux", pullHead }),
			"healthy since 2026-01-02 11:57:00 UTC, says token:flux\n    The cluster has revision " + pullHead + "\n"},
		"degraded": {rolledOut(gitops.RolloutDegraded, "runs api:1.3.0, not 1.4.0"), "degraded since 2026-01-02 11:57:00 UTC, says Argo CD: runs api:1.3.0, not 1.4.0\n" + place + "degraded: runs api:1.3.0, not 1.4.0\n" + page +
			"    See why: " + placeURL + "\n" + back},
		"one of two is degraded": {rolledOut(gitops.RolloutDegraded, "a pod crashes", func(r *gitops.Rollout) {
			r.Places = []gitops.RolloutPlace{{Name: "a", URL: "https://argocd.example/a", State: gitops.RolloutHealthy}, {Name: "b", State: gitops.RolloutDegraded, Reason: "a pod crashes"}}
		}), "degraded since 2026-01-02 11:57:00 UTC, says Argo CD: a pod crashes\n    - a: healthy\n      https://argocd.example/a\n    - b: degraded: a pod crashes\n    See why\n" + back},
		"sync_failed": {rolledOut(gitops.RolloutSyncFailed, "no such kind"), "sync_failed since 2026-01-02 11:57:00 UTC, says Argo CD: no such kind\n" + place + "sync_failed: no such kind\n" + page +
			"    Fix what keeps it from being applied: " + placeURL + "\n" + back},
		"timed_out": {rolledOut(gitops.RolloutTimedOut, "progressing for 15 min"), "timed_out since 2026-01-02 11:57:00 UTC, says Argo CD: progressing for 15 min\n" + place + "timed_out: progressing for 15 min\n" + page +
			"    It is followed no longer. See where it stands: " + placeURL + "\n" + back},
		"superseded": {rolledOut(gitops.RolloutSuperseded, "superseded by 1.4.1 (update u2)", noPlaces, func(r *gitops.Rollout) { r.By = "" }), "superseded since 2026-01-02 11:57:00 UTC: superseded by 1.4.1 (update u2)\n"},
		"unmapped": {rolledOut(gitops.RolloutUnmapped, "no Application reads charts/api/values-prod.yaml of main", noPlaces), "unmapped since 2026-01-02 11:57:00 UTC, says Argo CD: no Application reads charts/api/values-prod.yaml of main\n" +
			"    To name what reads its file: apps.api.argocd.prod in the configuration, as PROJECT/APPLICATION\n    To follow no app there: environments.prod.rollout.by: none\n"},
		"gone": {rolledOut(gitops.RolloutGone, "", noPlaces), "gone since 2026-01-02 11:57:00 UTC, says Argo CD\n    Restore what read its file, or take the app out of the environment\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := printed(false, func(p *printer) { p.explainUpdate(c.update, details{commit: commitOf}) })
			_, got, _ = strings.Cut(got, "the git server does not have it\n")
			if diff := cmp.Diff("  Committed\n  In the cluster: "+c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each state has a colour, and each that a person must do something about a way out.
func TestEveryRolloutStateIsShown(t *testing.T) {
	quiet := []gitops.RolloutState{gitops.RolloutWaiting, gitops.RolloutSyncing, gitops.RolloutProgressing, gitops.RolloutHealthy, gitops.RolloutSuperseded}
	for _, state := range gitops.RolloutStates() {
		if stateColours[string(state)] == "" {
			t.Errorf("%s has no colour", state)
		}
		if goes := strings.Contains(joinStates(quiet), string(state)+" "); goes == (len(waysOut("api", "prod", gitops.Rollout{State: state})) > 0) {
			t.Errorf("%s goes on by itself: %t, and has %q", state, goes, waysOut("api", "prod", gitops.Rollout{State: state}))
		}
	}
}

func joinStates(states []gitops.RolloutState) (text string) {
	for _, s := range states {
		text += string(s) + " "
	}
	return text
}

// The steps of a rollout are lines of their own, and the image is shown before them, once.
func TestExplainShowsTheStepsOfARollout(t *testing.T) {
	u := rolledOut(gitops.RolloutHealthy, "", noPlaces)
	u.Found = &gitops.Found{Digest: "sha256:1", At: noon}
	u.Terms = &gitops.Terms{Reverts: "u0", RollsBack: "1.5.0", Reason: "1.5.0 is degraded: a pod crashes"}
	u.Steps = []gitops.Step{
		{At: noon, Attempts: 1, State: gitops.Committed, Commit: pullHead}, {At: noon, State: gitops.Committed, Rollout: gitops.RolloutWaiting},
		{At: noon, State: gitops.Committed, Rollout: gitops.RolloutProgressing, Reason: "1 of 3 pods is ready"}, {At: noon, State: gitops.Committed, Rollout: gitops.RolloutHealthy},
	}
	want := `api in prod to 1.4.0: committed
  Update u1
  Takes back update u0: 1.5.0 is degraded: a pod crashes
  2026-01-02 12:00:00  accepted
  2026-01-02 12:00:00  image found: digest sha256:1
  2026-01-02 12:00:00  committed as ` + pullHead + `
  2026-01-02 12:00:00  in the cluster: waiting
  2026-01-02 12:00:00  in the cluster: progressing: 1 of 3 pods is ready
  2026-01-02 12:00:00  in the cluster: healthy
  The commit cannot be shown: the git server does not have it
  Committed
  In the cluster: healthy since 2026-01-02 11:57:00 UTC, says Argo CD
`
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.explainUpdate(u, details{commit: commitOf}) })); diff != "" {
		t.Error(diff)
	}
	u.Rollout, u.Steps = nil, nil
	if got := printed(false, func(p *printer) { p.explainUpdate(u, details{commit: commitOf}) }); !strings.HasSuffix(got, "  Committed. It is not known yet whether it runs\n") {
		t.Error(got)
	}
}

// Each command that lists updates says in a line where one stands in the cluster.
func TestWhereARolloutStandsIsListed(t *testing.T) {
	degraded, person := rolledOut(gitops.RolloutDegraded, "a pod crashes"), rolledOut(gitops.RolloutPerson, "it is not synced by itself")
	for want, print := range map[string]func(p *printer){
		"  committed  c0ffee000000; in the cluster: degraded: a pod crashes\n":      func(p *printer) { p.updates([]gitops.Update{degraded}) },
		" u1      c0ffee000000; in the cluster: degraded: a pod crashes\n":          func(p *printer) { p.ordered([]gitops.Update{degraded, degraded}) },
		"12:00:00  api in prod to 1.4.0: committed (" + pullHead + ")\n":            func(p *printer) { _ = p.event(client.Event{Update: &degraded}) },
		"11:57:00  api in prod to 1.4.0: in the cluster: degraded: a pod crashes\n": func(p *printer) { _ = p.event(client.Event{Rollout: &degraded}) },
		": in the cluster: person: it is not synced by itself: " + placeURL + "\n":  func(p *printer) { _ = p.event(client.Event{Rollout: &person}) },
		"api in prod to 1.4.0: committed; in the cluster: degraded: a pod crashes\n": func(p *printer) {
			p.deliveries([]gitops.Delivery{{Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{degraded}}})
		},
		"  In the cluster: degraded since 2026-01-02 11:57:00 UTC, says Argo CD: a pod": func(p *printer) { p.why(api.Why{App: "api", Environment: "prod", Rollout: degraded.Rollout}) },
	} {
		if got := printed(false, print); !strings.Contains(got, want) {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	row := func(app string, state gitops.RolloutState, tag string) api.App {
		return api.App{App: app, Tag: "1.4.0", Rollout: &api.AppRollout{Update: "u1", Tag: tag, State: state, Reason: "why", Since: noon.Add(-time.Hour)}}
	}
	now := api.Environments{Branch: api.BranchState{AsOf: noon}, Environments: []api.Environment{{Name: "prod", Apps: []api.App{
		row("api", gitops.RolloutDegraded, "1.4.0"), row("by-hand", gitops.RolloutProgressing, "1.3.0"), row("web", gitops.RolloutProgressing, "1.4.0"), {App: "worker", Tag: "1.4.0"}}}}}
	const status = "\nAPP      prod\napi      1.4.0 degraded\nby-hand  1.4.0\nweb      1.4.0 progressing\nworker   1.4.0\n" +
		"api in prod: 1.4.0 is degraded since 11:00:00: why. See: tallyman explain u1\n"
	if got := printed(false, func(p *printer) { p.status(now, holding{}) }); !strings.HasSuffix(got, status) {
		t.Errorf("got\n%swant\n%s", got, status)
	}
	var out bytes.Buffer
	if err := (&printer{out: &out, format: "json"}).event(client.Event{Rollout: &degraded}); err != nil || !strings.HasPrefix(out.String(), `{"rollout":{"id":"u1"`) {
		t.Errorf("%v: %s", err, out.String())
	}
	if !needsAttention(degraded) || !needsAttention(person) || needsAttention(rolledOut(gitops.RolloutProgressing, "")) || needsAttention(rolledOut(gitops.RolloutSuperseded, "")) {
		t.Error("what needs a person is not known")
	}
}
