package gitops

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// The trailers of a commit, of which each update in it has the first and the second,
// and the others as far as they are known.
const (
	TrailerUpdate   = "Tallyman-Update"
	TrailerDelivery = "Tallyman-Delivery"
	TrailerActor    = "Tallyman-Actor"
	TrailerRelease  = "Tallyman-Release"
)

// UpdateTrailer is what a commit's trailers say of one update. It is a claim: whoever may
// write the branch can make a commit that says so.
type UpdateTrailer struct {
	Update   string // its id
	Delivery DeliveryKey
	Actor    string // empty when the delivery had none

	// Environment and App are what the update was for, and one of Event and Accepted
	// when: by its sender's clock, or when it was accepted where the sender did not
	// say. All are zero in commits made before there was such a trailer.
	Environment, App string
	Event, Accepted  time.Time
}

// Trailers returns the lines that a commit says of an update, each with its end.
func (u Update) Trailers() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%s: %s\n", TrailerUpdate, u.ID, TrailerDelivery, u.Delivery)
	if u.Actor != "" {
		fmt.Fprintf(&b, "%s: %s\n", TrailerActor, u.Actor)
	}
	word, at := "event", u.EventTime
	if at.IsZero() {
		word, at = "accepted", u.AcceptedAt
	}
	fmt.Fprintf(&b, "%s: %s/%s %s %s\n", TrailerRelease, u.Environment, u.App, word, at.UTC().Format(time.RFC3339))
	return b.String()
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
		}
	}
	return updates
}

func (u *UpdateTrailer) parseRelease(value string) {
	fields := strings.Fields(value)
	if len(fields) != 3 {
		return
	}
	environment, app, ok := strings.Cut(fields[0], "/")
	at, err := time.Parse(time.RFC3339, fields[2])
	if !ok || err != nil {
		return
	}
	switch fields[1] {
	case "event":
		u.Event = at.UTC()
	case "accepted":
		u.Accepted = at.UTC()
	default:
		return
	}
	u.Environment, u.App = environment, app
}
