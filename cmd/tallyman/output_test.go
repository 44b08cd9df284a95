package main

import (
	"bytes"
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

// Colours do not disturb the columns.
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
	now := api.Environments{
		Origin: api.OriginState{AsOf: at(time.Hour), Problem: "the server is away"},
		Environments: []api.Environment{
			{Name: "dev", Lane: api.Lane{LastSuccess: at(90 * time.Second)}, Apps: []api.App{{App: "api", Tag: "main-1"}, {App: "web", File: "web.yaml", Problem: "is not there"}}},
			{Name: "prod", Lane: api.Lane{Pending: 3, Oldest: at(50 * time.Hour), Waits: &api.Wait{Since: at(3 * time.Hour), Reason: "the branch is protected", RetryAt: noon.Add(40 * time.Second)}}, Apps: []api.App{{App: "api", Tag: "1.0.0"}, {App: "web", File: "prod.yaml", Problem: "prod.yaml: no such file"}}},
			{Name: "qa", Lane: api.Lane{Pending: 1, Oldest: at(5 * time.Second)}},
		},
	}
	want := `ENVIRONMENT  PENDING  OLDEST  LAST ENDED  LANE
dev          0        -       1m ago      idle
prod         3        2d      -           waits since 3h ago: the branch is protected (tries again in 40s)
qa           1        5s      -           at work

As it was 1h ago, for origin cannot be read now: the server is away
APP  dev     prod   qa
api  main-1  1.0.0  -
web  ?       ?      -
web in dev: web.yaml: is not there
web in prod: prod.yaml: no such file
`
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.status(now) })); diff != "" {
		t.Error(diff)
	}
	never := api.Environments{Origin: api.OriginState{Problem: "the server is away"}}
	want = "ENVIRONMENT  PENDING  OLDEST  LAST ENDED  LANE\n\nWhat is on origin is not known: the server is away\n"
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.status(never) })); diff != "" {
		t.Error(diff)
	}
}

// Each thing that can happen to an update has words that say what it means.
func TestExplainEveryState(t *testing.T) {
	steps := []gitops.Step{
		{At: noon, Until: noon.Add(time.Minute), Attempts: 4, State: gitops.Pending, Reason: "origin is away", RetryAt: noon.Add(2 * time.Minute)},
	}
	for _, c := range []struct {
		update gitops.Update
		want   string
	}{
		{gitops.Update{State: gitops.Pending}, "  It waits for its turn, and nothing keeps it from being written.\n"},
		{gitops.Update{State: gitops.Pending, Reason: "origin is away", Steps: steps},
			"  2026-01-02 12:00:00  could not be written yet: origin is away (4 attempts until 2026-01-02 12:01:00); next attempt 2026-01-02 12:02:00\n" +
				"  It waits, and is tried again until it succeeds. Nothing is lost.\n"},
		{gitops.Update{State: gitops.Unchanged, Steps: []gitops.Step{{At: noon, Attempts: 1, State: gitops.Unchanged}}}, "  2026-01-02 12:00:00  nothing to commit\n  Origin's branch said so already.\n"},
		{gitops.Update{State: gitops.Superseded, Reason: "2.0.0 came first"}, "  It was not written: 2.0.0 came first.\n"},
		{gitops.Update{State: gitops.Failed, ID: "u1"}, "  It was not written. Mend what the reason names, then: tallyman retry u1\n"},
	} {
		c.update.App, c.update.Environment, c.update.Tag, c.update.AcceptedAt = "api", "dev", "v1", noon
		want := "api in dev to v1: " + string(c.update.State) + "\n  Update " + c.update.ID + "\n  2026-01-02 12:00:00  accepted\n" + c.want
		if diff := cmp.Diff(want, printed(false, func(p *printer) { p.explainUpdate(c.update) })); diff != "" {
			t.Error(diff)
		}
	}
}

// What others wrote does not command the terminal; our own colours do.
func TestNothingCommandsTheTerminal(t *testing.T) {
	got := printed(true, func(p *printer) {
		p.table([]string{"SUBJECT"}, [][]cell{{{"a\x1b]0;title\x07b\x1b[8mc\u009b2Jd\re", "bad"}}})
		p.line("", "%s: %s", p.paint("failed", "bad"), "\x1b[2Jü")
	})
	want := "\x1b[1mSUBJECT\x1b[0m\n\x1b[31ma\uFFFD]0;title\uFFFDb\uFFFD[8mc\uFFFD2Jd\uFFFDe\x1b[0m\n\x1b[31mfailed\x1b[0m: \uFFFD[2Jü\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
