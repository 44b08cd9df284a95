package acts

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

func back(edit func(*RollbackWish)) RollbackWish {
	w := RollbackWish{Environment: "prod", App: "api", Tag: "1.4.1", Reason: "crashes"}
	edit(&w)
	return w
}

// A rollback places a pin at the tag gone back to and a bad mark of the tag that is left,
// and passes pins and freezes, and a stop only for a reason.
func TestPlanRollback(t *testing.T) {
	pin, freeze, stop := gitops.BlockPin, gitops.BlockFreeze, gitops.BlockStop
	until := friday.Add(72 * time.Hour)
	type kinds = []gitops.BlockKind
	for name, c := range map[string]struct {
		edit    func(*RollbackWish)
		seen    Seen
		holds   []gitops.Hold
		terms   gitops.Terms
		places  []string
		nothing bool
		fault   string
	}{
		"to an earlier tag": {func(*RollbackWish) {}, Seen{From: "1.4.2"}, []gitops.Hold{frozen}, gitops.Terms{Reason: "crashes", Passes: kinds{pin, freeze}, RollsBack: "1.4.2", PinUntil: until},
			[]string{"pin 1.4.1", "bad 1.4.2"}, false, ""},
		"that is not to be bad": {func(w *RollbackWish) { w.Keep, w.For = true, time.Hour }, Seen{From: "1.4.2"}, nil, gitops.Terms{Reason: "crashes", Passes: kinds{pin, freeze}, RollsBack: "1.4.2", PinUntil: friday.Add(time.Hour)},
			[]string{"pin 1.4.1"}, false, ""},
		"to a bad tag":       {func(w *RollbackWish) { w.Tag = "1.4.2" }, Seen{From: "1.5.0"}, []gitops.Hold{bad}, gitops.Terms{}, nil, false, "api in prod at 1.4.2 is held: bo marked 1.4.2 as bad"},
		"against a stop":     {func(*RollbackWish) {}, Seen{From: "1.4.2"}, []gitops.Hold{stopped}, gitops.Terms{}, nil, false, "api in prod is held: bo stopped everything"},
		"through a stop":     {func(w *RollbackWish) { w.ThroughStop = "why" }, Seen{From: "1.4.2"}, []gitops.Hold{stopped}, gitops.Terms{Reason: "crashes", Passes: kinds{pin, freeze, stop}, RollsBack: "1.4.2", PinUntil: until, Override: "why"}, []string{"pin 1.4.1", "bad 1.4.2"}, false, ""},
		"through no stop":    {func(w *RollbackWish) { w.ThroughStop = "why" }, Seen{From: "1.4.2"}, nil, gitops.Terms{Reason: "crashes", Passes: kinds{pin, freeze}, RollsBack: "1.4.2", PinUntil: until}, []string{"pin 1.4.1", "bad 1.4.2"}, false, ""},
		"to what is there":   {func(*RollbackWish) {}, Seen{From: "1.4.1"}, nil, gitops.Terms{Reason: "crashes", Passes: kinds{pin, freeze}, PinUntil: until}, []string{"pin 1.4.1"}, true, ""},
		"before a push ends": {func(*RollbackWish) {}, Seen{From: "1.4.1", Open: []gitops.Update{{State: gitops.Pending}}}, nil, gitops.Terms{Reason: "crashes", Passes: kinds{pin, freeze}, PinUntil: until}, []string{"pin 1.4.1"}, false, ""},
		"from nothing known": {func(*RollbackWish) {}, Seen{}, nil, gitops.Terms{}, nil, false, "it is not known which tag api in prod has now"},
		"for too long":       {func(w *RollbackWish) { w.For = 721 * time.Hour }, Seen{From: "1.4.2"}, nil, gitops.Terms{}, nil, false, "for: "},
	} {
		r, err := PlanRollback(back(c.edit), c.seen, ann, limits, holding(c.holds...))
		if (err == nil) != (c.fault == "") || err != nil && !strings.HasPrefix(gitops.PublicOf(err), c.fault) {
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		}
		if err != nil {
			continue
		}
		var places []string
		for _, h := range r.Holds {
			places = append(places, string(h.Kind)+" "+h.Tag)
			if err := gitops.CheckHold(h, friday); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(c.terms, r.Terms) + cmp.Diff(c.places, places); diff != "" || r.Nothing != c.nothing {
			t.Errorf("%s: nothing to write: %t\n%s", name, r.Nothing, diff)
		}
	}
}

func TestPrevious(t *testing.T) {
	past := func(tags ...string) (all []Past) {
		for _, tag := range tags {
			all = append(all, Past{Tag: tag})
		}
		return all
	}
	for name, c := range map[string]struct {
		past     []Past
		complete bool
		want     string
	}{
		"the last":          {past("1.5.0", "1.4.1", "1.4.0"), false, "1.4.1"},
		"that is not bad":   {past("1.5.0", "1.4.2", "1.4.1"), false, "1.4.1"},
		"and another":       {past("1.5.0", "", "1.5.0", "1.4.0"), false, "1.4.0"},
		"of which all are":  {past("1.5.0", "1.4.2", "1.4.2"), true, "! api in prod had 1.4.2 before 1.5.0, and each is marked as bad. Name"},
		"of which is none":  {past("1.5.0"), true, "! api in prod never had another tag than 1.5.0. Name"},
		"that is far away":  {past("1.5.0"), false, "! no other tag of api in prod was found"},
		"without a present": {past(""), true, "! the branch has no tag of api in prod now"},
		"without a file":    {nil, true, "! the branch has no tag of api in prod now"},
	} {
		got, err := Previous("prod", "api", c.past, c.complete, holding(bad))
		if err != nil {
			got = "! " + strings.TrimPrefix(gitops.PublicOf(err), "tag: ")
			if gitops.CodeOf(err) != gitops.Conflict || !strings.Contains(got, "--to TAG") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What is placed with a rollback has its lines of the audit, and each act the command that
// undoes it.
func TestEntriesAndWords(t *testing.T) {
	w := back(func(w *RollbackWish) { w.ThroughStop = "why" })
	r, err := PlanRollback(w, Seen{From: "1.4.2"}, ann, limits, holding(stopped))
	if err != nil {
		t.Fatal(err)
	}
	key := gitops.DeliveryKey{Source: "api", ID: "k"}
	p := r.Placement(w, &gitops.Delivery{Source: "api", ID: "k"}, "u1", ann, key, "access[7]")
	var got []string
	for _, e := range p.Entries {
		got = append(got, strings.Join([]string{string(e.Act), string(e.Right), e.Rule, e.Environment + "/" + e.App, e.Before, e.After, e.Reason, e.Delivery}, " "))
	}
	want := []string{"rollback rollback access[1] prod/api 1.4.2 1.4.1 crashes api/k", "override override access[7] prod/api stop 1.4.1 why api/k"}
	if diff := cmp.Diff(want, got); diff != "" || p.Written != "u1" || p.Entries[0].Update != gitops.UpdateID(key, "prod", "api") {
		t.Error(diff)
	}
	if nothing := r.Placement(w, nil, "", ann, key, ""); nothing.Entries[0].Update != "" || nothing.Entries[0].Delivery != "" {
		t.Errorf("without an order: %+v", nothing.Entries[0])
	}
	decided, err := Order([]gitops.Update{{Environment: "prod", App: "api", Tag: "1.4.2"}, {Environment: "dev", App: "web", Tag: "1"}}, Wishes{Override: "why"}, ann, holding(pinned, bad))
	entries := Overrides(decided, ann, key, func(u gitops.Update) string { return "rule of " + u.App })
	if err != nil || len(entries) != 1 || entries[0].Before != "pin, bad" || entries[0].After != "1.4.2" || entries[0].Reason != "why" || entries[0].Rule != "rule of api" || entries[0].Act != gitops.ActOverride {
		t.Errorf("%+v, %v", entries, err)
	}
	atLeft := pinned
	atLeft.Tag, atLeft.Reason = "1.4.2", "x"
	quoted := pinned
	quoted.Reason = "it's down"
	for want, got := range map[string]string{
		"tallyman unpin api --env prod": Lift(pinned),
		"tallyman thaw h2":              Lift(frozen),
		"tallyman resume h3":            Lift(stopped),
		"tallyman unmark-bad h4":        Lift(bad),
		`tallyman pin api 1.4.1 --env prod --until 2026-11-27T15:00:00Z --reason 'it'\''s down'`: Again(quoted, friday),
		"tallyman freeze --env prod --until 2026-11-27T15:00:00Z --reason 'weekend'":             Again(frozen, friday),
		"tallyman stop": Again(stopped, friday),
		"tallyman mark-bad api 1.4.2 --reason 'crashes'": Again(bad, friday),
		"": Again(pinned, pinned.Until),
		"tallyman unmark-bad api 1.4.2 --env prod && tallyman update api 1.4.2 --env prod --or-hold && tallyman unpin api --env prod": r.Forward("prod", "api", []gitops.Hold{pinned}, friday),
		"tallyman unmark-bad api 1.4.2 --env prod && tallyman pin api 1.4.2 --env prod --until 2026-11-27T15:00:00Z --reason 'x'":     r.Forward("prod", "api", []gitops.Hold{atLeft}, friday),
		"tallyman pin api 1.4.2 --env prod --until 2026-11-27T15:00:00Z --reason 'x'":                                                 Undo(pinned, []gitops.Hold{atLeft}, "1.4.0", friday),
		"tallyman update api 1.4.0 --env prod --or-hold && tallyman unpin api --env prod":                                             Undo(pinned, nil, "1.4.0", friday),
		"tallyman unpin api --env prod ": Undo(pinned, nil, "1.4.1", friday) + " ",
		"tallyman thaw h2 ":              Undo(frozen, nil, "", friday) + " ",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRollbacksThatCannotBe(t *testing.T) {
	for field, edit := range map[string]func(*RollbackWish){
		"environment": func(w *RollbackWish) { w.Environment = "" },
		"app":         func(w *RollbackWish) { w.App = "a/b" },
		"tag":         func(w *RollbackWish) { w.Tag = "latest" },
		"digest":      func(w *RollbackWish) { w.Digest = "sha256:1" },
		"reason":      func(w *RollbackWish) { w.Reason = "" },
		"throughStop": func(w *RollbackWish) { w.ThroughStop = "a\rb" },
		"for":         func(w *RollbackWish) { w.For = -time.Hour },
	} {
		if err := back(edit).Check(); err == nil || !strings.HasPrefix(gitops.PublicOf(err), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := back(func(w *RollbackWish) { w.Tag = "" }).Check(); err != nil {
		t.Error(err)
	}
}

// What a person pastes into a shell is the command that was meant: the reason is one word,
// whatever is in it.
func TestUndoIsPastedIntoAShell(t *testing.T) {
	for _, reason := range []string{"it's down", `$(touch x) "a" \ ` + "`b`" + ` ; rm -rf / # !! \'`, "'; reboot; '", "--dry-run", "-", "ü 😀 *", "&& tallyman stop", `ends with \`} {
		h := frozen
		h.Reason = reason
		out, err := exec.Command("sh", "-c", `tallyman() { printf '%s\n' "$@"; }; `+Again(h, friday)).CombinedOutput()
		want := "freeze\n--env\nprod\n--until\n2026-11-27T15:00:00Z\n--reason\n" + reason + "\n"
		if err != nil || string(out) != want {
			t.Errorf("got %q, want %q, %v", out, want, err)
		}
	}
}
