package gate

import (
	"time"
)

// Window is a time that a wall clock shows again and again, or once: from its
// beginning until just before its end. Where clocks are put forward it is shorter by
// what they leave out, and where they are put back longer by what they show twice.
type Window interface {
	// contains reports whether the window is open when a wall clock shows this.
	contains(wall time.Time) bool
	// next is when the wall clock next shows the window's beginning or end, after what
	// it shows now; zero when it never does.
	next(wall time.Time) time.Time
}

// Weekly is a window of every week. From and Until are not the same minute.
type Weekly struct{ From, Until WeekTime }

func (w Weekly) contains(wall time.Time) bool {
	return w.shows(minuteOfWeek(wall))
}

func (w Weekly) shows(at WeekTime) bool {
	if w.From < w.Until {
		return w.From <= at && at < w.Until
	}
	return at >= w.From || at < w.Until
}

func (w Weekly) next(wall time.Time) time.Time {
	at := minuteOfWeek(wall)
	ahead := min(until(at, w.From), until(at, w.Until))
	return wall.Truncate(time.Minute).Add(time.Duration(ahead) * time.Minute)
}

// until is how many minutes there are from one minute of the week to the next time that
// it is the other: 1 to 10,080.
func until(at, then WeekTime) WeekTime { return (then-at+week-1)%week + 1 }

func minuteOfWeek(wall time.Time) WeekTime {
	return WeekTime((int(wall.Weekday())*24+wall.Hour())*60 + wall.Minute())
}

// Once is a window between two dates; From is before Until.
type Once struct{ From, Until Date }

func (w Once) contains(wall time.Time) bool {
	return !wall.Before(w.From.utc()) && wall.Before(w.Until.utc())
}

func (w Once) next(wall time.Time) time.Time {
	for _, d := range []Date{w.From, w.Until} {
		if wall.Before(d.utc()) {
			return d.utc()
		}
	}
	return time.Time{}
}

func (d Date) utc() time.Time { return time.Unix(int64(d)*60, 0).UTC() }

// Schedule is when windows are open, by the clocks of one zone. Windows that overlap are
// one.
type Schedule struct {
	Zone    *time.Location
	Windows []Window
}

// Open reports whether a window is open.
func (s Schedule) Open(at time.Time) bool {
	shows := wall(at, s.Zone)
	for _, w := range s.Windows {
		if w.contains(shows) {
			return true
		}
	}
	return false
}

// horizon bounds how far a change is looked for. What is further away is of no use to
// anybody.
const horizon = 15 * 366 * 24 * time.Hour

// NextChange is the next time, after the given one, at which Open is another; zero when
// there is none within 15 years.
func (s Schedule) NextChange(after time.Time) time.Time {
	open := s.Open(after)
	for at := after; at.Sub(after) < horizon; {
		at = s.step(at)
		if at.IsZero() {
			return time.Time{}
		}
		if s.Open(at) != open {
			return at
		}
	}
	return time.Time{}
}

// step is the next time at which anything may change: a window begins or ends while the
// zone's offset stays, or the offset changes. Zero when nothing ever does.
func (s Schedule) step(at time.Time) time.Time {
	shows := wall(at, s.Zone)
	first := zoneEnd(at, s.Zone)
	for _, w := range s.Windows {
		next := w.next(shows)
		if next.IsZero() {
			continue
		}
		then := at.Add(next.Sub(shows)).UTC()
		if first.IsZero() || then.Before(first) {
			first = then
		}
	}
	return first
}

// zoneEnd is when the zone's offset may next change; zero in a zone that stays as it is.
// Package time ends the last rule of a zone's file with the 365th day of each year, also
// of a leap year: on the day after, it gives an end that is over.
func zoneEnd(at time.Time, zone *time.Location) time.Time {
	_, end := at.In(zone).ZoneBounds()
	if !end.IsZero() && !end.After(at) {
		return at.Truncate(time.Hour).Add(time.Hour).UTC()
	}
	return utc(end)
}
