package gate

import (
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
	pin := gitops.Hold{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1", Actor: "ann", Reason: "incident 4711", Since: monday.Add(-time.Hour), Until: monday.Add(94 * time.Hour)}
	stop := gitops.Hold{Kind: gitops.HoldStop, Environments: []string{"prod"}, Actor: "bo", Since: monday.Add(-time.Minute)}
	everything := gitops.Hold{Kind: gitops.HoldStop, Actor: "bo", Since: monday.Add(-50 * time.Hour)}
	bad := gitops.Hold{Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "1.5.0", Actor: "ann", Reason: "crashes", Since: monday.Add(-30 * 24 * time.Hour)}
	frozen := gitops.Hold{Kind: gitops.HoldFreeze, Environments: []string{"prod"}, Apps: []string{"api", "pay", "web"}, Actor: "cy", Since: monday.Add(-time.Hour), Until: monday.Add(2 * time.Hour)}
	over := pin
	over.Until = monday
	lifted := stop
	lifted.Lifted = &gitops.Lift{}
	saturday := time.Date(2026, 12, 19, 17, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		q     Question
		holds []gitops.Hold
		at    time.Time
		want  []string
	}{
		"nothing":                       {Question{"prod", "api", "1.5.0", nil}, nil, monday, nil},
		"a pin holds other tags":        {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{pin}, monday, []string{"pin: ann pinned 1.4.1 until Fri 12:02 UTC: incident 4711"}},
		"and not its own":               {Question{"prod", "api", "1.4.1", nil}, []gitops.Hold{pin}, monday, nil},
		"nor another app":               {Question{"prod", "web", "1.5.0", nil}, []gitops.Hold{pin}, monday, nil},
		"nor another environment":       {Question{"dev", "api", "1.5.0", nil}, []gitops.Hold{pin}, monday, nil},
		"nor when it has ended":         {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{over}, monday, nil},
		"nor when it was lifted":        {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{lifted}, monday, nil},
		"a stop":                        {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{stop}, monday, []string{"stop: bo stopped prod at 14:01 UTC"}},
		"a stop of everything":          {Question{"dev", "api", "1.5.0", nil}, []gitops.Hold{everything}, monday, []string{"stop: bo stopped everything at Sat 12:02 UTC"}},
		"a bad tag":                     {Question{"dev", "api", "1.5.0", nil}, []gitops.Hold{bad}, monday, []string{"bad: ann marked 1.5.0 as bad at Sat 2026-11-14 14:02 UTC: crashes"}},
		"another tag is not bad":        {Question{"dev", "api", "1.5.1", nil}, []gitops.Hold{bad}, monday, nil},
		"a freeze by hand":              {Question{"prod", "web", "2", nil}, []gitops.Hold{frozen}, monday, []string{"freeze: cy froze api, pay and web in prod until 16:02 UTC"}},
		"all of them, not the first":    {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{pin, stop, bad, frozen}, monday, []string{"pin: ann", "stop: bo", "bad: ann", "freeze: cy"}},
		"an override passes its kind":   {Question{"prod", "api", "1.5.0", []gitops.BlockKind{gitops.BlockPin, gitops.BlockFreeze}}, []gitops.Hold{pin, stop, frozen}, saturday, []string{"stop: bo stopped prod at Mon 14:01 UTC"}},
		"freezes of the configuration":  {Question{"prod", "api", "1.5.0", nil}, nil, saturday, []string{"freeze: freeze weekend until Mon 08:00 Europe/Berlin", "freeze: freeze year-end until Mon 2027-01-04 08:00 Europe/Berlin: nobody is in"}},
		"only where they cover the app": {Question{"dev", "pay", "1.5.0", nil}, nil, saturday, nil},
		"outside of them nothing":       {Question{"prod", "pay", "1.5.0", nil}, nil, monday, nil},
	} {
		var got []string
		for i, b := range Judge(c.q, c.holds, freezes(t, weekend, holiday), c.at) {
			if b.Since.IsZero() || b.Since.After(c.at) || !b.Until.IsZero() && !b.Until.After(c.at) || b.Kind != gitops.BlockStop && b.Kind != gitops.BlockBad && b.Until.IsZero() {
				t.Errorf("%s: since %s until %s", name, b.Since, b.Until)
			}
			text := string(b.Kind) + ": " + b.Reason
			if i < len(c.want) && strings.HasPrefix(text, c.want[i]) {
				text = c.want[i]
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPreview(t *testing.T) {
	f := freezes(t, weekend, holiday)
	var got []string
	for _, c := range f.Preview("prod", "api", monday, monday.AddDate(0, 0, 12)) {
		got = append(got, c.Freeze+" "+c.From.Format("Mon 02 15:04")+" "+c.Until.Format("Mon 02 15:04"))
	}
	want := []string{"weekend Fri 18 15:00 Mon 21 07:00", "year-end Sat 19 17:00 Mon 04 07:00", "weekend Fri 25 15:00 Mon 28 07:00"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	inside := f.Preview("prod", "pay", time.Date(2026, 12, 19, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 20, 0, 0, 0, 0, time.UTC))
	if len(inside) != 1 || inside[0].From.Format("Mon 02 15:04") != "Fri 18 15:00" {
		t.Errorf("what began before: %v", inside)
	}
	if next := f.NextChange(monday); next.Format("Mon 02 15:04") != "Fri 18 15:00" {
		t.Errorf("the next change is at %s", next)
	}
	if next := (*Freezes)(nil).NextChange(monday); !next.IsZero() || (*Freezes)(nil).At("prod", "api", monday) != nil {
		t.Error("none has some")
	}
}

func TestFreezesThatCannotBe(t *testing.T) {
	edited := func(edit func(*FreezeConfig)) FreezeConfig {
		c := weekend
		edit(&c)
		return c
	}
	for says, c := range map[string]FreezeConfig{
		`freezes[0].zone: "Berlin" is not a zone`:           edited(func(c *FreezeConfig) { c.Zone = "Berlin" }),
		`freezes[0].zone: "" is not a zone`:                 edited(func(c *FreezeConfig) { c.Zone = "" }),
		`freezes[0].zone: "Local" is not a zone`:            edited(func(c *FreezeConfig) { c.Zone = "Local" }),
		"freezes[0]: has no windows":                        edited(func(c *FreezeConfig) { c.Weekly = nil }),
		"freezes[0].name: is missing":                       edited(func(c *FreezeConfig) { c.Name = "" }),
		`freezes[0].weekly[0].from: "Friday" is not a week`: edited(func(c *FreezeConfig) { c.Weekly = []Span{{"Friday", "Mon 08:00"}} }),
		"freezes[0].weekly[0]: begins and ends at Fri 16":   edited(func(c *FreezeConfig) { c.Weekly = []Span{{"Fri 16:00", "Friday 16:00"}} }),
		"freezes[0].once[0]: ends at 2026-01-01 00:00, wh":  edited(func(c *FreezeConfig) { c.Once = []Span{{"2026-01-02", "2026-01-01"}} }),
		`freezes[0].once[0].until: "2026-02-30" is not a`:   edited(func(c *FreezeConfig) { c.Once = []Span{{"2026-01-02", "2026-02-30"}} }),
		"freezes[0].weekly: is a freeze at all times of":    edited(func(c *FreezeConfig) { c.Weekly = []Span{{"Mon 00:00", "Fri 00:00"}, {"Thu 12:00", "Mon 00:01"}} }),
	} {
		if _, err := Compile([]FreezeConfig{c}); gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), "invalid: "+says) && !strings.HasPrefix(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
	if _, err := Compile([]FreezeConfig{weekend, weekend}); err == nil || !strings.Contains(err.Error(), `there are two freezes "weekend"`) {
		t.Errorf("two of one name: %v", err)
	}
}
