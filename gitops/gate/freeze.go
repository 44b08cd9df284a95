package gate

import (
	"errors"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // the machine may have no database of zones: container images have none

	"github.com/tallyman-dev/tallyman/gitops"
)

// FreezeConfig is a freeze that comes again, as the configuration has it. Field is where
// it stands there.
type FreezeConfig struct {
	Field              string
	Name               string
	Environments, Apps []string // empty means all
	Zone               string   // of IANA's time zone database
	Reason             string
	Weekly, Once       []Span
}

// Span is the beginning and the end of a window, as [ParseWeekTime] or [ParseDate] reads
// them.
type Span struct{ From, Until string }

// Freezes are the freezes of the configuration. Immutable, safe for concurrent use. Nil
// has none.
type Freezes struct{ all []freeze }

type freeze struct {
	FreezeConfig
	schedule Schedule
}

// Compile reads freezes. Its error joins everything that is wrong, each an Invalid error
// that names the field.
func Compile(all []FreezeConfig) (*Freezes, error) {
	f := &Freezes{}
	var problems []error
	names := make(map[string]bool, len(all))
	for _, c := range all {
		problems = append(problems, gitops.CheckName(c.Field+".name", c.Name))
		if names[c.Name] {
			problems = append(problems, gitops.FieldErrorf(c.Field+".name", "there are two freezes %q: give one of them another name", c.Name))
		}
		names[c.Name] = true
		if len(c.Reason) > maxReason || gitops.Clip(c.Reason, maxReason) != c.Reason {
			problems = append(problems, gitops.FieldErrorf(c.Field+".reason", "must be one line of up to %d bytes", maxReason))
		}
		s, err := compileSchedule(c)
		problems = append(problems, err)
		f.all = append(f.all, freeze{c, s})
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return f, nil
}

// maxReason bounds a freeze's reason, which stands in the sentence of each update that it
// holds.
const maxReason = 200

func compileSchedule(c FreezeConfig) (Schedule, error) {
	var s Schedule
	var problems []error
	zone, err := time.LoadLocation(c.Zone)
	if err != nil || c.Zone == "" || c.Zone == "Local" {
		problems = append(problems, gitops.FieldErrorf(c.Field+".zone", "%q is not a zone of the IANA time zone database, such as Europe/Berlin or UTC", gitops.Clip(c.Zone, 60)))
	}
	s.Zone = zone
	if len(c.Weekly)+len(c.Once) == 0 {
		problems = append(problems, gitops.FieldErrorf(c.Field, "has no windows: give it weekly or once"))
	}
	var weekly []Weekly
	for i, span := range c.Weekly {
		w, err := compileWeekly(fmt.Sprintf("%s.weekly[%d]", c.Field, i), span)
		problems = append(problems, err)
		weekly, s.Windows = append(weekly, w), append(s.Windows, w)
	}
	for i, span := range c.Once {
		w, err := compileOnce(fmt.Sprintf("%s.once[%d]", c.Field, i), span)
		problems = append(problems, err)
		s.Windows = append(s.Windows, w)
	}
	if err := errors.Join(problems...); err != nil {
		return s, err
	}
	if always(weekly) {
		return s, gitops.FieldErrorf(c.Field+".weekly", "is a freeze at all times of the week: place a stop (tallyman stop), or leave a time open")
	}
	return s, nil
}

func compileWeekly(field string, span Span) (Weekly, error) {
	from, fromErr := ParseWeekTime(field+".from", span.From)
	until, untilErr := ParseWeekTime(field+".until", span.Until)
	if fromErr == nil && untilErr == nil && from == until {
		return Weekly{}, gitops.FieldErrorf(field, "begins and ends at %s: for a time without an end place a stop (tallyman stop)", from)
	}
	return Weekly{from, until}, errors.Join(fromErr, untilErr)
}

// longestOnce bounds a window between dates: what is looked up for each update is found
// within it.
const longestOnce = 366

func compileOnce(field string, span Span) (Once, error) {
	from, fromErr := ParseDate(field+".from", span.From)
	until, untilErr := ParseDate(field+".until", span.Until)
	switch {
	case fromErr != nil || untilErr != nil:
	case from >= until:
		return Once{}, gitops.FieldErrorf(field, "ends at %s, which is not after its beginning at %s", until, from)
	case until-from > longestOnce*24*60:
		return Once{}, gitops.FieldErrorf(field, "lasts for more than %d days: for a time without an end place a stop (tallyman stop)", longestOnce)
	}
	return Once{from, until}, errors.Join(fromErr, untilErr)
}

// always reports whether at each minute of the week a window is open.
func always(windows []Weekly) bool {
	for at := range WeekTime(week) {
		if !slices.ContainsFunc(windows, func(w Weekly) bool { return w.shows(at) }) {
			return false
		}
	}
	return true
}

// covers reports whether the freeze is about an app in an environment, of which "" means
// any.
func (f freeze) covers(environment, app string) bool {
	return touches(f.Environments, environment) && touches(f.Apps, app)
}

func touches(names []string, name string) bool {
	return name == "" || len(names) == 0 || slices.Contains(names, name)
}

// Closed is a time in which a freeze of the configuration holds updates. Its JSON form is
// the API's.
type Closed struct {
	Freeze string    `json:"freeze"`
	Reason string    `json:"reason,omitempty"`
	Zone   string    `json:"zone"`
	From   time.Time `json:"from,omitzero"`  // UTC
	Until  time.Time `json:"until,omitzero"` // UTC
}

// At returns the freezes that hold the app in the environment at a time, each with when
// it began to and when it ends. A beginning more than eight days back counts as unknown,
// and an end more than 15 years ahead: each is the zero time.
func (all *Freezes) At(environment, app string, now time.Time) (closed []Closed) {
	for _, f := range all.of(environment, app) {
		if f.schedule.Open(now) {
			closed = append(closed, f.closed(f.began(now), f.schedule.NextChange(now)))
		}
	}
	return closed
}

// LongestPreview bounds how far [Freezes.Preview] and [Freezes.Schedule] look.
const LongestPreview = 366 * 24 * time.Hour

// Preview returns when freezes hold the app in the environment between two times, by
// their beginning: what is closed at some time between them, as a whole.
func (all *Freezes) Preview(environment, app string, from, until time.Time) (closed []Closed) {
	for _, f := range all.of(environment, app) {
		closed = append(closed, f.times(from, until)...)
	}
	slices.SortStableFunc(closed, func(a, b Closed) int { return a.From.Compare(b.From) })
	return closed
}

// NextChange is when the first of the freezes that shows wants, by what it covers, begins or
// ends after a time; zero when none does.
func (all *Freezes) NextChange(shows func(environments, apps []string) bool, after time.Time) (first time.Time) {
	if all == nil {
		return time.Time{}
	}
	for _, f := range all.all {
		if !shows(f.Environments, f.Apps) {
			continue
		}
		if at := f.schedule.NextChange(after); first.IsZero() || !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

func (all *Freezes) of(environment, app string) (some []freeze) {
	if all == nil {
		return nil
	}
	for _, f := range all.all {
		if f.covers(environment, app) {
			some = append(some, f)
		}
	}
	return some
}

func (f freeze) closed(from, until time.Time) Closed {
	return Closed{Freeze: f.Name, Reason: f.Reason, Zone: f.Zone, From: utc(from), Until: utc(until)}
}

// utc keeps the zero time as it is.
func utc(at time.Time) time.Time {
	if at.IsZero() {
		return time.Time{}
	}
	return at.UTC()
}

// lookBack is a little more than a week: every window of the week began within it.
const lookBack = 8 * 24 * time.Hour

// began is when a window began that is open now; zero when that is more than eight days
// ago.
func (f freeze) began(now time.Time) (began time.Time) {
	for at := now.Add(-lookBack); ; {
		next := f.schedule.NextChange(at)
		if next.IsZero() || next.After(now) {
			return began
		}
		if at = next; f.schedule.Open(at) {
			began = at
		}
	}
}
