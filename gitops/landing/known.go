package landing

import (
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Known says which updates the branch's recent history carries.
//
// Its promise: every commit that the tip reaches and that was made at or after
// since, by its committer's clock, has its updates here. A push keeps the promise by
// adding its own commits, a catch-up by adding what it walked over, a search by
// reaching further back. When the history turns out to be another than the one that
// was known, nothing is promised for what was before.
type Known struct {
	limit    int // of what is remembered
	byUpdate map[string]Landing
	order    []string // ids, oldest first
	since    time.Time

	// UnknownBefore is when a snapshot was made of a history that was not known: the
	// first one, and each one whose history was found to be another. An update
	// accepted before then may be in it, whoever wrote it.
	UnknownBefore time.Time
}

// ClockSlack is how far the clocks of replicas, the store and other writers may
// be apart before the search for an update's commit goes wrong.
const ClockSlack = time.Hour

// NewKnown knows nothing of the history of a snapshot that was made now.
func NewKnown(limit int, now time.Time) *Known {
	return &Known{limit: limit, byUpdate: make(map[string]Landing), since: now, UnknownBefore: now}
}

// Add remembers the updates of newer commits than all that were added before.
func (l *Known) Add(newer ...Landing) {
	l.order = append(l.order, l.remember(newer)...)
	l.forget()
}

// AddOlder remembers the updates of every commit since a time, which is mostly before
// all that was promised so far.
func (l *Known) AddOlder(since time.Time, older []Landing) {
	l.order = append(l.remember(older), l.order...)
	if since.Before(l.since) {
		l.since = since
	}
	l.forget()
}

// Reaches reports whether the promise goes back to a time.
func (l *Known) Reaches(since time.Time) bool { return !since.Before(l.since) }

// remember returns the ids that were not known, oldest first.
func (l *Known) remember(found []Landing) []string {
	slices.SortStableFunc(found, func(a, b Landing) int { return a.Made.Compare(b.Made) })
	var ids []string
	for _, n := range found {
		if known, ok := l.byUpdate[n.Update]; ok {
			n = known.with(n)
		} else {
			ids = append(ids, n.Update)
		}
		l.byUpdate[n.Update] = n
	}
	return ids
}

// forget drops the oldest entries, and with them the promise for their time.
func (l *Known) forget() {
	for len(l.order) > l.limit {
		oldest := l.byUpdate[l.order[0]].Made.Add(ClockSlack)
		delete(l.byUpdate, l.order[0])
		l.order = l.order[1:]
		if oldest.After(l.since) {
			l.since = oldest
		}
	}
}

// NeedsSearch reports whether the update may be on the branch without being known
// here. unknown are those that this writer has pushed with an unknown result.
func (l *Known) NeedsSearch(u gitops.Update, unknown map[string]bool) bool {
	return l.MaybePushed(u, unknown) && SearchFrom(u).Before(l.since)
}

// MaybePushed reports whether the update may have been pushed without its result being
// known.
func (l *Known) MaybePushed(u gitops.Update, unknown map[string]bool) bool {
	return unknown[u.ID] || u.MaybePushed || u.CameLate() || u.AcceptedAt.Before(l.UnknownBefore.Add(ClockSlack))
}

// SearchFrom is when the earliest commit was made that could carry the update, or a
// release from after its event.
func SearchFrom(u gitops.Update) time.Time {
	from := u.AcceptedAt
	if !u.EventTime.IsZero() && u.EventTime.Before(from) {
		from = u.EventTime
	}
	if u.RetriedAt.After(from) { // what failed was not there then, or the person has looked
		from = u.RetriedAt
	}
	return from.Add(-ClockSlack)
}
