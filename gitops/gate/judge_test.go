package gate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// monday is in winter, when clocks in Berlin are an hour ahead.
var monday = time.Date(2026, 12, 14, 14, 2, 0, 0, time.UTC)

func freezes(t *testing.T, all ...FreezeConfig) *Freezes {
	t.Helper()
	f, err := Compile(all)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	weekend = FreezeConfig{Field: "freezes[0]", Name: "weekend", Environments: []string{"prod"}, Zone: "Europe/Berlin", Weekly: []Span{{"Fri 16:00", "Mon 08:00"}}}
	holiday = FreezeConfig{Field: "freezes[1]", Name: "year-end", Apps: []string{"api", "web"}, Zone: "Europe/Berlin", Reason: "nobody is in",
		Once: []Span{{"2026-12-19 18:00", "2027-01-04 08:00"}}}
)

// Every hold and freeze that covers an update keeps it, in these words, and each says
// until when.
func TestJudge(t *testing.T) {
	pin := gitops.Hold{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1", Actor: "token:ann", Reason: "incident 4711", Since: monday.Add(-time.Hour), Until: monday.Add(94 * time.Hour)}
	far := pin
	far.Until = pin.Since.AddDate(0, 0, 6)
	byHand := pin
	byHand.Actor = "git:ann"
	stop := gitops.Hold{Kind: gitops.HoldStop, Environments: []string{"prod"}, Actor: "token:bo", Since: monday.Add(-time.Minute)}
	everything := gitops.Hold{Kind: gitops.HoldStop, Actor: "bo", Reason: "incident", Since: monday.Add(-50 * time.Hour)}
	bad := gitops.Hold{Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "1.5.0", Actor: "ann", Reason: "crashes", Since: monday.Add(-30 * 24 * time.Hour)}
	frozen := gitops.Hold{Kind: gitops.HoldFreeze, Environments: []string{"prod"}, Apps: []string{"api", "pay", "web"}, Actor: "cy", Since: monday.Add(-time.Hour), Until: monday.Add(2 * time.Hour)}
	many := frozen
	many.Apps = []string{"a", "api", "b", "c", "d", "e", "f"}
	over := pin
	over.Until = monday
	lifted := stop
	lifted.Lifted = &gitops.Lift{}
	saturday := time.Date(2026, 12, 19, 17, 0, 0, 0, time.UTC)
	all := []gitops.BlockKind{gitops.BlockPin, gitops.BlockFreeze}
	for name, c := range map[string]struct {
		q     Question
		holds []gitops.Hold
		at    time.Time
		want  []string
	}{
		"nothing":                       {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, nil, monday, nil},
		"a pin holds other tags":        {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, []gitops.Hold{pin}, monday, []string{"pin: ann pinned 1.4.1 until Fri 12:02 UTC: incident 4711"}},
		"of six days":                   {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, []gitops.Hold{far}, monday, []string{"pin: ann pinned 1.4.1 until Sun 2026-12-20 13:02 UTC: incident 4711"}},
		"its words stay as they are":    {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, []gitops.Hold{far}, monday.AddDate(0, 0, 3), []string{"pin: ann pinned 1.4.1 until Sun 2026-12-20 13:02 UTC: incident 4711"}},
		"of an edit by hand":            {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, []gitops.Hold{byHand}, monday, []string{"pin: git:ann pinned 1.4.1 until Fri 12:02 UTC: incident 4711"}},
		"and not its own":               {Question{Environment: "prod", App: "api", Tag: "1.4.1"}, []gitops.Hold{pin}, monday, nil},
		"nor another app":               {Question{Environment: "prod", App: "web", Tag: "1.5.0"}, []gitops.Hold{pin}, monday, nil},
		"nor another environment":       {Question{Environment: "dev", App: "api", Tag: "1.5.0"}, []gitops.Hold{pin}, monday, nil},
		"nor when it has ended":         {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, []gitops.Hold{over}, monday, nil},
		"nor when it was lifted":        {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, []gitops.Hold{lifted}, monday, nil},
		"a stop":                        {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, []gitops.Hold{stop}, monday, []string{"stop: bo stopped prod on Mon 2026-12-14 at 14:01 UTC"}},
		"a stop of everything":          {Question{Environment: "dev", App: "api", Tag: "1.5.0"}, []gitops.Hold{everything}, monday, []string{"stop: bo stopped everything on Sat 2026-12-12 at 12:02 UTC: incident"}},
		"a bad tag":                     {Question{Environment: "dev", App: "api", Tag: "1.5.0"}, []gitops.Hold{bad}, monday, []string{"bad: ann marked 1.5.0 as bad on Sat 2026-11-14 at 14:02 UTC: crashes"}},
		"another tag is not bad":        {Question{Environment: "dev", App: "api", Tag: "1.5.1"}, []gitops.Hold{bad}, monday, nil},
		"a freeze by hand":              {Question{Environment: "prod", App: "web", Tag: "2"}, []gitops.Hold{frozen}, monday, []string{"freeze: cy froze api, pay and web in prod until Mon 16:02 UTC"}},
		"of many":                       {Question{Environment: "prod", App: "e", Tag: "2"}, []gitops.Hold{many}, monday, []string{"freeze: cy froze a, api, b, c and 3 more in prod until Mon 16:02 UTC"}},
		"all of them, not the first":    {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, []gitops.Hold{pin, stop, bad, frozen}, monday, []string{"pin: ann", "stop: bo", "bad: ann", "freeze: cy"}},
		"an override passes its kind":   {Question{Environment: "prod", App: "api", Tag: "1.5.0", Passes: all}, []gitops.Hold{pin, stop, frozen}, saturday, []string{"stop: bo stopped prod on Mon 2026-12-14 at 14:01 UTC"}},
		"freezes of the configuration":  {Question{Environment: "prod", App: "api", Tag: "1.5.0"}, nil, saturday, []string{"freeze: freeze weekend until Mon 08:00 Europe/Berlin", "freeze: freeze year-end until Mon 2027-01-04 08:00 Europe/Berlin: nobody is in"}},
		"only where they cover the app": {Question{Environment: "dev", App: "pay", Tag: "1.5.0"}, nil, saturday, nil},
		"outside of them nothing":       {Question{Environment: "prod", App: "pay", Tag: "1.5.0"}, nil, monday, nil},
	} {
		var got []string
		for i, b := range Judge(c.q, c.holds, freezes(t, weekend, holiday), c.at) {
			if b.Since.IsZero() || b.Since.After(c.at) || !b.Until.IsZero() && !b.Until.After(c.at) || b.Kind != gitops.BlockStop && b.Kind != gitops.BlockBad && b.Until.IsZero() {
				t.Errorf("%s: since %s until %s", name, b.Since, b.Until)
			}
			text := string(b.Kind) + ": " + b.Reason
			if len(c.want) > 2 && i < len(c.want) && strings.HasPrefix(text, c.want[i]) {
				text = c.want[i]
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// An order passes what there was when it was accepted, however late it is written, or
// retried: a pin, a stop or a bad mark that came later is the newer word. Freezes it passes
// whenever they began.
func TestWhatCameAfterAnOrder(t *testing.T) {
	later := monday.Add(time.Hour)
	order := gitops.Update{
		Environment: "prod", App: "api", Tag: "1.5.0", AcceptedAt: monday,
		Terms: &gitops.Terms{Passes: []gitops.BlockKind{gitops.BlockPin, gitops.BlockFreeze, gitops.BlockStop, gitops.BlockBad}},
	}
	for _, h := range []gitops.Hold{
		{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1", Until: later.Add(time.Hour)},
		{Kind: gitops.HoldFreeze, Environments: []string{"prod"}, Until: later.Add(time.Hour)},
		{Kind: gitops.HoldStop},
		{Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "1.5.0"},
	} {
		for since, holds := range map[time.Time]bool{monday.Add(-time.Second): false, monday: false, monday.Add(time.Microsecond): h.Kind != gitops.HoldFreeze} {
			h.Since = since
			if got := len(Judge(About(order), []gitops.Hold{h}, nil, later)) > 0; got != holds {
				t.Errorf("a %s %s after the order: held is %t", h.Kind, since.Sub(monday), got)
			}
		}
	}
	planned := order
	planned.AcceptedAt = time.Time{}
	if got := Judge(About(planned), []gitops.Hold{{Kind: gitops.HoldStop, Since: monday}}, nil, later); got != nil {
		t.Errorf("an order that is only planned: %+v", got)
	}
}

// Of very many blocks those that last longest stand for all: of each kind some, in their
// order, until when all of them last.
func TestLongest(t *testing.T) {
	var blocks []gitops.Block
	for i := range 1000 {
		kind := []gitops.BlockKind{gitops.BlockFreeze, gitops.BlockPin, gitops.BlockStop}[i%3]
		b := gitops.Block{Kind: kind, Reason: strings.Repeat("x", i), Until: monday.Add(time.Duration(i*7919%1000) * time.Minute)}
		if kind == gitops.BlockStop {
			b.Until = time.Time{}
		}
		blocks = append(blocks, b)
	}
	for n, some := range [][]gitops.Block{blocks, blocks[:2], blocks[:5], nil} {
		of, last := make(map[gitops.BlockKind]int), -1
		longest := Longest(some, 3)
		for _, b := range longest {
			if of[b.Kind]++; len(b.Reason) <= last || of[b.Kind] > 3 {
				t.Errorf("%d: %d of kind %s, and they are not in their order", n, of[b.Kind], b.Kind)
			}
			last = len(b.Reason)
		}
		for _, kind := range gitops.BlockKinds() {
			is := func(b gitops.Block) bool { return b.Kind == kind }
			others := func(b gitops.Block) bool { return b.Kind != kind }
			want, byItself := gitops.BlockedUntil(slices.DeleteFunc(slices.Clone(some), others))
			if got, ends := gitops.BlockedUntil(slices.DeleteFunc(slices.Clone(longest), others)); !got.Equal(want) || ends != byItself || slices.ContainsFunc(some, is) != slices.ContainsFunc(longest, is) {
				t.Errorf("%d: of kind %s they last until %s, %t; want %s, %t", n, kind, got, ends, want, byItself)
			}
		}
	}
}
