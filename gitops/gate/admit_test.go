package gate

import (
	"slices"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// A person's order is told what holds it and how to order it all the same, and passes what
// the person says.
func TestAdmit(t *testing.T) {
	since := time.Date(2026, 11, 27, 14, 2, 0, 0, time.UTC)
	now := since.Add(time.Minute)
	pin := gitops.Hold{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1", Actor: "token:ann", Reason: "incident 4711", Since: since, Until: since.Add(72 * time.Hour)}
	stop := gitops.Hold{Kind: gitops.HoldStop, Environments: []string{"prod"}, Actor: "token:bo", Since: since}
	bad := gitops.Hold{Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "1.5.0", Actor: "token:cy", Reason: "crashes", Since: since}
	q := Question{Environment: "prod", App: "api", Tag: "1.5.0"}
	kinds := func(k ...gitops.BlockKind) []gitops.BlockKind { return k }
	for name, c := range map[string]struct {
		holds  []gitops.Hold
		wish   Wish
		passes []gitops.BlockKind
		says   string
	}{
		"nothing holds it":          {nil, Wish{Override: "x"}, nil, ""},
		"a pin":                     {[]gitops.Hold{pin}, Wish{}, nil, "api in prod is held: ann pinned 1.4.1 until Mon 14:02 UTC: incident 4711. Nothing was stored: to have 1.5.0 wait, order it with orHold (--or-hold); to write it all the same, with override (--override REASON)"},
		"a pin, and it waits":       {[]gitops.Hold{pin}, Wish{OrHold: true}, nil, ""},
		"a pin is passed":           {[]gitops.Hold{pin, pin}, Wish{Override: "x"}, kinds(gitops.BlockPin), ""},
		"a stop":                    {[]gitops.Hold{stop}, Wish{}, nil, "api in prod is held: bo stopped prod on Fri 2026-11-27 at 14:02 UTC. Nothing was stored: to have 1.5.0 wait, order it with orHold (--or-hold); to write it all the same, with throughStop (--through-stop REASON)"},
		"a stop is not overridden":  {[]gitops.Hold{pin, stop}, Wish{Override: "x"}, nil, "api in prod is held: bo stopped prod on Fri 2026-11-27 at 14:02 UTC. Nothing was stored: to have 1.5.0 wait, order it with orHold (--or-hold); to write it all the same, with throughStop (--through-stop REASON)"},
		"past the pin, it waits":    {[]gitops.Hold{pin, stop}, Wish{Override: "x", OrHold: true}, kinds(gitops.BlockPin), ""},
		"past a stop, past a pin":   {[]gitops.Hold{pin, stop, bad}, Wish{ThroughStop: "x"}, kinds(gitops.BlockPin, gitops.BlockStop, gitops.BlockBad), ""},
		"a bad tag":                 {[]gitops.Hold{bad}, Wish{}, nil, "api in prod is held: cy marked 1.5.0 as bad on Fri 2026-11-27 at 14:02 UTC: crashes. Nothing was stored: to have 1.5.0 wait, order it with orHold (--or-hold); to write it all the same, with override (--override REASON)"},
		"a bad tag is passed":       {[]gitops.Hold{bad}, Wish{Override: "x"}, kinds(gitops.BlockBad), ""},
		"all that holds it is said": {[]gitops.Hold{pin, bad}, Wish{}, nil, "api in prod is held: ann pinned 1.4.1 until Mon 14:02 UTC: incident 4711; cy marked 1.5.0 as bad on Fri 2026-11-27 at 14:02 UTC: crashes. Nothing was stored: to have 1.5.0 wait, order it with orHold (--or-hold); to write it all the same, with override (--override REASON)"},
	} {
		passes, err := Admit(q, Judge(q, c.holds, nil, now), c.wish)
		checkAdmitted(t, name, passes, err, c.passes, c.says)
	}
	for name, c := range map[string]struct {
		holds       []gitops.Hold
		throughStop string
		passes      []gitops.BlockKind
		says        string
	}{
		"back, past a pin":           {[]gitops.Hold{pin}, "", kinds(gitops.BlockPin, gitops.BlockFreeze), ""},
		"back, what comes is passed": {nil, "", kinds(gitops.BlockPin, gitops.BlockFreeze), ""},
		"back, in a stop":            {[]gitops.Hold{stop}, "", nil, "api in prod is held: bo stopped prod on Fri 2026-11-27 at 14:02 UTC. Nothing was stored: to go back to 1.5.0 all the same, ask with throughStop (--through-stop REASON)"},
		"back, through a stop":       {[]gitops.Hold{stop}, "x", kinds(gitops.BlockPin, gitops.BlockFreeze, gitops.BlockStop), ""},
		"back to a bad tag":          {[]gitops.Hold{bad}, "x", nil, "cy marked 1.5.0 as bad on Fri 2026-11-27 at 14:02 UTC: crashes. Nothing was stored: a rollback does not go to a bad tag. Name another, or lift the mark first: tallyman unmark-bad api 1.5.0"},
	} {
		passes, err := AdmitRollback(q, Judge(q, c.holds, nil, now), c.throughStop)
		checkAdmitted(t, name, passes, err, c.passes, c.says)
	}
}

func checkAdmitted(t *testing.T, name string, passes []gitops.BlockKind, err error, want []gitops.BlockKind, says string) {
	t.Helper()
	if (err == nil) != (says == "") || err != nil && (gitops.CodeOf(err) != gitops.Conflict || err.Error() != says) || !slices.Equal(passes, want) {
		t.Errorf("%s: passes %q, want %q; got %v\nwant %s", name, passes, want, err, says)
	}
}
