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
		"nothing":                       {Question{"prod", "api", "1.5.0", nil}, nil, monday, nil},
		"a pin holds other tags":        {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{pin}, monday, []string{"pin: ann pinned 1.4.1 until Fri 12:02 UTC: incident 4711"}},
		"of six days":                   {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{far}, monday, []string{"pin: ann pinned 1.4.1 until Sun 2026-12-20 13:02 UTC: incident 4711"}},
		"its words stay as they are":    {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{far}, monday.AddDate(0, 0, 3), []string{"pin: ann pinned 1.4.1 until Sun 2026-12-20 13:02 UTC: incident 4711"}},
		"of an edit by hand":            {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{byHand}, monday, []string{"pin: git:ann pinned 1.4.1 until Fri 12:02 UTC: incident 4711"}},
		"and not its own":               {Question{"prod", "api", "1.4.1", nil}, []gitops.Hold{pin}, monday, nil},
		"nor another app":               {Question{"prod", "web", "1.5.0", nil}, []gitops.Hold{pin}, monday, nil},
		"nor another environment":       {Question{"dev", "api", "1.5.0", nil}, []gitops.Hold{pin}, monday, nil},
		"nor when it has ended":         {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{over}, monday, nil},
		"nor when it was lifted":        {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{lifted}, monday, nil},
		"a stop":                        {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{stop}, monday, []string{"stop: bo stopped prod on Mon 2026-12-14 at 14:01 UTC"}},
		"a stop of everything":          {Question{"dev", "api", "1.5.0", nil}, []gitops.Hold{everything}, monday, []string{"stop: bo stopped everything on Sat 2026-12-12 at 12:02 UTC: incident"}},
		"a bad tag":                     {Question{"dev", "api", "1.5.0", nil}, []gitops.Hold{bad}, monday, []string{"bad: ann marked 1.5.0 as bad on Sat 2026-11-14 at 14:02 UTC: crashes"}},
		"another tag is not bad":        {Question{"dev", "api", "1.5.1", nil}, []gitops.Hold{bad}, monday, nil},
		"a freeze by hand":              {Question{"prod", "web", "2", nil}, []gitops.Hold{frozen}, monday, []string{"freeze: cy froze api, pay and web in prod until Mon 16:02 UTC"}},
		"of many":                       {Question{"prod", "e", "2", nil}, []gitops.Hold{many}, monday, []string{"freeze: cy froze a, api, b, c and 3 more in prod until Mon 16:02 UTC"}},
		"all of them, not the first":    {Question{"prod", "api", "1.5.0", nil}, []gitops.Hold{pin, stop, bad, frozen}, monday, []string{"pin: ann", "stop: bo", "bad: ann", "freeze: cy"}},
		"an override passes its kind":   {Question{"prod", "api", "1.5.0", all}, []gitops.Hold{pin, stop, frozen}, saturday, []string{"stop: bo stopped prod on Mon 2026-12-14 at 14:01 UTC"}},
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
