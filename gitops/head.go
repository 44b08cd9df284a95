package gitops

import (
	"fmt"
	"time"
)

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

	// OrderEvent and OrderReceipt are the same, of the updates that are not
	// [Update.OnlyUp] alone: these may go down.
	OrderEvent, OrderReceipt time.Time
	// PushedVersion is the [VersionKey] of the last accepted update that is OnlyUp, and
	// PushedEvent the newest time of an event that was accepted for that version.
	PushedVersion string
	PushedEvent   time.Time
	// AcceptedVersion is the highest [VersionKey] of all updates that were ever accepted,
	// of any kind, also of those that were superseded at once; "" where none had a version.
	AcceptedVersion string

	// Written is the sequence of the newest update that is known to be on the
	// branch, committed or unchanged; 0 when none is. WrittenID and WrittenTag are
	// that update's.
	Written    int64
	WrittenID  string
	WrittenTag string

	// Healthy is the sequence of the newest update that was seen to run ([RolloutHealthy]); 0
	// when none was. HealthyID and HealthyTag are that update's.
	Healthy    int64
	HealthyID  string
	HealthyTag string

	// Word is when a person's order ([IsPerson]) was last accepted, by the store's clock;
	// zero when none was. What automation asks for because of an earlier event is late.
	Word time.Time
}

// EventMoment says when an event happened, as far as that can be compared.
type EventMoment struct {
	Event     time.Time // by the sender's clock; zero when it does not say
	Receipt   time.Time // by the store's clock
	Accepted  time.Time // by the store's clock; not before Receipt
	Person    bool      // a person ordered it
	Recovered bool      // fetched by tallyman, not sent: it may be older than orders that were sent meanwhile
	OnlyUp    bool      // [Update.OnlyUp]
	Version   string    // [VersionKey] of its tag
}

// Dated reports whether the sender's time counts: an event cannot have happened
// after its receipt, so a time after that says nothing.
func (m EventMoment) Dated() bool { return !m.Event.IsZero() && m.Event.Before(m.Receipt) }

// Late reports whether an event happened before a newer one of the same app that
// was accepted, and when that was. Times of events are compared in whole seconds,
// because EventBridge gives no fraction. A newest time after now was made by a clock
// that was wrong, and counts as unknown.
func (h Head) Late(m EventMoment) (newest time.Time, late bool) {
	if !m.Dated() {
		return time.Time{}, false
	}
	for _, at := range h.comparable(m) {
		if !at.After(m.Receipt) && at.After(newest) {
			newest = at
		}
	}
	if word := h.Word; !m.Person && !word.After(m.Accepted) && word.Sub(m.Event) > receiptSlack && word.After(newest) {
		newest = word
	}
	if newest.IsZero() || m.Event.Unix() >= newest.Unix() {
		return time.Time{}, false
	}
	return newest, true
}

// receiptSlack is how much later than an event the receipt of an order must be before
// they are taken to have come in this order: two clocks tell of them.
const receiptSlack = time.Minute

// AskedBefore reports whether an update was asked for before a time of another clock, such
// as a commit's: it was accepted, and not retried since, or its event happened before, as
// that of a delayed copy did.
func (u Update) AskedBefore(at time.Time) bool {
	if u.AcceptedAt.Before(at) {
		return u.RetriedAt.Before(at)
	}
	return !u.EventTime.IsZero() && at.Sub(u.EventTime) > receiptSlack && u.RetriedAt.Before(at)
}

// comparable lists the newest times that make an event late which is before them.
//
// Times of events are compared with times of events. Receipts are ordered by sequence
// and make no event late, unless that was recovered.
//
// What only goes up is compared with pushes by its version, so that the highest one
// wins in whatever order they are delivered: by its time it is compared with pushes of
// the same or a higher version alone. Of orders it is compared with receipts, too, or
// the delayed copy of a push would undo an order to go down.
func (h Head) comparable(m EventMoment) []time.Time {
	if !m.OnlyUp {
		if m.Recovered {
			return []time.Time{h.NewestEvent, h.NewestReceipt}
		}
		return []time.Time{h.NewestEvent}
	}
	times := []time.Time{h.OrderEvent}
	if m.Recovered || h.OrderReceipt.Sub(m.Event) > receiptSlack {
		times = append(times, h.OrderReceipt)
	}
	if h.PushedVersion == "" || m.Version <= h.PushedVersion {
		times = append(times, h.PushedEvent)
	}
	return times
}

// LateBehind is why an update that is late is not written: when the newer release
// happened, or the person's order, and how what automation asked for is written all the
// same.
func (h Head) LateBehind(u Update, newest time.Time) string {
	at, event := newest.UTC().Format(time.RFC3339), u.EventTime.UTC().Format(time.RFC3339)
	word := newest.Equal(h.Word) && !IsPerson(u.Principal)
	reason := fmt.Sprintf("a release of %s in %s from %s was accepted before this one from %s", u.App, u.Environment, at, event)
	if word {
		reason = fmt.Sprintf("a person ordered %s in %s at %s, after this release from %s", u.App, u.Environment, at, event)
	}
	if word || u.OnlyUp {
		reason += fmt.Sprintf(". To write %[2]s all the same, order it by name: tallyman update %[1]s %[2]s --env %[3]s", u.App, u.Tag, u.Environment)
	}
	return reason
}

// AcceptSuperseded returns the head after an update was superseded when it was accepted:
// its version alone counts.
func (h Head) AcceptSuperseded(m EventMoment) Head {
	h.AcceptedVersion = max(h.AcceptedVersion, m.Version)
	return h
}

// Accept returns the head after an event was accepted.
func (h Head) Accept(m EventMoment) Head {
	h = h.AcceptSuperseded(m)
	h.NewestEvent, h.NewestReceipt = m.newest(h.NewestEvent, h.NewestReceipt)
	if m.Person {
		h.Word = newer(h.Word, m.Accepted, m.Accepted)
	}
	if !m.OnlyUp {
		h.OrderEvent, h.OrderReceipt = m.newest(h.OrderEvent, h.OrderReceipt)
		return h
	}
	if h.PushedVersion != m.Version {
		h.PushedVersion, h.PushedEvent = m.Version, time.Time{}
	}
	h.PushedEvent, _ = m.newest(h.PushedEvent, time.Time{})
	return h
}

// newest is what the newest times of events and of receipts are after this one.
func (m EventMoment) newest(event, receipt time.Time) (newestEvent, newestReceipt time.Time) {
	if m.Dated() {
		return newer(event, m.Event, m.Receipt), receipt
	}
	return event, newer(receipt, m.Receipt, m.Receipt)
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

// Run returns the head after an update was seen to run.
func (h Head) Run(u Update) Head {
	if u.Sequence > h.Healthy {
		h.Healthy, h.HealthyID, h.HealthyTag = u.Sequence, u.ID, u.Tag
	}
	return h
}
