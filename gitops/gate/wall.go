// Package gate decides what keeps an update from being written: holds that people
// placed, and freezes that the configuration repeats. It is a pure function of those
// and of the time.
package gate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// WeekTime is a minute of the week as a clock on the wall shows it: minutes since
// Sunday 00:00, of which a week has 10,080.
type WeekTime int

const week = 7 * 24 * 60

// ParseWeekTime reads a weekday and a time of day, as in "Fri 16:00".
func ParseWeekTime(field, text string) (WeekTime, error) {
	day, clock, _ := strings.Cut(text, " ")
	minute, ok := parseClock(clock)
	for d := range 7 {
		name := time.Weekday(d).String()
		if ok && (strings.EqualFold(day, name) || strings.EqualFold(day, name[:3])) {
			return WeekTime((d*24*60 + minute) % week), nil // Sat 24:00 is Sun 00:00
		}
	}
	return 0, gitops.FieldErrorf(field, `%q is not a weekday and a time of day, such as "Fri 16:00"`, gitops.Clip(text, 40))
}

// String is as [ParseWeekTime] reads it.
func (t WeekTime) String() string {
	return fmt.Sprintf("%s %02d:%02d", time.Weekday(t / (24 * 60)).String()[:3], t/60%24, t%60)
}

// Date is a minute as a clock and a calendar on the wall show it, in no zone: minutes
// since 1970-01-01 00:00.
type Date int64

// ParseDate reads a day and a time of day, as in "2026-12-19 18:00", or a day alone,
// which is its beginning.
func ParseDate(field, text string) (Date, error) {
	day, clock, timed := strings.Cut(text, " ")
	minute, ok := parseClock(clock)
	at, err := time.Parse(time.DateOnly, day)
	if err != nil || timed && !ok {
		return 0, gitops.FieldErrorf(field, `%q is not a day and a time of day, such as "2026-12-19 18:00"`, gitops.Clip(text, 40))
	}
	return Date(at.Unix()/60) + Date(minute), nil
}

// String is as [ParseDate] reads it.
func (d Date) String() string { return time.Unix(int64(d)*60, 0).UTC().Format("2006-01-02 15:04") }

// parseClock reads a time of day, from 00:00 to 24:00, in minutes.
func parseClock(text string) (minutes int, ok bool) {
	h, m, _ := strings.Cut(text, ":")
	hour, hourErr := strconv.ParseUint(h, 10, 8)
	minute, minuteErr := strconv.ParseUint(m, 10, 8)
	minutes = int(hour)*60 + int(minute)
	return minutes, hourErr == nil && minuteErr == nil && len(h) == 2 && len(m) == 2 && minute < 60 && minutes <= 24*60
}

// wall is what a clock and a calendar in the zone show, as if it were UTC.
func wall(at time.Time, zone *time.Location) time.Time {
	at = at.In(zone)
	_, offset := at.Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}
