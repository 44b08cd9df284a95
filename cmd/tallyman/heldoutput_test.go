package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/server/api"
)

var (
	pinned  = gitops.Block{Kind: gitops.BlockPin, Reason: "ann pinned 1.4.1 until Sat 02:00 UTC: incident 4711", Since: noon.Add(-time.Hour), Until: noon.Add(14 * time.Hour)}
	stopped = gitops.Block{Kind: gitops.BlockStop, Reason: "bo stopped prod on Fri 2026-01-02 at 11:58 UTC", Since: noon.Add(-2 * time.Minute)}

	heldUpdate = gitops.Update{ID: "u1", AcceptedAt: noon, Environment: "prod", App: "api", Tag: "1.4.2", State: gitops.Pending, BlockedBy: []gitops.Block{pinned, stopped}}
)

// Each command that shows an update says who holds it, until when and why.
func TestHeldUpdatesAreShown(t *testing.T) {
	one := gitops.Delivery{Source: "github", ID: "d1", Outcome: gitops.OutcomeAccepted, ReceivedAt: noon, Updates: []gitops.Update{heldUpdate}}
	free := heldUpdate
	free.BlockedBy = nil
	two := one
	two.Updates = []gitops.Update{heldUpdate, free}
	const held = "held: ann pinned 1.4.1 until Sat 02:00 UTC: incident 4711 (in 14 h); held: bo stopped prod on Fri 2026-01-02 at 11:58 UTC"
	for want, print := range map[string]func(p *printer){
		"pending  " + held + "\n":                                 func(p *printer) { p.updates([]gitops.Update{heldUpdate}) },
		"accepted  api in prod to 1.4.2: pending; " + held + "\n": func(p *printer) { p.deliveries([]gitops.Delivery{one}) },
		"accepted  2 updates to 1.4.2, 1 held\n":                  func(p *printer) { p.deliveries([]gitops.Delivery{two}) },
		"api in prod to 1.4.2: pending (" + held + ")\n":          func(p *printer) { _ = p.event(client.Event{Update: &heldUpdate}) },
		"  Pending, held: ann pinned 1.4.1 until Sat 02:00 UTC: incident 4711 (in 14 h)\n  Pending, held: bo stopped prod on Fri 2026-01-02 at 11:58 UTC\n" +
			"  Everything that keeps it, and what may pass: tallyman why api --env prod\n": func(p *printer) { p.pending(heldUpdate, api.Environment{}) },
	} {
		if got := printed(false, print); !strings.HasSuffix(got, want) {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

// A retry does not lift what a person holds, and is not offered.
func TestARetryIsNotOfferedOfWhatIsHeld(t *testing.T) {
	u := heldUpdate
	u.Decisions = []gitops.PossibleDecision{{Action: gitops.ActionRetry}, {Action: gitops.ActionCancel}}
	if got := printed(false, func(p *printer) { p.decisions(u) }); got != "  To give it up: tallyman cancel u1\n" {
		t.Errorf("%q", got)
	}
}

// What a person's order asked for beside its tag is shown with it.
func TestTermsAreShown(t *testing.T) {
	u := gitops.Update{Terms: &gitops.Terms{Reason: "incident 4711", RollsBack: "1.4.2", PinUntil: noon.Add(72 * time.Hour), Passes: []gitops.BlockKind{gitops.BlockPin, gitops.BlockStop}, Override: "it is worse"}}
	want := "  Rollback from 1.4.2\n  Reason: incident 4711\n  Placed with a pin until 2026-01-05 12:00:00 UTC\n  Passes: pin, stop: it is worse\n"
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.terms(u.Terms); p.terms(nil) })); diff != "" {
		t.Error(diff)
	}
	h := api.History{Complete: true, Versions: []api.Version{
		{Tag: "1.4.1", Commit: "c9", At: noon, Author: "bot", Subject: "revert: api back to 1.4.1 (prod)", Updates: []api.UpdateTrailer{{Actor: "tallyman:revert", Reason: "1.4.3 is degraded: a pod crashes", RollsBack: "1.4.3", Reverts: "u9"}}},
		{Tag: "1.4.1", Commit: "c2", At: noon, Author: "bot", Subject: "revert: api back to 1.4.1 (prod)", Updates: []api.UpdateTrailer{{Actor: "token:ann", Reason: "incident 4711", RollsBack: "1.4.2", Override: "now"}}},
		{Tag: "1.4.2", Commit: "c1", At: noon, Author: "eve", Subject: "Bump", Claims: []api.UpdateTrailer{{Update: "u9", Reason: "made up"}}},
		{Tag: "1.4.0"},
	}}
	want = `SINCE (UTC)          TAG    COMMIT  REQUESTED BY            SUBJECT                           REASON
2026-01-02 12:00:00  1.4.1  c9      tallyman:revert         revert: api back to 1.4.1 (prod)  takes back update u9; 1.4.3 is degraded: a pod crashes
2026-01-02 12:00:00  1.4.1  c2      token:ann               revert: api back to 1.4.1 (prod)  rolled back from 1.4.2; incident 4711; override: now
2026-01-02 12:00:00  1.4.2  c1      eve (claims update u9)  Bump
before               1.4.0  -       -                       -
`
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.history(h) })); diff != "" {
		t.Error(diff)
	}
}

// Lists say of each hold how it ends, or has ended.
func TestHoldsAreShown(t *testing.T) {
	hold := func(id string, kind gitops.HoldKind, edit func(h *gitops.Hold)) gitops.Hold {
		h := gitops.Hold{ID: id, Kind: kind, Actor: "token:ann", Since: noon.Add(-time.Hour), Environments: []string{"prod"}}
		edit(&h)
		return h
	}
	holds := []gitops.Hold{
		hold("h4", gitops.HoldStop, func(h *gitops.Hold) { h.Environments = nil }),
		hold("h3", gitops.HoldPin, func(h *gitops.Hold) { h.Apps, h.Tag, h.Until = []string{"api"}, "1.4.1", noon.Add(14*time.Hour) }),
		hold("h2", gitops.HoldFreeze, func(h *gitops.Hold) { h.Until = noon.Add(-time.Minute) }),
		hold("h1", gitops.HoldBad, func(h *gitops.Hold) {
			h.Environments, h.Apps, h.Tag = nil, []string{"api"}, "1.4.2"
			h.Lifted = &gitops.Lift{At: noon.Add(-time.Minute), Actor: "token:bo", Reason: "it was the database"}
		}),
	}
	var ends []string
	for _, h := range holds {
		ends = append(ends, printed(false, func(p *printer) { p.line("", "%s", p.endCell(h).text) }))
	}
	if diff := cmp.Diff([]string{"by hand\n", "in 14 h\n", "ended 1m ago\n", "lifted 1m ago by bo: it was the database\n"}, ends); diff != "" {
		t.Error(diff)
	}
	rows := strings.Split(printed(false, func(p *printer) { p.holds(holds) }), "\n")
	for i, want := range []string{"HOLD KIND OF ENDS WHAT", "h4 stop everything by hand ", "h3 pin api in prod in 14 h ", "h2 freeze prod ended 1m ago ", "h1 bad api everywhere lifted 1m ago by bo: it was the database "} {
		if got := strings.Join(strings.Fields(rows[i]), " "); !strings.HasPrefix(got, want) {
			t.Errorf("row %d: %s, want %s", i, got, want)
		}
	}
	weekend := gate.Scheduled{Closed: gate.Closed{Freeze: "weekend", Zone: "Europe/Berlin", Reason: "nobody is in", From: noon.Add(3 * time.Hour), Until: noon.Add(67 * time.Hour)}, Environments: []string{"prod"}}
	want := `FREEZE   OF    FROM                  UNTIL                 ZONE           BEGINS  REASON
weekend  prod  Fri 2026-01-02 16:00  Mon 2026-01-05 08:00  Europe/Berlin  in 3 h  nobody is in
`
	if diff := cmp.Diff(want, printed(false, func(p *printer) { p.freezes(api.FreezeList{Closed: []gate.Scheduled{weekend}}, 30) })); diff != "" {
		t.Error(diff)
	}
	weekend.From = noon.Add(-time.Hour)
	status := printed(false, func(p *printer) { p.holding(holding{holds: holds[:1], freezes: []gate.Scheduled{weekend}}) })
	expect(t, "status", status, "HELD        BY      HOLD  ENDS     WHAT\n", "prod        freeze  -     in 67 h  freeze weekend of the configuration: nobody is in\n", "everything  stop    h4    by hand  ")
	for want, print := range map[string]func(p *printer){
		"": func(p *printer) { p.holding(holding{}) },
		"cannot read what is held: the store is away\n": func(p *printer) {
			p.holding(holding{err: gitops.Errorf(gitops.Unavailable, "the store is away")})
		},
		"Nothing is held by a pin, freeze, stop or bad mark. For freezes of the configuration see: tallyman freezes\n": func(p *printer) { p.holds(nil) },
		"11:59:00  bad mark of api everywhere: h1 lifted by bo: it was the database\n":                                 func(p *printer) { _ = p.event(client.Event{Hold: &holds[3]}) },
	} {
		if got := printed(false, print); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// why lists everything, and the command that lifts each hold.
func TestWhyListsEverything(t *testing.T) {
	pin := gitops.Hold{ID: "h7", Kind: gitops.HoldPin, Actor: "token:ann", Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1", Since: noon, Until: noon.Add(14 * time.Hour)}
	w := api.Why{App: "api", Environment: "prod", Branch: "1.4.1", Written: "1.4.2", Pending: []gitops.Update{heldUpdate}, Order: []gitops.Block{pinned, stopped}, Holds: []gitops.Hold{pin},
		NextFreeze: &gate.Closed{Freeze: "weekend", Zone: "UTC", From: noon.Add(4 * time.Hour), Until: noon.Add(20 * time.Hour)}, Outage: &api.Outage{Since: noon, Reason: "connection failed"}, LastWord: noon.Add(-time.Hour)}
	got := printed(false, func(p *printer) { p.why(w) })
	expect(t, "why", got, "api in prod: 1.4.1 on the branch; 1.4.2 was written last\n", "  Lane blocked since 12:00:00: connection failed\n",
		"  Pending: 1.4.2 (update u1, accepted 12:00:00 UTC)\n    held: ann pinned 1.4.1 until Sat 02:00 UTC: incident 4711 (in 14 h)\n    held: bo stopped prod on Fri 2026-01-02 at 11:58 UTC\n",
		"  An update to another tag that came now would be\n    held: ann pinned", "    To write it all the same: tallyman update api TAG --env prod --through-stop REASON\n",
		"  In force: pin of api in prod: h7, ", "    To lift it: tallyman unpin api --env prod\n", "  Next freeze: weekend from Fri 2026-01-02 16:00 until Sat 2026-01-03 08:00 UTC (in 4 h)\n",
		"  Last order of a person: 2026-01-02 11:00:00 UTC. Events from before it are not written\n")
	free := printed(false, func(p *printer) { p.why(api.Why{App: "api", Environment: "prod", Problem: "connection failed"}) })
	if want := "api in prod: the branch cannot be read now: connection failed\n  Pending: nothing\n  An update that came now would be written\n"; free != want {
		t.Errorf("%q, want %q", free, want)
	}
}

// What undoes an order can be pasted as it is, whatever the order passed.
func TestWhatUndoesAnOrder(t *testing.T) {
	order := func(state gitops.State, passes ...gitops.BlockKind) api.OrderAnswer {
		u := gitops.Update{App: "api", Environment: "prod", Tag: "1.4.3", State: state, Terms: &gitops.Terms{Passes: passes}}
		return api.OrderAnswer{Delivery: gitops.Delivery{Updates: []gitops.Update{u}}, Undo: "tallyman cancel u1"}
	}
	for name, c := range map[string]struct {
		order api.OrderAnswer
		want  string
	}{
		"pending":         {order(gitops.Pending, gitops.BlockPin), "tallyman cancel u1"},
		"passed nothing":  {order(gitops.Committed), ""},
		"changed nothing": {order(gitops.Unchanged, gitops.BlockPin), ""},
		"passed a pin":    {order(gitops.Committed, gitops.BlockPin), "tallyman rollback api --env prod --reason 'undo 1.4.3'"},
		"passed a stop":   {order(gitops.Committed, gitops.BlockPin, gitops.BlockStop), "tallyman rollback api --env prod --reason 'undo 1.4.3' --through-stop 'undo 1.4.3'"},
	} {
		if got := undoOf(c.order); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
