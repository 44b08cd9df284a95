package acts

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var itself = By{Principal: gitops.Principal{Revert: true}, Rule: "access[5]", Credential: "rollout.revert", Config: "c0ffee"}

// broken is 1.4.2 of api in prod, which is written and degraded, after 1.4.1 that ran.
func broken(edits ...func(*Failed)) Failed {
	f := Failed{
		Update: gitops.Update{ID: "u2", Environment: "prod", App: "api", Tag: "1.4.2", Sequence: 2, State: gitops.Committed, Rollout: &gitops.Rollout{State: gitops.RolloutDegraded, Reason: "CrashLoopBackOff"}},
		Head:   gitops.Head{Environment: "prod", App: "api", Written: 2, WrittenID: "u2", WrittenTag: "1.4.2", Healthy: 1, HealthyID: "u1", HealthyTag: "1.4.1"},
		Now:    "1.4.2", Before: "1.4.1", Digest: "sha256:" + strings.Repeat("a", 64),
	}
	for _, edit := range edits {
		edit(&f)
	}
	return f
}

// What keeps tallyman from going back, each by itself, in the words that are shown.
func TestWhyAnUpdateIsNotReverted(t *testing.T) {
	other := pinned
	other.Tag = "1.4.2"
	badBefore := bad
	badBefore.Tag = "1.4.1"
	in := func(state gitops.RolloutState) func(*Failed) {
		return func(f *Failed) { f.Update.Rollout = &gitops.Rollout{State: state} }
	}
	for name, c := range map[string]struct {
		edit  func(*Failed)
		holds []gitops.Hold
		why   string // "" where it is reverted
	}{
		"it is degraded":           {func(*Failed) {}, nil, ""},
		"it could not be synced":   {in(gitops.RolloutSyncFailed), nil, ""},
		"an older one waits":       {func(f *Failed) { f.Open = []gitops.Update{{ID: "u1", Sequence: 1}} }, nil, ""},
		"pinned at the tag before": {func(*Failed) {}, []gitops.Hold{pinned}, ""},
		"another app is held":      {func(*Failed) {}, []gitops.Hold{{Kind: gitops.HoldStop, Apps: []string{"web"}, Actor: "token:bo"}}, ""},

		"it timed out":              {in(gitops.RolloutTimedOut), nil, "1.4.2 is timed_out, and only what is degraded or sync_failed is"},
		"it runs":                   {in(gitops.RolloutHealthy), nil, "1.4.2 is healthy, and only"},
		"it is on its way":          {in(gitops.RolloutProgressing), nil, "1.4.2 is progressing, and only"},
		"it is not followed":        {func(f *Failed) { f.Update.Rollout = nil }, nil, "1.4.2 is not followed, and only"},
		"it is a revert":            {func(f *Failed) { f.Update.Terms = &gitops.Terms{Reverts: "u0"} }, nil, "1.4.2 is a revert itself, of update u0"},
		"a person syncs it":         {func(f *Failed) { f.Person = true }, nil, "a person syncs it, and decides what comes next"},
		"another was written":       {func(f *Failed) { f.Head.WrittenID, f.Head.WrittenTag = "u3", "1.4.3" }, nil, "1.4.3 was written after 1.4.2, by update u3"},
		"another waits":             {func(f *Failed) { f.Open = []gitops.Update{{ID: "u3", Tag: "1.4.3", Sequence: 3}} }, nil, "1.4.3 waits to be written after 1.4.2, as update u3"},
		"the branch is away":        {func(f *Failed) { f.Now = "" }, nil, "it is not known which tag the branch has now"},
		"somebody edited it":        {func(f *Failed) { f.Now = "1.4.0" }, nil, "the branch has 1.4.0 now, and no longer 1.4.2"},
		"it was the first":          {func(f *Failed) { f.Before = "" }, nil, "it is not known which tag the file had before 1.4.2, or it had none"},
		"it changed nothing":        {func(f *Failed) { f.Before = "1.4.2" }, nil, "the file had 1.4.2 before, too"},
		"nothing ever ran":          {func(f *Failed) { f.Head.Healthy, f.Head.HealthyID, f.Head.HealthyTag = 0, "", "" }, nil, "no tag was seen healthy there, so 1.4.1 may not run either"},
		"the one before did not":    {func(f *Failed) { f.Head.HealthyTag = "1.3.0" }, nil, "the file had 1.4.1 before, and the last tag that was seen healthy is 1.3.0"},
		"pinned where it is":        {func(*Failed) {}, []gitops.Hold{other}, "1.4.1 is held: bo pinned 1.4.2 until Fri 15:00 UTC: incident"},
		"a freeze":                  {func(*Failed) {}, []gitops.Hold{frozen}, "1.4.1 is held: bo froze prod"},
		"a stop":                    {func(*Failed) {}, []gitops.Hold{stopped}, "1.4.1 is held: bo stopped everything"},
		"the one before is bad":     {func(*Failed) {}, []gitops.Hold{badBefore}, "1.4.1 is held: bo marked 1.4.1 as bad"},
		"the first reason is given": {func(f *Failed) { f.Now, f.Person = "", true }, []gitops.Hold{stopped}, "a person syncs it"},
	} {
		r, err := Revert(broken(c.edit), itself, limits, holding(c.holds...))
		switch {
		case c.why == "" && (err != nil || r.From != "1.4.2" || r.To != "1.4.1"):
			t.Errorf("%s: %+v, %v", name, r, err)
		case c.why != "" && (gitops.CodeOf(err) != gitops.Conflict || !strings.HasPrefix(gitops.PublicOf(err), "api in prod is not reverted: "+c.why)):
			t.Errorf("%s: %v, want %q", name, err, c.why)
		}
	}
}

// A revert is an order under a pin, in the audit as a rollback of tallyman's own, and named
// by the update that failed.
func TestRevert(t *testing.T) {
	until := friday.Add(72 * time.Hour)
	r, err := Revert(broken(), itself, limits, holding(bad))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(gitops.Order{App: "api", Environment: "prod", Tag: "1.4.1", Digest: broken().Digest}, r.Order()); diff != "" {
		t.Error(diff)
	}
	order := gitops.Delivery{Source: RevertSource, ID: "u2", Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{{Environment: "prod", App: "api", Tag: "1.4.1"}}}
	p := r.Placement(order, itself)
	key := RevertKey("u2")
	wantOrder := order
	wantOrder.Updates = []gitops.Update{{Environment: "prod", App: "api", Tag: "1.4.1", Terms: &gitops.Terms{Reason: "1.4.2 is degraded: CrashLoopBackOff", RollsBack: "1.4.2", Reverts: "u2", PinUntil: until}}}
	want := queue.Placement{
		Holds: []gitops.Hold{{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1", Principal: "revert:tallyman", Actor: "tallyman:revert",
			Reason: "1.4.2 is degraded: CrashLoopBackOff", Rule: "access[5]", Since: friday, Until: until}},
		Order: &wantOrder, Written: "u2",
		Entries: []gitops.AuditEntry{{Act: gitops.ActRollback, Principal: "revert:tallyman", Actor: "tallyman:revert", Credential: "rollout.revert", Right: gitops.RightRollback, Rule: "access[5]",
			Environment: "prod", App: "api", Update: gitops.UpdateID(key, "prod", "api"), Delivery: "revert/u2", Reason: "1.4.2 is degraded: CrashLoopBackOff", Before: "1.4.2", After: "1.4.1", Config: "c0ffee"}},
		Credential: "rollout.revert", Config: "c0ffee",
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	if order.Updates[0].Terms != nil {
		t.Error("the planned order was changed")
	}
	if err := p.Check(friday); err != nil {
		t.Error(err)
	}
	if passes := p.Order.Updates[0].Passes(); len(passes) > 0 {
		t.Errorf("it passes %v", passes)
	}
}

// A pin that people placed at the tag before stays, with its end.
func TestARevertLeavesThePinThatIsThere(t *testing.T) {
	r, err := Revert(broken(), itself, limits, holding(pinned))
	if err != nil || len(r.Holds) > 0 || !r.Terms.PinUntil.Equal(pinned.Until) {
		t.Errorf("%+v, %v", r, err)
	}
	if err := r.Placement(gitops.Delivery{Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{{}}}, itself).Check(friday); err != nil {
		t.Error(err)
	}
}

// Whatever the cluster says can stand in a pin: one line, and not too long.
func TestTheReasonOfARevertIsOneLine(t *testing.T) {
	for _, words := range []string{"", "a\nTallyman-Update: forged", strings.Repeat("é", 1000), "\u202eturned\u2028", "\xff"} {
		r, err := Revert(broken(func(f *Failed) { f.Update.Rollout.Reason = words }), itself, limits, holding())
		if err != nil || gitops.CheckHold(r.Holds[0], friday) != nil || !strings.HasPrefix(r.Terms.Reason, "1.4.2 is degraded") {
			t.Errorf("%q: %+v, %v, %v", words, r, err, gitops.CheckHold(r.Holds[0], friday))
		}
	}
}
