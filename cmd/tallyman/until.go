package main

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // zones are known where the machine has none, as in a container

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops/gate"
)

// endFlags say when a hold ends: after a time, at one, or, with neither, when the server
// says that such a hold ends.
type endFlags struct {
	lasts time.Duration
	until string
	zone  string
}

func (e *endFlags) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&e.lasts, "for", 0, "`duration` of the hold, such as 72h or 90m")
	cmd.Flags().StringVar(&e.until, "until", "", "`time` at which it ends: "+untilForms)
	cmd.Flags().StringVar(&e.zone, "zone", "", "time `zone` of --until, such as Europe/Berlin or UTC")
}

// untilForms are the forms of --until, for help and errors.
const untilForms = `2027-01-04T08:00:00Z, or with --zone "2027-01-04 08:00" or "Mon 08:00"`

// given reports whether an end was given.
func (e *endFlags) given() bool { return e.lasts != 0 || e.until != "" }

// read is the end as a request has it, a duration or a time (RFC 3339), and neither where
// no end was given. An error is bad input.
func (e *endFlags) read(now time.Time) (lasts, until string, err error) {
	switch {
	case e.lasts != 0 && e.until != "":
		return "", "", badInput{errors.New("--for and --until both say when it ends: give one of them")}
	case e.zone != "" && e.until == "":
		return "", "", badInput{errors.New("--zone is the time zone of --until, which is missing: give --until, or leave --zone out")}
	case e.lasts < 0:
		return "", "", badInput{fmt.Errorf("--for must be more than 0, not %s", e.lasts)}
	case e.lasts > 0:
		return e.lasts.String(), "", nil
	case e.until == "":
		return "", "", nil
	}
	at, err := parseUntil(e.until, e.zone, now)
	until = at.UTC().Format(time.RFC3339)
	if err == nil && !at.After(now) {
		err = fmt.Errorf("--until %q is over: it was %s", e.until, until)
	}
	if err != nil {
		return "", "", badInput{err}
	}
	return "", until, nil
}

// parseUntil reads a time in one of its forms: the next one of a weekday's.
func parseUntil(text, zone string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		if zone != "" {
			return at, fmt.Errorf("--until %q has its zone already: leave --zone out", text)
		}
		return at, nil
	}
	date, dateErr := gate.ParseDate("", text)
	weekday, weekErr := gate.ParseWeekTime("", text)
	switch {
	case dateErr != nil && weekErr != nil:
		return time.Time{}, fmt.Errorf("--until %q is not a time: write %s", text, untilForms)
	case zone == "":
		return time.Time{}, fmt.Errorf("--until %q is what a clock on the wall shows: say where, with --zone, as in --zone Europe/Berlin", text)
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return time.Time{}, fmt.Errorf("--zone %q is not a zone of the IANA time zone database, such as Europe/Berlin or UTC", zone)
	}
	if dateErr == nil {
		return whenShown(date, location), nil
	}
	return nextShown(weekday, location, now), nil
}

// whenShown is when clocks in a zone first show a date, or go past one that they leave
// out.
func whenShown(date gate.Date, zone *time.Location) time.Time {
	const day = 24 * 60
	before := time.Unix(int64(date-2*day)*60, 0) // whatever the zone, its clocks do not show the date yet
	s := gate.Schedule{Zone: zone, Windows: []gate.Window{gate.Once{From: date - 4*day, Until: date}}}
	return s.NextChange(before)
}

// nextShown is when clocks in a zone next show a time of the week.
func nextShown(at gate.WeekTime, zone *time.Location, now time.Time) time.Time {
	const day, week = 24 * 60, 7 * 24 * 60
	s := gate.Schedule{Zone: zone, Windows: []gate.Window{gate.Weekly{From: at, Until: (at + day) % week}}}
	next := s.NextChange(now)
	if !s.Open(next) { // it was open, and began within the last day
		next = s.NextChange(next)
	}
	return next
}

// ahead says roughly how far away a time to come is, as in "in 14 h".
func (p *printer) ahead(t time.Time) string {
	switch away := max(0, t.Sub(p.now)); {
	case away < time.Minute:
		return fmt.Sprintf("in %d s", int(away.Seconds()))
	case away < time.Hour:
		return fmt.Sprintf("in %d min", int(away.Round(time.Minute).Minutes()))
	case away < 96*time.Hour:
		return fmt.Sprintf("in %d h", int(away.Round(time.Hour).Hours()))
	default:
		return fmt.Sprintf("in %d days", int(away.Round(24*time.Hour).Hours()/24))
	}
}
