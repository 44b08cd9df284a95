package gate

import (
	"strings"
	"testing"
	"time"
)

// What is a time of the week is written back so that it is the same.
func FuzzParseWeekTime(f *testing.F) {
	for _, text := range []string{"Fri 16:00", "saturday 24:00", "Sun 00:00", "Fri 16:60", "Fri +4:00", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := ParseWeekTime("from", text)
		if err != nil {
			return
		}
		if again, err := ParseWeekTime("from", at.String()); err != nil || again != at || at < 0 || at >= week {
			t.Errorf("%q is %s, which is %s: %v", text, at, again, err)
		}
	})
}

// What is a date is written back so that it is the same.
func FuzzParseDate(f *testing.F) {
	for _, text := range []string{"2026-12-19 18:00", "2026-12-19", "0000-01-01", "2028-02-29 24:00", "2026-02-30", "2026-12-19 18"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := ParseDate("from", text)
		if err != nil || strings.HasPrefix(text, "9999-12-31 24") { // which is in a year of five digits
			return
		}
		if again, err := ParseDate("from", at.String()); err != nil || again != at {
			t.Errorf("%q is %s, which is %s: %v", text, at, again, err)
		}
	})
}

// A freeze that compiles holds at some times and at others not, and what it shows is in
// order and bounded.
func FuzzCompile(f *testing.F) {
	f.Add("Europe/Berlin", "Fri 16:00", "Mon 08:00", "2026-12-19 18:00", "2027-01-04 08:00")
	f.Add("UTC", "Mon 00:00", "Sun 24:00", "2026-12-19", "2099-01-01")
	f.Add("Africa/Casablanca", "Sun 02:00", "Sun 03:00", "0000-01-01", "0000-01-02")
	f.Add("Pacific/Apia", "Sun 00:00", "Sat 23:59", "9999-12-31", "9999-12-31 24:00")
	f.Fuzz(func(t *testing.T, zone, from, until, onceFrom, onceUntil string) {
		all, err := Compile([]FreezeConfig{{Field: "freezes[0]", Name: "one", Zone: zone, Weekly: []Span{{from, until}}, Once: []Span{{onceFrom, onceUntil}}}})
		if err != nil {
			return
		}
		begin := time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)
		if all.NextChange(everyFreeze, begin).IsZero() {
			t.Error("it never changes")
		}
		closed := all.Preview("", "", begin, begin.AddDate(10, 0, 0))
		if len(closed) == 0 || len(closed) > 60 {
			t.Errorf("it shows %d freezes", len(closed))
		}
		for i, c := range closed {
			if !c.From.Before(c.Until) || i > 0 && !closed[i-1].Until.Before(c.From) {
				t.Errorf("from %s until %s", c.From, c.Until)
			}
		}
	})
}
