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

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func printed(colour bool, print func(p *printer)) string {
	var out bytes.Buffer
	print(&printer{out: &out, format: "table", colour: colour, now: noon})
	return out.String()
}

// Colours do not move the columns.
func TestTableIsAlignedInColour(t *testing.T) {
	rows := [][]cell{{stateCell(gitops.Failed), {"größer", ""}, {"x", ""}}, {{"", ""}, {"y", ""}, {"", "dim"}}}
	got := printed(true, func(p *printer) { p.table([]string{"STATE", "NAME", "LAST"}, rows) })
	want := "\x1b[1mSTATE\x1b[0m   \x1b[1mNAME\x1b[0m    \x1b[1mLAST\x1b[0m\n\x1b[31mfailed\x1b[0m  größer  x\n        y\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStatusOfLanes(t *testing.T) {
	at := func(ago time.Duration) time.Time { return noon.Add(-ago) }
	held := map[gitops.BlockKind]int{gitops.BlockStale: 1, gitops.BlockRefused: 40}
	now := api.Environments{
		Branch: api.BranchState{AsOf: at(time.Hour), Problem: "connection failed"},
		Environments: []api.Environment{
			{Name: "dev", Lane: api.Lane{LastSuccess: at(90 * time.Second), LastProgress: at(80 * time.Second)}, Apps: []api.App{{App: "api", File: "api.yaml", Tag: "main-1", Differs: []api.AppFile{{File: "Chart.yaml", Tag: "main-0"}}}, {App: "web", File: "web.yaml", Problem: "no such file"}}},
			{Name: "prod", Lane: api.Lane{Ready: 3, Held: held, Oldest: at(50 * time.Hour), Outage: &api.Outage{Since: at(3 * time.Hour), Reason: "the branch is protected", RetryAt: noon.Add(40 * time.Second)}}, Apps: []api.App{{App: "api", Tag: "1.0.0"}, {App: "web", File: "prod.yaml", Problem: "prod.yaml: no such file"}}},
			{Name: "qa", Lane: api.Lane{Ready: 1, Oldest: at(5 * time.Second), Failed: &api.Failed{Updates: 1, Oldest: at(time.Minute)}}},
			{Name: "test", Lane: api.Lane{LastProgress: noon, Failed: &api.Failed{Updates: 13, Oldest: at(time.Hour), Apps: strings.Fields("a b c d e f g h i j k l")}}},
			{Name: "gone", Removed: true, Lane: api.Lane{Ready: 1, Oldest: at(time.Minute), Outage: &api.Outage{Since: at(time.Minute), Reason: "connection failed"}}},
			{Name: "old", Removed: true, Lane: api.Lane{Held: map[gitops.BlockKind]int{gitops.BlockStale: 2}}},
		},
	}
	want := `ENVIRONMENT  READY  HELD                 FAILED  OLDEST  LAST SUCCESS  LAST PROGRESS  LANE
dev          0      0                    0       -       1m ago        1m ago         idle
prod         3      40 refused, 1 stale  0       2d      -             -              blocked for 3h (retry in 40s): the branch is protected
qa           1      0                    1       5s      -             -              writing
test         0      0                    13      -       -             0s ago         failed updates
gone         1      0                    0       1m      -             -              cancelling: the environment left the configuration; blocked for 1m: connection failed
old          0      2 stale              0       -       -             -              cancelling: the environment left the configuration
1 update in qa failed, the oldest 1m ago. See: tallyman updates --env qa --state failed
13 updates in test failed, the oldest 1h ago: a, b, c, d, e, f, g, h, i, j and 2 apps more. See: tallyman updates --env test --state failed

cannot read the manifest repository: connection failed. Tags of 1h ago:
APP  dev     prod   qa  test
api  main-1  1.0.0  -   -
web  ?       ?      -   -
api in dev: api.yaml has main-1; Chart.yaml has main-0
web in dev: web.yaml: no such file
web in prod: prod.yaml: no such file
`
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.status(now, holding{}) })); diff != "" {
		t.Error(diff)
	}
	never := api.Environments{Branch: api.BranchState{Problem: "connection failed"}}
	want = "ENVIRONMENT  READY  HELD  FAILED  OLDEST  LAST SUCCESS  LAST PROGRESS  LANE\n\ncannot read the manifest repository: connection failed\n"
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.status(never, holding{}) })); diff != "" {
		t.Error(diff)
	}
}

// Everything that can happen to an update has a text that says what it means.
func TestExplainEveryState(t *testing.T) {
	refused := gitops.Block{Kind: gitops.BlockRefused, Reason: "the git server refuses charts/api: CODEOWNERS", Since: noon.Add(-time.Hour), Until: noon.Add(8 * time.Minute)}
	stale := gitops.Block{Kind: gitops.BlockStale, Reason: "pending for more than 7 days", Since: noon.Add(-48 * time.Hour)}
	outage := &api.Outage{Code: gitops.Unavailable, Reason: "git server: connection failed", Since: noon.Add(-3 * time.Minute), RetryAt: noon.Add(5 * time.Second)}
	decision := gitops.Step{At: noon, State: gitops.Pending, Actor: "token:ops", Reason: "a wrong build"}
	for _, c := range []struct {
		name   string
		update gitops.Update
		outage *api.Outage
		want   string
	}{
		{"queued", gitops.Update{State: gitops.Pending}, nil, "  Pending: queued, not blocked\n"},
		{"outage", gitops.Update{State: gitops.Pending}, outage,
			"  Pending: retries automatically. Lane blocked since 11:57:00: git server: connection failed; retries at 12:00:05\n"},
		{"removed", gitops.Update{State: gitops.Pending}, outage,
			"  Pending: the environment left the configuration; tallyman cancels its updates\n"},
		{"refused", gitops.Update{State: gitops.Pending, BlockedBy: []gitops.Block{refused}, Steps: []gitops.Step{
			{At: refused.Since, Until: noon, Attempts: 4, State: gitops.Pending, Reason: refused.Reason, RetryAt: refused.Until}}}, nil,
			"  2026-01-02 11:00:00  blocked: the git server refuses charts/api: CODEOWNERS (4 attempts until 2026-01-02 12:00:00)\n" +
				"  Blocked by: refused since 11:00:00: the git server refuses charts/api: CODEOWNERS; retries at 12:08:00\n"},
		{"stale and outage", gitops.Update{State: gitops.Pending, BlockedBy: []gitops.Block{stale}}, outage,
			"  Blocked by: stale since 2025-12-31 12:00:00: pending for more than 7 days; a person must decide\n" +
				"  Pending: retries automatically. Lane blocked since 11:57:00: git server: connection failed; retries at 12:00:05\n"},
		{"lifted by a report", gitops.Update{State: gitops.Pending, Steps: []gitops.Step{{At: noon, Attempts: 1, State: gitops.Pending}}}, nil,
			"  2026-01-02 12:00:00  not blocked any longer\n  Pending: queued, not blocked\n"},
		{"lifted by a person", gitops.Update{State: gitops.Pending, Steps: []gitops.Step{{At: noon, Attempts: 1, State: gitops.Pending, Reason: stale.Reason}, decision}}, nil,
			"  2026-01-02 12:00:00  blocked: pending for more than 7 days\n  2026-01-02 12:00:00  retry requested by token:ops: a wrong build\n  Pending: queued, not blocked\n"},
		{"cancelled too late", gitops.Update{State: gitops.Committed, Steps: []gitops.Step{decision, {At: noon, Attempts: 1, State: gitops.Committed, Commit: "c0ffee"}}}, nil,
			"  2026-01-02 12:00:00  cancellation requested by token:ops: a wrong build\n  2026-01-02 12:00:00  committed as c0ffee\n  Committed. Argo CD syncs it from the branch\n"},
		{"cancellation", gitops.Update{State: gitops.Pending, CancelRequest: &gitops.CancelRequest{Actor: "token:ops", Reason: "a wrong build"}, Steps: []gitops.Step{decision}}, nil,
			"  2026-01-02 12:00:00  cancellation requested by token:ops: a wrong build\n  Pending: cancellation requested by token:ops: a wrong build\n"},
		{"cancelled by a person", gitops.Update{State: gitops.Cancelled, Reason: "a wrong build", Steps: []gitops.Step{decision, {At: noon, Attempts: 1, State: gitops.Cancelled, Actor: "token:ops", Reason: "a wrong build"}}}, nil,
			"  2026-01-02 12:00:00  cancellation requested by token:ops: a wrong build\n  2026-01-02 12:00:00  cancelled by token:ops: a wrong build\n  Cancelled by token:ops: a wrong build\n"},
		{"retried and cancelled", gitops.Update{State: gitops.Cancelled, Steps: []gitops.Step{
			{At: noon, Attempts: 1, State: gitops.Pending, Reason: refused.Reason}, {At: noon, State: gitops.Pending, Actor: "ann"},
			{At: noon, Attempts: 1, State: gitops.Pending, Reason: refused.Reason}, decision,
			{At: noon, Attempts: 1, State: gitops.Cancelled, Actor: "token:ops"}}}, nil,
			"  2026-01-02 12:00:00  blocked: the git server refuses charts/api: CODEOWNERS\n  2026-01-02 12:00:00  retry requested by ann\n" +
				"  2026-01-02 12:00:00  blocked: the git server refuses charts/api: CODEOWNERS\n  2026-01-02 12:00:00  cancellation requested by token:ops: a wrong build\n" +
				"  2026-01-02 12:00:00  cancelled by token:ops\n  Cancelled by token:ops\n"},
		{"cancelled by itself", gitops.Update{State: gitops.Cancelled, Reason: "environment dev left the configuration", Steps: []gitops.Step{{At: noon, Attempts: 1, State: gitops.Cancelled, Reason: "environment dev left the configuration"}}}, nil,
			"  2026-01-02 12:00:00  cancelled: environment dev left the configuration\n  Cancelled: environment dev left the configuration\n"},
		{"retried and dismissed", gitops.Update{State: gitops.Cancelled, Steps: []gitops.Step{
			{At: noon, Attempts: 1, State: gitops.Failed, Code: gitops.NotFound, Reason: "no such key"}, {At: noon, State: gitops.Pending, Actor: "ann"},
			{At: noon, Attempts: 1, State: gitops.Failed, Code: gitops.NotFound, Reason: "no such key"}, {At: noon, State: gitops.Cancelled, Actor: "token:ops"}}}, nil,
			"  2026-01-02 12:00:00  failed: no such key\n  2026-01-02 12:00:00  retry requested by ann\n  2026-01-02 12:00:00  failed: no such key\n" +
				"  2026-01-02 12:00:00  dismissed by token:ops\n  Cancelled by token:ops\n"},
		{"shown by GitHub", gitops.Update{State: gitops.Unchanged, Feedback: &gitops.Feedback{Repository: "shop/api", Environment: "dev/api", Deployment: 7, URL: "https://github.com/shop/api/deployments"}}, nil,
			"  Unchanged: the file already had this tag\n  Deployment 7 of shop/api in dev/api: https://github.com/shop/api/deployments\n"},
		{"not shown by GitHub", gitops.Update{State: gitops.Unchanged, Feedback: &gitops.Feedback{Repository: "shop/api", Reason: "the GitHub App is not installed there"}}, nil,
			"  Unchanged: the file already had this tag\n  No deployment was made in shop/api: the GitHub App is not installed there\n"},
		{"unchanged", gitops.Update{State: gitops.Unchanged, Steps: []gitops.Step{{At: noon, Attempts: 1, State: gitops.Unchanged}}}, nil,
			"  2026-01-02 12:00:00  nothing to commit\n  Unchanged: the file already had this tag\n"},
		{"superseded", gitops.Update{State: gitops.Superseded, Reason: "superseded by 2.0.0 (update u2)", Steps: []gitops.Step{{At: noon, State: gitops.Superseded, Reason: "superseded by 2.0.0 (update u2)"}}}, nil,
			"  2026-01-02 12:00:00  superseded by 2.0.0 (update u2)\n  Superseded by 2.0.0 (update u2)\n"},
		{"late", gitops.Update{State: gitops.Superseded, Reason: gitops.Head{}.LateBehind(gitops.Update{App: "api", Environment: "dev", Tag: "2.0.0", OnlyUp: true, EventTime: noon}, noon.Add(time.Hour))}, nil,
			"  Superseded: a release of api in dev from 2026-01-02T13:00:00Z was accepted before this one from 2026-01-02T12:00:00Z. " +
				"To write 2.0.0 all the same, order it by name: tallyman update api 2.0.0 --env dev\n"},
		{"lower", gitops.Update{State: gitops.Superseded, Reason: gitops.LowerThan(gitops.Update{App: "api", Environment: "dev", Tag: "1.9.5"}, "2.0.0", "is on the branch (update u2)")}, nil,
			"  Superseded: 1.9.5 is lower than 2.0.0, which is on the branch (update u2): an image that is pushed does not lower the version of api in dev. " +
				"To go down, order it by name: tallyman update api 1.9.5 --env dev\n"},
		{"superseded, no reason", gitops.Update{State: gitops.Superseded}, nil, "  Superseded: a newer release of the app took its place\n"},
		{"proposed", gitops.Update{State: gitops.Proposed}, nil, "  Proposed: committed when its pull request is merged. Everything that keeps it: tallyman why api --env dev\n"},
		{"closed", gitops.Update{State: gitops.Closed}, nil, "  Closed: a person closed its pull request\n" +
			"  To have it proposed again, order it by name: tallyman update api v1 --env dev\n"},
		{"committed", gitops.Update{State: gitops.Committed, Commit: "c0ffee", Steps: []gitops.Step{{At: noon, Attempts: 1, State: gitops.Committed, Commit: "c0ffee"}}}, nil,
			"  2026-01-02 12:00:00  committed as c0ffee\n  The commit is tallyman's, proved by key k1\n  api.yaml\n    -tag: v0\n    +tag: v1\n  Chart.yaml: the file is too large to be compared\n  The app's files do not agree now: api.yaml has v2; Chart.yaml has v1\n  Committed. Argo CD syncs it from the branch\n"},
		{"failed", gitops.Update{State: gitops.Failed, ID: "u1", Reason: "no such key", Decisions: []gitops.PossibleDecision{{Action: gitops.ActionRetry}, {Action: gitops.ActionDismiss}}}, nil,
			"  Failed: no such key\n  After the cause is fixed: tallyman retry u1\n  To give it up: tallyman dismiss u1\n"},
		{"failed, of another's app", gitops.Update{State: gitops.Failed, Decisions: []gitops.PossibleDecision{{Action: gitops.ActionRetry, Refused: "token:ops has no right retry"}, {Action: gitops.ActionDismiss, Refused: "nor cancel"}}}, nil,
			"  Failed\n  Cannot be retried: token:ops has no right retry\n"},
		{"overtaken", gitops.Update{State: gitops.Failed, ID: "u1", OvertakenBy: "u2", Decisions: []gitops.PossibleDecision{{Action: gitops.ActionRetry, Refused: "overtaken"}, {Action: gitops.ActionDismiss}}}, nil,
			"  Failed, and overtaken by update u2: nothing needs to be done\n  To give it up: tallyman dismiss u1\n"},
		{"stale", gitops.Update{State: gitops.Pending, ID: "u1", BlockedBy: []gitops.Block{stale}, Decisions: []gitops.PossibleDecision{{Action: gitops.ActionRetry}, {Action: gitops.ActionCancel}}}, nil,
			"  Blocked by: stale since 2025-12-31 12:00:00: pending for more than 7 days; a person must decide\n" +
				"  To lift what blocks it: tallyman retry u1\n  To give it up: tallyman cancel u1\n"},
		{"claimed", gitops.Update{State: gitops.Unchanged, Commit: "c1a1m"}, nil,
			"  The commit has no proof that tallyman made it: Eve <eve@example.com> claims the update\n  api.yaml: the commit made or removed the whole file\n  Unchanged: the file already had this tag\n"},
		{"differs", gitops.Update{State: gitops.Pending}, nil,
			"  Pending: queued, not blocked\n  The app's files do not agree now: api.yaml has v1; Chart.yaml has no tag; b.yaml: no such file\n"},
		{"a problem", gitops.Update{State: gitops.Pending}, nil,
			"  Pending: queued, not blocked\n  Not written while the app has a problem on the branch: its key is wrong (charts/api/tallyman.yaml)\n"},
		{"discovered", gitops.Update{State: gitops.Pending}, nil,
			"  Pending: queued, not blocked\n  The app is known by discover[0], from charts/api/values-dev.yaml\n"},
		{"gone", gitops.Update{State: gitops.Committed, Commit: "90e"}, nil,
			"  The commit cannot be shown: the git server does not have it\n  Committed. Argo CD syncs it from the branch\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.update.App, c.update.Environment, c.update.Tag, c.update.AcceptedAt = "api", "dev", "v1", noon
			want := "api in dev to v1: " + string(c.update.State) + "\n  Update " + c.update.ID + "\n  2026-01-02 12:00:00  accepted\n" + c.want
			environment := api.Environment{Removed: c.name == "removed", Lane: api.Lane{Outage: c.outage}}
			if c.name == "differs" {
				environment.Apps = []api.App{{App: "web", Differs: []api.AppFile{{File: "web.yaml"}}},
					{App: "api", File: "api.yaml", Tag: "v1", Differs: []api.AppFile{{File: "Chart.yaml"}, {File: "b.yaml", Problem: "b.yaml: no such file"}}}}
			}
			known := map[string][]api.KnownApp{
				"a problem":  {{App: "api", Files: []string{"charts/api/tallyman.yaml"}, Origin: api.OriginBranch, Problem: "its key is wrong"}},
				"discovered": {{App: "api", Files: []string{"charts/api/values-dev.yaml"}, Origin: "discover[0]"}},
				"stale":      {{App: "api", Files: []string{"api.yaml"}, Origin: api.OriginConfigured}},
			}
			of := details{func(gitops.Update) api.Environment { return environment }, func(gitops.Update) []api.KnownApp { return known[c.name] }, commitOf}
			if diff := cmp.Diff(want, printed(false, func(p *printer) { p.explainUpdate(c.update, of) })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// commitOf stands for the server, which has three commits.
func commitOf(u gitops.Update) (api.Commit, error) {
	switch u.Commit {
	case "c0ffee":
		return api.Commit{Author: "bot", Proof: "k1", Files: []api.CommitFile{{File: "api.yaml", Diff: []string{"-tag: v0", "+tag: v1"}}, {File: "Chart.yaml", Problem: "the file is too large to be compared"}},
			Now: &api.App{App: "api", File: "api.yaml", Tag: "v2", Differs: []api.AppFile{{File: "Chart.yaml", Tag: "v1"}}}}, nil
	case "c1a1m":
		return api.Commit{Author: "Eve <eve@example.com>", Files: []api.CommitFile{{File: "api.yaml", Problem: "the commit made or removed the whole file"}}}, nil
	}
	return api.Commit{}, gitops.Errorf(gitops.NotFound, "the git server does not have it")
}

// A list says of each held update what holds it.
func TestUpdatesShowWhatIsHeld(t *testing.T) {
	found := []gitops.Update{
		{ID: "u1", AcceptedAt: noon, Environment: "dev", App: "api", Tag: "v1", State: gitops.Pending, BlockedBy: []gitops.Block{{Kind: gitops.BlockRefused, Reason: "CODEOWNERS", Since: noon, Until: noon.Add(time.Minute)}}},
		{ID: "u2", AcceptedAt: noon, Environment: "dev", App: "api", Tag: "v2", State: gitops.Pending, CancelRequest: &gitops.CancelRequest{Actor: "token:ops"}},
		{ID: "u3", AcceptedAt: noon, Environment: "dev", App: "api", Tag: "v3", State: gitops.Pending},
		{ID: "u4", AcceptedAt: noon, Environment: "dev", App: "web", Tag: "v1", State: gitops.Failed, OvertakenBy: "u5", Reason: "no such key"},
	}
	want := `ACCEPTED (UTC)       UPDATE  ENVIRONMENT  APP  TAG  STATE    COMMIT OR REASON
2026-01-02 12:00:00  u1      dev          api  v1   pending  refused since 12:00:00: CODEOWNERS; retries at 12:01:00
2026-01-02 12:00:00  u2      dev          api  v2   pending  cancellation requested by token:ops
2026-01-02 12:00:00  u3      dev          api  v3   pending
2026-01-02 12:00:00  u4      dev          web  v1   failed   overtaken by update u5: no such key
`
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.updates(found) })); diff != "" {
		t.Error(diff)
	}
}

// A delivery that was fetched says so, and so does one that says little.
func TestProvenance(t *testing.T) {
	for want, d := range map[string]gitops.Delivery{
		"Received 2026-01-02 12:00:00 UTC": {ReceivedAt: noon},
		"Received 2026-01-02 12:00:00 UTC from 192.0.2.1. Requested by: ann. Authenticated by: webhook secret": {ReceivedAt: noon, Remote: "192.0.2.1", Actor: "ann", Credential: "webhook secret"},
		"Received 2026-01-02 12:00:00 UTC, fetched by tallyman after the sender failed to deliver it":          {ReceivedAt: noon, Recovered: true},
	} {
		if got := provenance(d); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Text of others does not control the terminal; the colours of the printer do.
func TestNothingControlsTheTerminal(t *testing.T) {
	got := printed(true, func(p *printer) {
		p.table([]string{"SUBJECT"}, [][]cell{{{"a\x1b]0;title\x07b\x1b[8mc\u009b2Jd\re", "bad"}}})
		p.line("", "%s: %s", p.paint("failed", "bad"), "\x1b[2Jü")
	})
	want := "\x1b[1mSUBJECT\x1b[0m\n\x1b[31ma\uFFFD]0;title\uFFFDb\uFFFD[8mc\uFFFD2Jd\uFFFDe\x1b[0m\n\x1b[31mfailed\x1b[0m: \uFFFD[2Jü\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Who requested a version is a fact of a proved commit; another commit's word is shown
// as a claim, beside its author.
func TestRequestedByTellsClaimsFromFacts(t *testing.T) {
	of := []api.UpdateTrailer{{Update: "u1", Actor: "ann"}, {Update: "u2", Actor: "bob"}, {Update: "u3", Actor: "ann"}}
	for want, v := range map[string]api.Version{
		"ann, bob":                     {Author: "Bot <b@c>", Proof: "k", Updates: of},
		"Eve <e@f> (claims update u1)": {Author: "Eve <e@f>", Claims: of},
		"Eve <e@f>":                    {Author: "Eve <e@f>"},
	} {
		if got := requestedBy(v); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
