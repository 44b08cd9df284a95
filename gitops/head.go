package gitops

import "time"

// Head is what is known of one app in one environment. It outlives the updates it
// was learnt from, so it decides also when those are pruned.
type Head struct {
	Environment, App string

	// NewestEvent is the newest time that a sender gave for an accepted event;
	// zero when none did.
	NewestEvent time.Time
	// NewestReceipt is the newest time at which an event without a time of its own
	// was accepted, by the store's clock.
	NewestReceipt time.Time

	// Written is the sequence of the newest update that is known to be on the
	// branch, committed or unchanged; 0 when none is. WrittenID and WrittenTag are
	// that update's.
	Written    int64
	WrittenID  string
	WrittenTag string
}

// EventMoment says when an event happened, as far as that can be compared.
type EventMoment struct {
	Event     time.Time // by the sender's clock; zero when it does not say
	Receipt   time.Time // by the store's clock
	Recovered bool      // fetched by tallyman, not sent: it may be older than orders that were sent meanwhile
}

// Dated reports whether the sender's time counts: an event cannot have happened
// after its receipt, so a time after that says nothing.
func (m EventMoment) Dated() bool { return !m.Event.IsZero() && m.Event.Before(m.Receipt) }

// Late reports whether an event happened before a newer one of the same app that
// was accepted, and when that was. Times of events are compared with times of
// events, in whole seconds, because EventBridge gives no fraction. Receipts are
// ordered by sequence and make no event late, unless that was recovered. A newest
// time after now was made by a clock that was wrong, and counts as unknown.
func (h Head) Late(m EventMoment) (newest time.Time, late bool) {
	if !m.Dated() {
		return time.Time{}, false
	}
	if !h.NewestEvent.After(m.Receipt) {
		newest = h.NewestEvent
	}
	if m.Recovered && !h.NewestReceipt.After(m.Receipt) && h.NewestReceipt.After(newest) {
		newest = h.NewestReceipt
	}
	if newest.IsZero() || m.Event.Unix() >= newest.Unix() {
		return time.Time{}, false
	}
	return newest, true
}

// Accept returns the head after an event was accepted.
func (h Head) Accept(m EventMoment) Head {
	if m.Dated() {
		h.NewestEvent = newer(h.NewestEvent, m.Event, m.Receipt)
	} else {
		h.NewestReceipt = newer(h.NewestReceipt, m.Receipt, m.Receipt)
	}
	return h
}

// newer is the later of two times, where one after now counts as unknown.
func newer(known, at, now time.Time) time.Time {
	if known.After(now) || at.After(known) {
		return at
	}
	return known
}

// Raises reports whether an update that goes from one state to another is news for
// its app's head: it is on the branch now, and counts there. One that was superseded
// and turns up on the branch does not: what superseded it is newer, and an event that
// was late when it was accepted has a higher sequence than what it is older than.
func Raises(from, to State) bool { return to.Written() && from != Superseded }

// Write returns the head after an update was found or put on the branch.
func (h Head) Write(u Update) Head {
	if u.Sequence > h.Written {
		h.Written, h.WrittenID, h.WrittenTag = u.Sequence, u.ID, u.Tag
	}
	return h
}
