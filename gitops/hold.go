package gitops

import (
	"slices"
	"time"
)

// HoldKind is one of a closed set. It is a metric's label.
type HoldKind string

const (
	HoldPin    HoldKind = "pin"    // one app in one environment stays at a tag
	HoldFreeze HoldKind = "freeze" // nothing is written, until a time
	HoldStop   HoldKind = "stop"   // nothing is written, until a person resumes
	HoldBad    HoldKind = "bad"    // one tag of one app is not written
)

// HoldKinds lists every [HoldKind].
func HoldKinds() []HoldKind { return []HoldKind{HoldPin, HoldFreeze, HoldStop, HoldBad} }

// Hold is a fact in the store that keeps updates from being written. Its JSON form is
// the API's.
type Hold struct {
	ID           string    `json:"id"` // "h17": rises with each hold of the store
	Kind         HoldKind  `json:"kind"`
	Environments []string  `json:"environments,omitempty"` // empty means all
	Apps         []string  `json:"apps,omitempty"`         // empty means all
	Tag          string    `json:"tag,omitempty"`          // that a pin keeps, or that is bad
	Principal    string    `json:"principal"`              // [Principal.ID] of who placed it
	Actor        string    `json:"actor"`
	Reason       string    `json:"reason,omitempty"`
	Rule         string    `json:"rule,omitempty"` // the access rule that allowed it; empty for a hand edit's pin
	Since        time.Time `json:"since"`          // UTC, by the store's clock
	Until        time.Time `json:"until,omitzero"` // UTC; zero where a person must lift it
	Lifted       *Lift     `json:"lifted,omitempty"`
}

// Lift says who ended a hold before its time, and why. Its JSON form is the API's.
type Lift struct {
	At        time.Time `json:"at"` // UTC
	Principal string    `json:"principal"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason,omitempty"`
}

// Covers reports whether the hold is about an app in an environment.
func (h Hold) Covers(environment, app string) bool {
	return in(h.Environments, environment) && in(h.Apps, app)
}

// InForce reports whether the hold counts at a time.
func (h Hold) InForce(now time.Time) bool {
	return h.Lifted == nil && !now.Before(h.Since) && (h.Until.IsZero() || now.Before(h.Until))
}

func in(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }
