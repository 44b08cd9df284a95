package gate

import (
	"errors"
	"fmt"
	"slices"
	"time"

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
		s, err := compileSchedule(c)
		problems = append(problems, err)
		f.all = append(f.all, freeze{c, s})
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return f, nil
}

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
	for i, span := range c.Weekly {
		field := fmt.Sprintf("%s.weekly[%d]", c.Field, i)
		from, fromErr := ParseWeekTime(field+".from", span.From)
		until, untilErr := ParseWeekTime(field+".until", span.Until)
		problems = append(problems, fromErr, untilErr)
		if fromErr == nil && untilErr == nil && from%week == until%week {
			problems = append(problems, gitops.FieldErrorf(field, "begins and ends at %s: for a time without an end place a stop, tallyman stop", from))
		}
		s.Windows = append(s.Windows, Weekly{from, until})
	}
	for i, span := range c.Once {
		field := fmt.Sprintf("%s.once[%d]", c.Field, i)
		from, fromErr := ParseDate(field+".from", span.From)
		until, untilErr := ParseDate(field+".until", span.Until)
		problems = append(problems, fromErr, untilErr)
		if fromErr == nil && untilErr == nil && from >= until {
			problems = append(problems, gitops.FieldErrorf(field, "ends at %s, which is not after its beginning at %s", until, from))
		}
		s.Windows = append(s.Windows, Once{from, until})
	}
	if err := errors.Join(problems...); err != nil {
		return s, err
	}
	// A time in the past, before all dates: what is open then and never changes always is.
	if begin := time.Unix(0, 0); len(c.Weekly) > 0 && s.weekly().Open(begin) && s.weekly().NextChange(begin).IsZero() {
		return s, gitops.FieldErrorf(c.Field+".weekly", "is a freeze at all times of the week: place a stop, tallyman stop, or leave a time open")
	}
	return s, nil
}

// weekly is the schedule without its dates.
func (s Schedule) weekly() Schedule {
	s.Windows = slices.DeleteFunc(slices.Clone(s.Windows), func(w Window) bool { _, dated := w.(Once); return dated })
	return s
}

func (f freeze) covers(environment, app string) bool {
	return gitops.Hold{Environments: f.Environments, Apps: f.Apps}.Covers(environment, app)
}

// Closed is a time in which a freeze of the configuration holds an app's updates in an
// environment. Its JSON form is the API's.
type Closed struct {
	Freeze string    `json:"freeze"`
	Reason string    `json:"reason,omitempty"`
	Zone   string    `json:"zone"`
	From   time.Time `json:"from"`  // UTC
	Until  time.Time `json:"until"` // UTC
}

// At returns the freezes that hold the app in the environment at a time, each with when
// it began to and when it ends. A beginning more than eight days back counts as unknown,
// and is the zero time.
func (all *Freezes) At(environment, app string, now time.Time) (closed []Closed) {
	for _, f := range all.of(environment, app) {
		if f.schedule.Open(now) {
			closed = append(closed, f.closed(f.began(now), f.schedule.NextChange(now)))
		}
	}
	return closed
}

// Preview returns when freezes hold the app in the environment between two times, by
// their beginning.
func (all *Freezes) Preview(environment, app string, from, until time.Time) (closed []Closed) {
	for _, f := range all.of(environment, app) {
		closed = append(closed, f.times(from, until)...)
	}
	slices.SortStableFunc(closed, func(a, b Closed) int { return a.From.Compare(b.From) })
	return closed
}

// NextChange is when the first freeze begins or ends after a time; zero when none does.
func (all *Freezes) NextChange(after time.Time) (first time.Time) {
	if all == nil {
		return time.Time{}
	}
	for _, f := range all.all {
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
	return Closed{Freeze: f.Name, Reason: f.Reason, Zone: f.Zone, From: from.UTC(), Until: until.UTC()}
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
