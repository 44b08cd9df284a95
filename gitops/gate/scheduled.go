package gate

import (
	"cmp"
	"slices"
	"time"
)

// Scheduled is a time in which a freeze of the configuration holds, with what it covers.
// Its JSON form is the API's.
type Scheduled struct {
	Closed
	Environments []string `json:"environments,omitempty"` // empty means all
	Apps         []string `json:"apps,omitempty"`         // empty means all
}

// Schedule returns when freezes hold between two times, by their beginning: each freeze
// that shows wants, by what it covers.
func (all *Freezes) Schedule(shows func(environments, apps []string) bool, from, until time.Time) (scheduled []Scheduled) {
	if all == nil {
		return nil
	}
	for _, f := range all.all {
		if !shows(f.Environments, f.Apps) {
			continue
		}
		for _, c := range f.times(from, until) {
			scheduled = append(scheduled, Scheduled{c, f.Environments, f.Apps})
		}
	}
	slices.SortStableFunc(scheduled, func(a, b Scheduled) int { return a.From.Compare(b.From) })
	return scheduled
}

// times are when the freeze holds between two times. One that began before counts from its
// beginning.
func (f freeze) times(from, until time.Time) (closed []Closed) {
	if last := from.Add(LongestPreview); until.After(last) {
		until = last
	}
	for at := from; !at.IsZero() && at.Before(until); {
		if !f.schedule.Open(at) {
			at = f.schedule.NextChange(at)
			continue
		}
		begins := at
		if at.Equal(from) {
			begins = cmp.Or(f.began(at), at)
		}
		at = f.schedule.NextChange(at)
		closed = append(closed, f.closed(begins, at))
	}
	return closed
}
