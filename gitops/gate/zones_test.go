package gate

import (
	"archive/zip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// zones lists every zone that Go knows.
func zones(t *testing.T) (names []string) {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib/time/zoneinfo.zip"))
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

// In every zone, around every change of its clocks from 2026 to 2036, each window is open
// exactly when a clock on the wall says so, minute by minute, and the next change and the
// preview say the same. Between changes clocks run on: a week of each zone shows that.
func TestWindowsFollowTheWallClock(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := begin.AddDate(11, 0, 0) // ten years from any day of the first
	// Zones that change from one offset to the same other at one moment are as one there.
	type change struct {
		at            time.Time
		before, after int
	}
	looked := make(map[change]bool)
	changes := 0
	for _, name := range zones(t) {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		weekend := Once{dateOf(begin, zone) + 3*24*60, dateOf(begin, zone) + 5*24*60 + 7}
		follow(t, zone, begin, begin.AddDate(0, 0, 8), 15*time.Minute, weekly(t, "Fri 16:00", "Mon 08:00"), weekend)
		for at := begin; ; {
			_, next := at.In(zone).ZoneBounds()
			if next.IsZero() || next.After(end) {
				break
			}
			at = next
			changes++
			_, before := at.Add(-time.Second).In(zone).Zone()
			_, after := at.In(zone).Zone()
			if c := (change{at, before, after}); before != after && !looked[c] {
				looked[c] = true
				followChange(t, zone, at)
			}
		}
	}
	if changes < 2000 || len(looked) < 150 {
		t.Errorf("%d changes of clocks were met, and %d looked at", changes, len(looked))
	}
}

// followChange looks at windows that begin, end or are as a whole in what the clocks leave
// out or show twice; that go over midnight and over the week's end; and that are far from
// it.
func followChange(t *testing.T, zone *time.Location, change time.Time) {
	t.Helper()
	before, after := dateOf(change.Add(-time.Minute), zone)+1, dateOf(change, zone)
	from, to := min(before, after), max(before, after)
	third, day := (to-from)/3, Date(24*60)
	minute := func(d Date) WeekTime { return minuteOfWeek(d.utc()) }
	for _, w := range [][]Window{
		{Weekly{minute(from - 30), minute(from + third)}}, {Weekly{minute(from + third), minute(to - third)}},
		{Weekly{minute(to - third), minute(to + 30)}}, {Weekly{minute(from), minute(to)}}, {Weekly{minute(from - 90), minute(to + 90)}},
		{weekly(t, "Sat 23:30", "Sun 00:30"), weekly(t, "Fri 16:00", "Mon 08:00")},
		{Weekly{minute(to), minute(from)}}, // all of the week but this
		{Once{from - 30, from + third + 1}}, {Once{from + third, to - third + 1}}, {Once{to - third, to + day}},
		{Once{from - day, from + third + 1}, Once{from + third, to + 60}, Weekly{minute(to + 30), minute(to + 120)}},
	} {
		follow(t, zone, change.Add(-2*time.Hour), change.Add(2*time.Hour), time.Minute, w...)
	}
}

// follow compares what is said of the windows with what a clock on the wall shows.
func follow(t *testing.T, zone *time.Location, from, until time.Time, step time.Duration, windows ...Window) {
	t.Helper()
	s := Schedule{Zone: zone, Windows: windows}
	closed := (&Freezes{all: []freeze{{schedule: s}}}).Preview("", "", from, until)
	var read []reading
	for _, w := range windows {
		read = append(read, readingOf(w))
	}
	was, next := s.Open(from), s.NextChange(from)
	for at := from; at.Before(until); at = at.Add(step) {
		local := at.In(zone)
		date := local.Format("2006-01-02 15:04")
		weekTime := string('0'+rune(local.Weekday())) + date[10:]
		open := slices.ContainsFunc(read, func(r reading) bool { return r.open(date, weekTime) })
		for !next.IsZero() && !at.Before(next) {
			was, next = !was, s.NextChange(next)
		}
		previewed := slices.ContainsFunc(closed, func(c Closed) bool { return !at.Before(c.From) && (c.Until.IsZero() || at.Before(c.Until)) })
		if got := s.Open(at); got != open || was != open || previewed != open {
			t.Fatalf("%s, %v: at %s a clock says %t, Open says %t, the changes say %t, the preview says %t", zone, windows, at.In(zone), open, got, was, previewed)
		}
	}
}

// reading is a window as a person would write it down, to compare with a clock and a
// calendar.
type reading struct {
	dated       bool
	from, until string
}

func readingOf(w Window) reading {
	if once, dated := w.(Once); dated {
		return reading{true, once.From.String(), once.Until.String()}
	}
	// Sunday is the week's first day, as in a weekday's number.
	of := func(t WeekTime) string { return string('0'+rune(t/(24*60))) + t.String()[3:] }
	return reading{false, of(w.(Weekly).From), of(w.(Weekly).Until)}
}

func (r reading) open(date, weekTime string) bool {
	switch {
	case r.dated:
		return r.from <= date && date < r.until
	case r.from < r.until:
		return r.from <= weekTime && weekTime < r.until
	}
	return r.from <= weekTime || weekTime < r.until
}

// dateOf is what a clock and a calendar in the zone show.
func dateOf(at time.Time, zone *time.Location) Date {
	d, err := ParseDate("", at.In(zone).Format("2006-01-02 15:04"))
	if err != nil {
		panic(err)
	}
	return d
}
