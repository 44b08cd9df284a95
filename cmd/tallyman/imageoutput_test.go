package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

var (
	missing = gitops.Block{Kind: gitops.BlockImage, Since: noon.Add(-2 * time.Minute), Until: noon.Add(3 * time.Minute),
		Reason: "registry ghcr.io has no acme/api:v1.4.2 (404 since 11:58:00 UTC); given up at 12:03:00 UTC"}
	unanswered = gitops.Block{Kind: gitops.BlockImage, Since: noon.Add(-time.Hour), Reason: "cannot check acme/api:v1.4.2 in registry ghcr.io: registry ghcr.io answered 503 (since 11:00:00 UTC); retrying"}

	waitingUpdate = gitops.Update{ID: "u1", AcceptedAt: noon, Environment: "prod", App: "api", Tag: "v1.4.2", State: gitops.Pending, BlockedBy: []gitops.Block{missing}}
)

// Each command that shows an update says that it waits for its image, where that is looked
// for, since when and until when.
func TestWhatWaitsForItsImageIsShown(t *testing.T) {
	away := waitingUpdate
	away.BlockedBy = []gitops.Block{unanswered}
	const text = "waiting for its image since 11:58:00: registry ghcr.io has no acme/api:v1.4.2 (404 since 11:58:00 UTC); given up at 12:03:00 UTC (in 3 min)"
	const awayText = "waiting for its image since 11:00:00: cannot check acme/api:v1.4.2 in registry ghcr.io: registry ghcr.io answered 503 (since 11:00:00 UTC); retrying"
	for want, print := range map[string]func(p *printer){
		"pending  " + text + "\n":                                 func(p *printer) { p.updates([]gitops.Update{waitingUpdate}) },
		"pending  " + awayText + "\n":                             func(p *printer) { p.updates([]gitops.Update{away}) },
		"api in prod to v1.4.2: pending (" + text + ")\n":         func(p *printer) { _ = p.event(client.Event{Update: &waitingUpdate}) },
		"  Pending, " + text + "\n":                               func(p *printer) { p.pending(waitingUpdate, api.Environment{}) },
		"  Pending, " + awayText + "\n":                           func(p *printer) { p.pending(away, api.Environment{}) },
		"accepted 12:00:00 UTC)\n    " + text + "\n" + whyNothing: func(p *printer) { p.why(whyOf(waitingUpdate)) },
		"prod         0      2 image  0       -       -":          func(p *printer) { p.status(twoWait, holding{}) },
		"\n2 updates in prod wait for their images. See: tallyman updates --env prod --state pending\n": func(p *printer) { p.status(twoWait, holding{}) },
		"  To have its image looked for at once: tallyman retry u1\n":                                   func(p *printer) { p.decisions(retryable(waitingUpdate)) },
	} {
		if got := printed(false, print); !strings.Contains(got, want) {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

const whyNothing = "  An update that came now would be written\n"

func whyOf(u gitops.Update) api.Why {
	return api.Why{App: u.App, Environment: u.Environment, Pending: []gitops.Update{u}, Now: noon}
}

var twoWait = api.Environments{Branch: api.BranchState{AsOf: noon}, Environments: []api.Environment{
	{Name: "prod", Lane: api.Lane{Held: map[gitops.BlockKind]int{gitops.BlockImage: 2}}},
}}

func retryable(u gitops.Update) gitops.Update {
	u.Decisions = []gitops.PossibleDecision{{Action: gitops.ActionRetry}}
	return u
}

// The story of an update says when its image was found and what it is, before what was made
// of that.
func TestExplainTellsWhatWasFound(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	u := waitingUpdate
	u.State, u.BlockedBy, u.Commit = gitops.Committed, nil, "c0ffee"
	u.Found = &gitops.Found{Digest: digest, At: noon.Add(8 * time.Second), Named: true}
	u.Steps = []gitops.Step{
		{At: noon, Attempts: 1, State: gitops.Pending, Reason: missing.Reason, RetryAt: missing.Until},
		{At: noon.Add(8 * time.Second), Attempts: 1, State: gitops.Pending},
		{At: noon.Add(9 * time.Second), Attempts: 1, State: gitops.Committed, Commit: "c0ffee"},
	}
	of := details{commit: func(gitops.Update) (api.Commit, error) { return api.Commit{Commit: "c0ffee"}, nil }}
	got := printed(false, func(p *printer) { p.explainUpdate(u, of) })
	want := "  2026-01-02 12:00:00  accepted\n  2026-01-02 12:00:00  blocked: " + missing.Reason + "\n  2026-01-02 12:00:08  not blocked any longer\n" +
		"  2026-01-02 12:00:08  image found: digest " + digest + "\n    The tag named another image before; it was ordered by this digest\n" +
		"  2026-01-02 12:00:09  committed as c0ffee\n"
	if at := strings.Index(got, "  2026"); at < 0 || !strings.HasPrefix(got[at:], want) {
		t.Error(cmp.Diff(want, got))
	}
	u.Found = nil
	if got := printed(false, func(p *printer) { p.explainUpdate(u, of) }); strings.Contains(got, "image found") {
		t.Errorf("without an inspection it says\n%s", got)
	}
}
