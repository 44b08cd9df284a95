package gate

import (
	"archive/zip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// zones lists every zone that Go knows.
func zones(t *testing.T) (names []string) {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib/time/zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") {
			names = append(names, f.Name)
		}
	}
	return names
}

func weekly(t *testing.T, from, until string) Weekly {
	t.Helper()
	f, err := ParseWeekTime("from", from)
	if err != nil {
		t.Fatal(err)
	}
	u, err := ParseWeekTime("until", until)
	if err != nil {
		t.Fatal(err)
	}
	return Weekly{f, u}
}

// shows is what clocks on the wall show, by the standard library alone.
func shows(at time.Time, zone *time.Location) (weekday time.Weekday, clock string) {
	local := at.In(zone)
	return local.Weekday(), local.Format("15:04:05.999999999")
}

// In every zone, around every change of its clocks within ten years, a window is open
// exactly when a clock on the wall says so, and the next change is the first one.
func TestWindowsFollowTheWallClock(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := begin.AddDate(10, 0, 0)
	changes := 0
	for _, name := range zones(t) {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := begin; ; {
			_, change := at.In(zone).ZoneBounds()
			if change.IsZero() || change.After(end) {
				break
			}
			changes++
			checkChange(t, zone, change)
			at = change
		}
	}
	if changes < 500 {
		t.Errorf("%d changes of clocks were looked at", changes)
	}
}

func checkChange(t *testing.T, zone *time.Location, change time.Time) {
	t.Helper()
	day := change.In(zone).Weekday().String()[:3]
	for _, w := range []Weekly{
		weekly(t, day+" 01:30", day+" 02:30"), weekly(t, day+" 02:00", day+" 03:00"), weekly(t, day+" 23:30", day+" 00:30"), weekly(t, "Fri 16:00", "Mon 08:00"),
	} {
		s := Schedule{Zone: zone, Windows: []Window{w}}
		from, until := clockOf(w.From), clockOf(w.Until)
		was := s.Open(change.Add(-30 * time.Hour))
		next := s.NextChange(change.Add(-30 * time.Hour))
		for at := change.Add(-30 * time.Hour); at.Before(change.Add(30 * time.Hour)); at = at.Add(5 * time.Minute) {
			weekday, clock := shows(at, zone)
			says := within(weekday, clock, time.Weekday(w.From/(24*60)), from, time.Weekday(w.Until/(24*60)), until)
			if open := s.Open(at); open != says {
				t.Fatalf("%s, %s to %s: at %s open is %t", zone, w.From, w.Until, at.In(zone), open)
			}
			if !next.IsZero() && !at.Before(next) {
				was, next = !was, s.NextChange(next)
			}
			if was != says {
				t.Fatalf("%s, %s to %s: at %s the changes say %t", zone, w.From, w.Until, at.In(zone), was)
			}
		}
	}
}

func clockOf(t WeekTime) string { return t.String()[4:] + ":00" }

// within compares as a person would who looks at the wall.
func within(weekday time.Weekday, clock string, fromDay time.Weekday, from string, untilDay time.Weekday, until string) bool {
	after := func(day time.Weekday, at string) bool {
		return weekday > day || weekday == day && clock >= at
	}
	begun, ended := after(fromDay, from), after(untilDay, until)
	if fromDay < untilDay || fromDay == untilDay && from < until {
		return begun && !ended
	}
	return begun || !ended
}

// The weekend that the clocks are changed in is an hour shorter, or longer, and ends at
// the same time of day.
func TestAWeekendOfAClockChange(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s := Schedule{Zone: berlin, Windows: []Window{weekly(t, "Fri 16:00", "Mon 08:00")}}
	for friday, hours := range map[string]int{"2027-03-26": 63, "2027-10-29": 65, "2027-06-04": 64} {
		day, err := time.ParseInLocation(time.DateOnly, friday, berlin)
		if err != nil {
			t.Fatal(err)
		}
		begins := s.NextChange(day)
		ends := s.NextChange(begins)
		if begins.In(berlin).Format("Mon 15:04") != "Fri 16:00" || ends.In(berlin).Format("Mon 15:04") != "Mon 08:00" || ends.Sub(begins) != time.Duration(hours)*time.Hour {
			t.Errorf("%s: from %s until %s", friday, begins.In(berlin), ends.In(berlin))
		}
	}
}

// Windows between dates are open once, and overlapping ones are one.
func TestDatesAndUnions(t *testing.T) {
	date := func(text string) Date {
		d, err := ParseDate("from", text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	s := Schedule{Zone: tokyo, Windows: []Window{
		Once{date("2026-12-23"), date("2027-01-04")}, Once{date("2027-01-02 12:00"), date("2027-01-06 24:00")},
	}}
	begins := s.NextChange(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	ends := s.NextChange(begins)
	if got := begins.In(tokyo).Format(time.DateTime) + " " + ends.In(tokyo).Format(time.DateTime); got != "2026-12-23 00:00:00 2027-01-07 00:00:00" {
		t.Error(got)
	}
	if after := s.NextChange(ends); !after.IsZero() {
		t.Errorf("it changes again at %s", after)
	}
	always := Schedule{Zone: time.UTC, Windows: []Window{weekly(t, "Mon 00:00", "Thu 00:00"), weekly(t, "Thu 00:00", "Mon 00:00")}}
	if at := always.NextChange(begins); !at.IsZero() || !always.Open(begins) {
		t.Errorf("what is always open changes at %s", at)
	}
}

func TestTimesThatCannotBe(t *testing.T) {
	for _, text := range []string{"", "Fri", "16:00", "Fri 16", "Fri 16:60", "Fri 24:01", "Fri 25:00", "Fry 16:00", "Fri 4:00", "Fri  16:00", "Fri +4:00", "Fri 16:00:00"} {
		if got, err := ParseWeekTime("weekly[0].from", text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	for _, text := range []string{"", "2026-02-29", "2026-1-1", "2026-12-19T18:00", "2026-12-19 18", "19.12.2026", "2026-12-19 24:30"} {
		if got, err := ParseDate("once[0].from", text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	if got, _ := ParseWeekTime("", "saturday 24:00"); got.String() != "Sun 00:00" && got%week != 0 {
		t.Error(got)
	}
}
