package gitops

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The trailers of a commit, of which each update in it has the first and the second,
// and the others as far as they are known. The last five say what a person's order, or a
// revert of tallyman's, asked for beside its tag ([Terms]).
const (
	TrailerUpdate    = "Tallyman-Update"
	TrailerDelivery  = "Tallyman-Delivery"
	TrailerActor     = "Tallyman-Actor"
	TrailerRelease   = "Tallyman-Release"
	TrailerReason    = "Tallyman-Reason"
	TrailerPinUntil  = "Tallyman-Pin-Until" // in RFC 3339
	TrailerOverride  = "Tallyman-Override"
	TrailerRollsBack = "Tallyman-Rolls-Back"
	TrailerReverts   = "Tallyman-Reverts" // the id of the update whose rollout failed
)

// maxReasonBytes is how much of a person's words a trailer has.
const maxReasonBytes = 500

// UpdateTrailer is what a commit's trailers say of one update. It is a claim: whoever may
// write the branch can make a commit that says so.
type UpdateTrailer struct {
	Update   string // its id
	Delivery DeliveryKey
	Actor    string // empty when the delivery had none

	// Environment and App are what the update was for, Event when that happened by its
	// sender's clock, if it said so, and Accepted and Sequence when it was accepted. All
	// are zero in commits made before there was such a trailer.
	Environment, App string
	Event, Accepted  time.Time
	Sequence         int64
	// Pushed is the tag of an update that only goes up ([Update.OnlyUp]); empty for an
	// order, which may go down.
	Pushed string

	// Terms are what a person's order asked for beside its tag, without what it passes; nil
	// when the commit says nothing of that.
	Terms *Terms
}

// Released is when the update's release happened, as far as the commit says.
func (t UpdateTrailer) Released() time.Time { return cmp.Or(t.Event, t.Accepted) }

// NewerThan reports whether what a commit on the branch carries is a newer release
// of the same app than an update that is to be written. The store would have
// superseded the older one, unless it was restored since or failed over, and has
// forgotten the newer. So the branch is asked, in two ways:
//
//   - It was accepted later. Both the sequence and the time must say so: sequences
//     alone are given again after a restore, times alone may be of a clock that was
//     ahead.
//   - The update came late ([Update.CameLate]), and [Head.Late] holds against what
//     the commit says.
func (t UpdateTrailer) NewerThan(u Update) bool {
	if t.Environment != u.Environment || t.App != u.App || t.Update == u.ID {
		return false
	}
	if t.Sequence > u.Sequence && t.Accepted.After(u.AcceptedAt) {
		return true
	}
	head := Head{}.Accept(EventMoment{Event: t.Event, Receipt: t.Accepted, OnlyUp: t.Pushed != "", Version: VersionKey(t.Pushed)})
	_, late := head.Late(u.Moment(u.AcceptedAt))
	return late && u.CameLate()
}

// Trailers returns the lines that a commit says of an update, each with its end.
func (u Update) Trailers() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%s: %s\n", TrailerUpdate, u.ID, TrailerDelivery, u.Delivery)
	if u.Actor != "" {
		fmt.Fprintf(&b, "%s: %s\n", TrailerActor, u.Actor)
	}
	fmt.Fprintf(&b, "%s: %s/%s accepted %s %d", TrailerRelease, u.Environment, u.App, u.AcceptedAt.UTC().Format(time.RFC3339Nano), u.Sequence)
	if !u.EventTime.IsZero() {
		fmt.Fprintf(&b, " event %s", u.EventTime.UTC().Format(time.RFC3339))
	}
	if u.OnlyUp {
		fmt.Fprintf(&b, " pushed %s", u.Tag)
	}
	b.WriteByte('\n')
	u.Terms.writeTrailers(&b)
	return b.String()
}

// writeTrailers writes a line for each of the terms that a commit says. A person's words
// are one line, whatever they are: a second one could look like a trailer of its own.
func (t *Terms) writeTrailers(b *strings.Builder) {
	if t == nil {
		return
	}
	var until string
	if !t.PinUntil.IsZero() {
		until = t.PinUntil.UTC().Format(time.RFC3339)
	}
	for _, line := range [][2]string{{TrailerReason, t.Reason}, {TrailerPinUntil, until}, {TrailerOverride, t.Override}, {TrailerRollsBack, t.RollsBack}, {TrailerReverts, t.Reverts}} {
		if words := OneLine(line[1], maxReasonBytes); words != "" {
			fmt.Fprintf(b, "%s: %s\n", line[0], words)
		}
	}
}

// ParseTrailers reads what a commit's message says of updates. It takes the trailers
// from any line, because a squash of several commits keeps their messages in its
// middle. What it cannot read it leaves out.
func ParseTrailers(message []byte) (updates []UpdateTrailer) {
	for line := range bytes.Lines(message) {
		key, rest, _ := strings.Cut(string(line), ": ")
		value := strings.TrimSpace(rest)
		if key == TrailerUpdate {
			updates = append(updates, UpdateTrailer{Update: value})
			continue
		}
		if len(updates) == 0 {
			continue
		}
		u := &updates[len(updates)-1]
		switch key {
		case TrailerDelivery:
			_ = u.Delivery.UnmarshalText([]byte(value)) // what a person wrote there may be none
		case TrailerActor:
			u.Actor = value
		case TrailerRelease:
			u.parseRelease(value)
		case TrailerReason, TrailerPinUntil, TrailerOverride, TrailerRollsBack, TrailerReverts:
			u.parseTerm(key, OneLine(value, 2*maxReasonBytes))
		}
	}
	return updates
}

func (u *UpdateTrailer) parseTerm(key, value string) {
	var t Terms
	if u.Terms != nil {
		t = *u.Terms
	}
	switch key {
	case TrailerReason:
		t.Reason = value
	case TrailerOverride:
		t.Override = value
	case TrailerRollsBack:
		t.RollsBack = value
	case TrailerReverts:
		t.Reverts = value
	case TrailerPinUntil:
		until, err := time.Parse(time.RFC3339, value)
		if t.PinUntil = until.UTC(); err != nil || t.PinUntil.Year() < 1 || t.PinUntil.Year() > 9999 { // which JSON does not have
			return
		}
	}
	if value != "" {
		u.Terms = &t
	}
}

func (u *UpdateTrailer) parseRelease(value string) {
	fields := strings.Fields(value)
	if len(fields) < 4 || len(fields)%2 != 0 || fields[1] != "accepted" {
		return
	}
	environment, app, ok := strings.Cut(fields[0], "/")
	accepted, err := time.Parse(time.RFC3339, fields[2])
	sequence, badSequence := strconv.ParseInt(fields[3], 10, 64)
	if !ok || err != nil || badSequence != nil {
		return
	}
	var event time.Time
	var pushed string
	for more := range slices.Chunk(fields[4:], 2) { // a word that a later version adds is none of these
		switch more[0] {
		case "event":
			if event, err = time.Parse(time.RFC3339, more[1]); err != nil {
				return
			}
		case "pushed":
			pushed = more[1]
		}
	}
	u.Environment, u.App, u.Event, u.Accepted, u.Sequence, u.Pushed = environment, app, event.UTC(), accepted.UTC(), sequence, pushed
}
