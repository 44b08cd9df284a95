package feedback

import (
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	// maxAge is how old the last change of an update is at most that is still told: after a
	// longer outage it is not looked for.
	maxAge = 24 * time.Hour
	// maxBacklog bounds the memory: an entry has some 500 bytes.
	maxBacklog = 10_000
)

// entry is an update of which something changed that was not told.
type entry struct {
	update   string // its id
	place    gitops.Place
	accepted time.Time // the update was
	before   string    // the cursor that all of that comes after
	since    time.Time // the first of the changes
	last     time.Time // the last one
	due      time.Time // not before

	inSource
}

// inSource is what is known of an entry in its source.
type inSource struct {
	of         Source
	candidates []candidate // where its commit is still looked for
	began      bool        // candidates is set
	revision   string      // the commit; "" before it was found
	searched   bool        // the commit's Deployments were looked through
	refused    string      // why GitHub would refuse it again; "" while it does not
	noted      string      // why its repository refuses, as it was noted
}

// backlog is the entries in the order of their first changes.
type backlog struct {
	entries []*entry
	byID    map[string]*entry
}

// add notes a change of an update. What does not fit any more is returned: the oldest.
func (b *backlog) add(u gitops.Update, at time.Time, before string) (tooMuch *entry) {
	if e := b.byID[u.ID]; e != nil {
		e.last, e.due = at, time.Time{}
		return nil
	}
	if b.byID == nil {
		b.byID = make(map[string]*entry)
	}
	e := &entry{update: u.ID, place: gitops.Place{Environment: u.Environment, App: u.App}, accepted: u.AcceptedAt, before: before, since: at, last: at}
	b.entries, b.byID[u.ID] = append(b.entries, e), e
	if len(b.entries) > maxBacklog {
		tooMuch = b.entries[0]
		b.remove(tooMuch)
	}
	return tooMuch
}

func (b *backlog) remove(e *entry) {
	delete(b.byID, e.update)
	if at := slices.Index(b.entries, e); at >= 0 {
		b.entries = slices.Delete(b.entries, at, at+1)
	}
}

// reached is the cursor up to which everything was told, where so much was read.
func (b *backlog) reached(read string) string {
	if len(b.entries) == 0 {
		return read
	}
	return b.entries[0].before
}

// oldest is since when the oldest waits that is due; zero where none does.
func (b *backlog) oldest(now time.Time) time.Time {
	for _, e := range b.entries {
		if !e.due.After(now) {
			return e.since
		}
	}
	return time.Time{}
}
