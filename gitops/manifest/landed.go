package manifest

import (
	"cmp"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// landed says which updates the branch's recent history carries.
//
// Its promise: every commit that the tip reaches and that was made at or after
// since, by its committer's clock, has its updates in commits. A push keeps the
// promise by adding its own commits, a catch-up by adding what it walked over.
// When the history turns out to be another than the one we knew, nothing is
// promised for what was before.
type landed struct {
	commits map[string]landing // by update id
	order   []string           // ids, oldest first
	since   time.Time

	// replaced is when the history was last found to be another; zero when it
	// never was. Updates accepted before must be looked for.
	replaced time.Time
}

// landing is where an update landed.
type landing struct {
	update string
	commit git.Hash
	made   time.Time
}

// maxLanded bounds what is remembered of the branch's history, at about 200
// bytes each. What is older is searched for when there is a doubt.
const maxLanded = 5_000

// clockSlack is how far the clocks of replicas, the store and other writers may
// be apart before the search for an update's commit goes wrong.
const clockSlack = time.Hour

func newLanded(now time.Time) landed {
	return landed{commits: make(map[string]landing), since: now}
}

// add remembers the updates of newer commits than all that were added before.
func (l *landed) add(newer ...landing) {
	l.order = append(l.order, l.remember(newer)...)
	l.forget()
}

// addOlder remembers the updates of every commit since a time before all that
// was promised so far.
func (l *landed) addOlder(since time.Time, older []landing) {
	l.order = append(l.remember(older), l.order...)
	l.since = since
	l.forget()
}

// remember returns the ids that were not known, oldest first.
func (l *landed) remember(landings []landing) []string {
	slices.SortStableFunc(landings, func(a, b landing) int { return a.made.Compare(b.made) })
	var ids []string
	for _, n := range landings {
		if _, known := l.commits[n.update]; !known {
			l.commits[n.update] = n
			ids = append(ids, n.update)
		}
	}
	return ids
}

// forget drops the oldest entries, and with them the promise for their time.
func (l *landed) forget() {
	for len(l.order) > maxLanded {
		oldest := l.commits[l.order[0]].made.Add(clockSlack)
		delete(l.commits, l.order[0])
		l.order = l.order[1:]
		if oldest.After(l.since) {
			l.since = oldest
		}
	}
}

// doubtful reports whether the update, which may have been pushed before, may be
// on the branch without our knowing.
func (l *landed) doubtful(u gitops.Update, pushed bool) bool {
	maybe := pushed || u.MaybePushed || !l.replaced.IsZero() && u.AcceptedAt.Before(l.replaced.Add(clockSlack))
	return maybe && searchFrom(u).Before(l.since)
}

// searchFrom is when the earliest commit that could carry the update was made.
func searchFrom(u gitops.Update) time.Time { return u.AcceptedAt.Add(-clockSlack) }

// landings lists the updates that commits carry.
func landings(commits git.Commits) []landing {
	var found []landing
	for name, c := range commits {
		for _, id := range c.Trailers(trailerUpdate) {
			found = append(found, landing{id, name, c.Made})
		}
	}
	// Two commits may carry one update when people copy commits about: the same
	// one is found every time.
	slices.SortFunc(found, func(a, b landing) int {
		return cmp.Or(a.made.Compare(b.made), cmp.Compare(a.commit.String(), b.commit.String()))
	})
	return found
}
