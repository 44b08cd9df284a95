package acts

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var (
	friday = time.Date(2026, 11, 27, 14, 0, 0, 0, time.UTC)
	limits = Limits{PinFor: 72 * time.Hour, PinAtMost: 720 * time.Hour}
	ann    = By{Principal: gitops.Principal{Token: "ann"}, Rule: "access[1]"}
	aJob   = By{Principal: gitops.Principal{Job: &gitops.Job{Issuer: "https://issuer", RepositoryID: "17"}}}

	pinned  = gitops.Hold{ID: "h1", Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1", Principal: "token:bo", Actor: "token:bo", Reason: "incident", Since: friday.Add(-time.Hour), Until: friday.Add(time.Hour)}
	frozen  = gitops.Hold{ID: "h2", Kind: gitops.HoldFreeze, Environments: []string{"prod"}, Actor: "token:bo", Reason: "weekend", Since: friday.Add(-time.Hour), Until: friday.Add(time.Hour)}
	stopped = gitops.Hold{ID: "h3", Kind: gitops.HoldStop, Actor: "token:bo", Since: friday.Add(-time.Hour)}
	bad     = gitops.Hold{ID: "h4", Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "1.4.2", Actor: "token:bo", Reason: "crashes", Since: friday.Add(-time.Hour)}
)

func holding(holds ...gitops.Hold) State {
	return State{InForce: queue.InForce{Holds: holds, At: friday}}
}

// kindsOf are the kinds that an act was refused for, nil for none.
func kindsOf(err error) []gitops.BlockKind {
	var b *Blocked
	if !errors.As(err, &b) {
		return nil
	}
	return kinds(b.BlockedBy)
}

// What an order that meets each hold becomes, by what it wishes: refused for what is left,
// or accepted with what it passes. Automation is never refused.
func TestOrder(t *testing.T) {
	all := []gitops.Hold{pinned, frozen, stopped, bad}
	pin, freeze, stop, mark := gitops.BlockPin, gitops.BlockFreeze, gitops.BlockStop, gitops.BlockBad
	type kinds = []gitops.BlockKind
	for name, c := range map[string]struct {
		by      By
		tag     string
		wishes  Wishes
		holds   []gitops.Hold
		refused kinds
		terms   *gitops.Terms
		held    kinds // of what is accepted
	}{
		"nothing holds":                       {ann, "1.5.0", Wishes{}, nil, nil, nil, nil},
		"a reason":                            {ann, "1.5.0", Wishes{Reason: "r"}, nil, nil, &gitops.Terms{Reason: "r"}, nil},
		"a pin":                               {ann, "1.5.0", Wishes{}, []gitops.Hold{pinned}, kinds{pin}, nil, nil},
		"a pin's own tag":                     {ann, "1.4.1", Wishes{}, []gitops.Hold{pinned}, nil, nil, nil},
		"everything, not the first":           {ann, "1.4.2", Wishes{}, all, kinds{pin, freeze, stop, mark}, nil, nil},
		"it is to wait":                       {ann, "1.4.2", Wishes{OrHold: true, Reason: "r"}, all, nil, &gitops.Terms{Reason: "r"}, kinds{pin, freeze, stop, mark}},
		"an override":                         {ann, "1.4.2", Wishes{Override: "why"}, []gitops.Hold{pinned, frozen, bad}, nil, &gitops.Terms{Passes: kinds{pin, freeze, mark}, Override: "why"}, nil},
		"an override passes no stop":          {ann, "1.4.2", Wishes{Override: "why"}, all, kinds{stop}, nil, nil},
		"through a stop":                      {ann, "1.4.2", Wishes{ThroughStop: "why"}, all, nil, &gitops.Terms{Passes: kinds{pin, freeze, stop, mark}, Override: "why"}, nil},
		"an override of nothing is a reason":  {ann, "1.5.0", Wishes{Override: "why"}, nil, nil, &gitops.Terms{Reason: "why"}, nil},
		"a job waits without being asked":     {aJob, "1.4.2", Wishes{}, all, nil, nil, kinds{pin, freeze, stop, mark}},
		"what is over holds nothing any more": {ann, "1.5.0", Wishes{}, []gitops.Hold{{Kind: gitops.HoldFreeze, Actor: "token:bo", Until: friday}}, nil, nil, nil},
	} {
		updates := []gitops.Update{{Environment: "prod", App: "api", Tag: c.tag}}
		decided, err := Order(updates, c.wishes, c.by, holding(c.holds...))
		if diff := cmp.Diff(c.refused, kindsOf(err)); diff != "" || (err != nil) != (c.refused != nil) || err != nil && gitops.CodeOf(err) != gitops.Conflict {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(c.terms, decided[0].Terms); diff != "" {
			t.Errorf("%s: its terms:\n%s", name, diff)
		}
		var held kinds
		for _, b := range decided[0].BlockedBy {
			held = append(held, b.Kind)
		}
		if diff := cmp.Diff(c.held, held); diff != "" || updates[0].Terms != nil {
			t.Errorf("%s: held by\n%s", name, diff)
		}
	}
	_, err := Order([]gitops.Update{{Environment: "dev", App: "web", Tag: "1"}, {Environment: "prod", App: "api", Tag: "1"}, {Environment: "prod", App: "web", Tag: "1"}}, Wishes{}, ann, holding(pinned, frozen))
	if len(kindsOf(err)) != 2 || !strings.HasPrefix(err.Error(), "api in prod is held: bo pinned 1.4.1") || !strings.Contains(err.Error(), "(--or-hold)") || !strings.Contains(err.Error(), "(--override REASON)") {
		t.Errorf("of several: %v", err)
	}
	many := []gitops.Hold{frozen, stopped}
	for i := range 100 {
		mark := bad
		mark.Reason = strings.Repeat("x", i)
		many = append(many, mark)
	}
	var told *Blocked
	if _, err := Order([]gitops.Update{{Environment: "prod", App: "api", Tag: "1.4.2"}, {Environment: "prod", App: "web", Tag: "1"}}, Wishes{}, ann, holding(many...)); !errors.As(err, &told) || len(told.BlockedBy) != 27 || len(told.Error()) > 2000 {
		t.Errorf("of many: %v", err)
	}
	if _, err := Order([]gitops.Update{{Environment: "prod", App: "api", Tag: "1"}}, Wishes{}, ann, holding(stopped)); err == nil || !strings.Contains(err.Error(), "(--through-stop REASON)") {
		t.Errorf("of a stop: %v", err)
	}
}

func TestWishesThatAreRefused(t *testing.T) {
	for field, w := range map[string]Wishes{
		"orHold":      {OrHold: true, Override: "x"},
		"override":    {Override: "two\nlines"},
		"throughStop": {ThroughStop: strings.Repeat("x", 501)},
		"reason":      {Reason: "\u2028"},
	} {
		var e *gitops.Error
		if err := w.Check(); !errors.As(err, &e) || e.Field != field || e.Code != gitops.Invalid {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (Wishes{Override: "why", Reason: "r"}).Check(); err != nil || !(Wishes{}).None() {
		t.Error(err)
	}
}

// Each kind of hold has what it needs and nothing that says nothing for it.
func TestHold(t *testing.T) {
	prod, api := []string{"prod"}, []string{"api"}
	for name, c := range map[string]struct {
		w     HoldWish
		holds []gitops.Hold
		until time.Time
		fault string // of the form, or of what is known
	}{
		"a pin":                      {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: api, Tag: "1", Reason: "r"}, nil, friday.Add(72 * time.Hour), ""},
		"a pin for a day":            {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: api, Tag: "1", Reason: "r", For: 24 * time.Hour}, nil, friday.Add(24 * time.Hour), ""},
		"a pin for too long":         {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: api, Tag: "1", Reason: "r", For: 721 * time.Hour}, nil, friday, "for: 2026-12-27T15:00:00Z is in 721h: a pin lasts for up to 720h (holds.pinAtMost)"},
		"a pin until yesterday":      {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: api, Tag: "1", Reason: "r", Until: friday.Add(-time.Hour)}, nil, friday, "until: 2026-11-27T13:00:00Z is not after now"},
		"a pin at a bad tag":         {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: api, Tag: "1.4.2", Reason: "r"}, []gitops.Hold{bad}, friday, "api in prod at 1.4.2 is held: bo marked 1.4.2 as bad"},
		"a pin of two apps":          {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: []string{"api", "web"}, Tag: "1", Reason: "r"}, nil, friday, "apps: "},
		"a pin everywhere":           {HoldWish{Kind: gitops.HoldPin, Apps: api, Tag: "1", Reason: "r"}, nil, friday, "environments: "},
		"a pin without a reason":     {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: api, Tag: "1"}, nil, friday, "reason: is missing"},
		"a pin without a tag":        {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: api, Reason: "r"}, nil, friday, "tag: is missing"},
		"a pin with two ends":        {HoldWish{Kind: gitops.HoldPin, Environments: prod, Apps: api, Tag: "1", Reason: "r", For: time.Hour, Until: friday.Add(time.Hour)}, nil, friday, "for: must not stand beside until"},
		"a freeze":                   {HoldWish{Kind: gitops.HoldFreeze, Environments: []string{"prod", "dev"}, Reason: "r", Until: friday.Add(time.Hour)}, nil, friday.Add(time.Hour), ""},
		"a freeze without an end":    {HoldWish{Kind: gitops.HoldFreeze, Environments: prod, Reason: "r"}, nil, friday, "until: is missing: a freeze ends"},
		"a freeze of everything":     {HoldWish{Kind: gitops.HoldFreeze, Reason: "r", For: time.Hour}, nil, friday, "environments: is missing"},
		"a freeze for years":         {HoldWish{Kind: gitops.HoldFreeze, Apps: api, Reason: "r", For: 9000 * time.Hour}, nil, friday, "for: "},
		"a freeze of a tag":          {HoldWish{Kind: gitops.HoldFreeze, Apps: api, Tag: "1", Reason: "r", For: time.Hour}, nil, friday, "tag: "},
		"a stop of everything":       {HoldWish{Kind: gitops.HoldStop}, nil, time.Time{}, ""},
		"a stop with an end":         {HoldWish{Kind: gitops.HoldStop, For: time.Hour}, nil, friday, "for: a hold of kind stop has no end"},
		"a bad mark":                 {HoldWish{Kind: gitops.HoldBad, Apps: api, Tag: "1.4.2", Reason: "r"}, nil, time.Time{}, ""},
		"a bad mark of no app":       {HoldWish{Kind: gitops.HoldBad, Tag: "1.4.2", Reason: "r"}, nil, friday, "apps: "},
		"a name that cannot be":      {HoldWish{Kind: gitops.HoldStop, Environments: []string{"../x"}}, nil, friday, "environments: "},
		"a name twice":               {HoldWish{Kind: gitops.HoldStop, Environments: []string{"prod", "prod"}}, nil, friday, "environments: names prod twice"},
		"another kind":               {HoldWish{Kind: "lock"}, nil, friday, `kind: must be pin, freeze, stop or bad, not "lock"`},
		"a reason of several lines":  {HoldWish{Kind: gitops.HoldStop, Reason: "a\nTallyman-Actor: token:root"}, nil, friday, "reason: "},
		"more names than it may say": {HoldWish{Kind: gitops.HoldStop, Apps: make([]string, 101)}, nil, friday, "apps: has 101 names"},
	} {
		err := c.w.Check()
		var h gitops.Hold
		if err == nil {
			h, err = Hold(c.w, ann, limits, holding(c.holds...))
		}
		switch {
		case (err == nil) != (c.fault == "") || err != nil && !strings.HasPrefix(gitops.PublicOf(err), c.fault):
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		case err == nil && (!h.Until.Equal(c.until) || h.Actor != "token:ann" || h.Rule != "access[1]" || gitops.CheckHold(h, friday) != nil):
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestReplaced(t *testing.T) {
	other := pinned
	other.Tag = "1.3.0"
	over := pinned
	over.Until = friday
	if got := Replaced([]gitops.Hold{other}, holding(frozen, over, pinned)); len(got) != 1 || got[0].ID != "h1" {
		t.Errorf("%+v", got)
	}
	pending := []gitops.Update{{State: gitops.Pending}}
	for _, c := range []struct {
		branch string
		open   []gitops.Update
		want   bool
	}{{"1.4.1", nil, false}, {"1.4.2", nil, true}, {"", nil, true}, {"1.4.1", pending, true}} {
		if NeedsOrder(pinned, c.branch, c.open) != c.want {
			t.Errorf("%+v", c)
		}
	}
}

// Whoever may place holds of an app alone fills no room that a stop or a rollback needs.
func TestRoomForIncidents(t *testing.T) {
	s := holding(make([]gitops.Hold, queue.MaxHolds-500)...)
	for _, kind := range gitops.HoldKinds() {
		w := HoldWish{Kind: kind, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1"}
		if kind == gitops.HoldFreeze {
			w.For = time.Hour
		}
		l := Limits{PinFor: time.Hour, PinAtMost: 2 * time.Hour}
		if _, err := Hold(w, ann, l, s); (err == nil) != (kind == gitops.HoldStop) || err != nil && gitops.CodeOf(err) != gitops.TooLarge {
			t.Errorf("%s: %v", kind, err)
		}
		s := holding(make([]gitops.Hold, queue.MaxHolds-501)...)
		if _, err := Hold(w, ann, l, s); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A hold does not end before the time that was asked for.
func TestAnEndIsNoEarlier(t *testing.T) {
	limits := Limits{PinFor: time.Hour, PinAtMost: 2 * time.Hour}
	now := time.Date(2026, 11, 27, 12, 0, 0, 300_000_000, time.UTC)
	for _, lasts := range []time.Duration{time.Second, 1001 * time.Millisecond, 90 * time.Minute, 2 * time.Hour} {
		for name, until := range map[string]time.Time{"until a time": now.Add(lasts), "for a while": {}} {
			end, err := End(gitops.HoldPin, until, lasts, limits, now)
			if early := now.Add(lasts).Sub(end); err != nil || early > 0 || early <= -time.Second || end.Nanosecond() != 0 {
				t.Errorf("%s, %s: it ends %s early, at %s, %v", name, lasts, early, end, err)
			}
		}
	}
}
