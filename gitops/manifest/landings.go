package manifest

import (
	"cmp"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// landing is an update that a commit on the branch carries.
type landing struct {
	gitops.UpdateTrailer
	commit git.Hash
	made   time.Time // of the commit, by its committer's clock
}

// landings says which updates the branch's recent history carries.
//
// Its promise: every commit that the tip reaches and that was made at or after
// since, by its committer's clock, has its updates here. A push keeps the promise by
// adding its own commits, a catch-up by adding what it walked over, a search by
// reaching further back. When the history turns out to be another than the one that
// was known, nothing is promised for what was before.
type landings struct {
	limit    int // of what is remembered
	byUpdate map[string]landing
	order    []string // ids, oldest first
	since    time.Time

	// unknownBefore is when a snapshot was made of a history that was not known: the
	// first one, and each one whose history was found to be another. An update
	// accepted before then may be in it, whoever wrote it.
	unknownBefore time.Time
}

// clockSlack is how far the clocks of replicas, the store and other writers may
// be apart before the search for an update's commit goes wrong.
const clockSlack = time.Hour

// newLandings knows nothing of the history of a snapshot that was made now.
func newLandings(limit int, now time.Time) landings {
	return landings{limit: limit, byUpdate: make(map[string]landing), since: now, unknownBefore: now}
}

// add remembers the updates of newer commits than all that were added before.
func (l *landings) add(newer ...landing) {
	l.order = append(l.order, l.remember(newer)...)
	l.forget()
}

// addOlder remembers the updates of every commit since a time, which is mostly before
// all that was promised so far.
func (l *landings) addOlder(since time.Time, older []landing) {
	l.order = append(l.remember(older), l.order...)
	if since.Before(l.since) {
		l.since = since
	}
	l.forget()
}

// remember returns the ids that were not known, oldest first.
func (l *landings) remember(found []landing) []string {
	slices.SortStableFunc(found, func(a, b landing) int { return a.made.Compare(b.made) })
	var ids []string
	for _, n := range found {
		if _, known := l.byUpdate[n.Update]; !known {
			l.byUpdate[n.Update] = n
			ids = append(ids, n.Update)
		}
	}
	return ids
}

// forget drops the oldest entries, and with them the promise for their time.
func (l *landings) forget() {
	for len(l.order) > l.limit {
		oldest := l.byUpdate[l.order[0]].made.Add(clockSlack)
		delete(l.byUpdate, l.order[0])
		l.order = l.order[1:]
		if oldest.After(l.since) {
			l.since = oldest
		}
	}
}

// needsSearch reports whether the update may be on the branch without being known
// here. unknown are those that this writer has pushed with an unknown result.
func (l *landings) needsSearch(u gitops.Update, unknown map[string]bool) bool {
	maybe := unknown[u.ID] || u.MaybePushed || u.CameLate() || u.AcceptedAt.Before(l.unknownBefore.Add(clockSlack))
	return maybe && searchFrom(u).Before(l.since)
}

// searchFrom is when the earliest commit was made that could carry the update, or a
// release from after its event.
func searchFrom(u gitops.Update) time.Time {
	from := u.AcceptedAt
	if !u.EventTime.IsZero() && u.EventTime.Before(from) {
		from = u.EventTime
	}
	if u.RetriedAt.After(from) { // what failed was not there then, or the person has looked
		from = u.RetriedAt
	}
	return from.Add(-clockSlack)
}

// landingsOf lists the updates that commits carry, oldest first.
func landingsOf(commits git.Commits) []landing {
	var found []landing
	for name, c := range commits {
		for _, u := range gitops.ParseTrailers(c.Message) {
			found = append(found, landing{u, name, c.Made})
		}
	}
	// Two commits may carry one update when people copy commits about: the same
	// one is found every time.
	slices.SortStableFunc(found, func(a, b landing) int {
		return cmp.Or(a.made.Compare(b.made), compareHashes(a.commit, b.commit))
	})
	return found
}
