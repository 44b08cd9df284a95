package gate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

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
	if next := f.NextChange(everyFreeze, monday); next.Format("Mon 02 15:04") != "Fri 18 15:00" {
		t.Errorf("the next change is at %s", next)
	}
	all := func([]string, []string) bool { return true }
	if far := f.Schedule(all, monday, monday.AddDate(8000, 0, 0)); len(far) != 53 || far[1].Freeze != "year-end" || !slices.Equal(far[1].Apps, holiday.Apps) || far[1].Environments != nil {
		t.Errorf("of eight thousand years it shows %d freezes, %v", len(far), far[:2])
	}
	of := func(environments, _ []string) bool { return slices.Contains(environments, "prod") }
	if some := f.Schedule(of, monday, monday.AddDate(0, 0, 12)); len(some) != 2 || some[0].Freeze != "weekend" || some[1].Freeze != "weekend" {
		t.Errorf("of prod alone it shows %v", some)
	}
	if next := (*Freezes)(nil).NextChange(everyFreeze, monday); !next.IsZero() || (*Freezes)(nil).At("prod", "api", monday) != nil {
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
		"freezes[0].once[0]: lasts for more than 366 days":  edited(func(c *FreezeConfig) { c.Once = []Span{{"2026-01-01", "2099-01-01"}} }),
		"freezes[0].reason: must be one line":               edited(func(c *FreezeConfig) { c.Reason = "one\ntwo" }),
		"freezes[0].reason: must be one line of up to 200":  edited(func(c *FreezeConfig) { c.Reason = strings.Repeat("long", 51) }),
		"freezes[0].weekly[0]: begins and ends at Sun 00":   edited(func(c *FreezeConfig) { c.Weekly = []Span{{"Sun 00:00", "Sat 24:00"}} }),
		"freezes[0].weekly: is a freeze at all times of":    edited(func(c *FreezeConfig) { c.Weekly = []Span{{"Mon 00:00", "Fri 00:00"}, {"Thu 12:00", "Mon 00:01"}} }),
	} {
		if _, err := Compile([]FreezeConfig{c}); gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), "invalid: "+says) && !strings.HasPrefix(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
	minute := edited(func(c *FreezeConfig) { c.Weekly = []Span{{"Mon 00:00", "Fri 00:00"}, {"Fri 00:01", "Mon 00:00"}} })
	if _, err := Compile([]FreezeConfig{minute}); err != nil {
		t.Errorf("all of the week but a minute: %v", err)
	}
	if _, err := Compile([]FreezeConfig{weekend, weekend}); err == nil || !strings.Contains(err.Error(), `there are two freezes "weekend"`) {
		t.Errorf("two of one name: %v", err)
	}
}

// A changed freeze is another for the environments that it covers, whichever apps it is of.
func TestFingerprint(t *testing.T) {
	moved, later := holiday, holiday
	moved.Field, later.Once = "freezes[0]", []Span{{"2026-12-19 18:00", "2027-01-05 08:00"}}
	one := freezes(t, holiday)
	for _, environment := range []string{"prod", "dev"} {
		if one.Fingerprint(environment) == freezes(t, later).Fingerprint(environment) {
			t.Errorf("%s: with another end it is the same", environment)
		}
		if one.Fingerprint(environment) != freezes(t, moved).Fingerprint(environment) {
			t.Errorf("%s: in another place it is another", environment)
		}
	}
	if freezes(t, weekend).Fingerprint("dev") != "" || freezes(t, weekend).Fingerprint("prod") == "" {
		t.Error("a freeze of prod is one of dev")
	}
}

func everyFreeze([]string, []string) bool { return true }
