package gitops

import (
	"encoding"
	"fmt"
	"strings"
	"time"
)

// DeliveryKey names a delivery: who brought it, and the sender's id for it. The
// id is the sender's (GitHub's GUID, EventBridge's id), so that the same event
// sent twice has the same key.
type DeliveryKey struct {
	Source string // "github", "eventbridge"
	ID     string
}

var (
	_ encoding.TextMarshaler   = DeliveryKey{}
	_ encoding.TextUnmarshaler = (*DeliveryKey)(nil)
)

// String is "source/id", as it stands in trailers, logs and the API.
func (k DeliveryKey) String() string { return k.Source + "/" + k.ID }

// MarshalText is [DeliveryKey.String].
func (k DeliveryKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText parses "source/id".
func (k *DeliveryKey) UnmarshalText(text []byte) error {
	source, id, ok := strings.Cut(string(text), "/")
	if !ok || source == "" || id == "" {
		return fmt.Errorf("a delivery key is source/id, not %q", text)
	}
	*k = DeliveryKey{Source: source, ID: id}
	return nil
}

// Event is an authenticated delivery in terms that no longer depend on its
// sender. Exactly one of Orders, Push, IgnoreReason and
// Violation is set.
type Event struct {
	Delivery  DeliveryKey
	Principal Principal // who asks; what it may order is for the access rules to say
	Actor     string    // [Principal.Actor]; may be empty
	Time      time.Time // when it happened by the sender's clock; zero when the sender does not say

	Orders       []Order    // a dispatch that names apps, environments and a tag: all of them or none
	Push         *ImagePush // an image that appeared in a registry
	IgnoreReason string     // why the event asks for nothing, as a sentence
	Hint         *Hint      // beside IgnoreReason: the event is answered, and nothing is stored of it
	Violation    *Error     // what it gets wrong, where its form alone shows that; the code is Rejected

	// BodyDigest is set for an order whose body counts once, whatever id it comes with:
	// see [Delivery.BodyDigest].
	BodyDigest []byte
}

// ImagePush says that an image appeared in a registry. What it means is ours to find
// out; a push that means nothing is no error.
type ImagePush struct {
	Account, Region, Repository string // of ECR: AWS account number, region, and the repository's name in that registry
	// Image is the image's name without tag, host included, in place of those three where
	// the registry is another.
	Image       string
	Tag, Digest string
	// For are the only places that it is for, of one that tallyman found by itself; nil is
	// every place whose rules take the tag.
	For []Place
}

// Place is an app in an environment.
type Place struct {
	Environment string `json:"environment"`
	App         string `json:"app"`
}

// Outcome is what a delivery's arrival led to.
type Outcome string

const (
	OutcomeAccepted Outcome = "accepted" // it became updates
	OutcomeIgnored  Outcome = "ignored"  // a valid event that asks for nothing
	OutcomeRejected Outcome = "rejected" // it asked for something that cannot be
	OutcomeWaiting  Outcome = "waiting"  // it names an app that is not known yet: it is decided later
)

// Outcomes lists every [Outcome].
func Outcomes() []Outcome {
	return []Outcome{OutcomeAccepted, OutcomeIgnored, OutcomeRejected, OutcomeWaiting}
}

// Delivery is one inbound event as received, and what came of it. Its JSON form
// is the API's.
type Delivery struct {
	Source     string    `json:"source"`
	ID         string    `json:"id"`
	ReceivedAt time.Time `json:"receivedAt"` // UTC
	EventTime  time.Time `json:"-"`          // [Event.Time]; zero when the sender does not say
	Actor      string    `json:"actor,omitempty"`
	Principal  string    `json:"principal,omitempty"`  // [Principal.ID] of who sent it: it may read what it sent
	Remote     string    `json:"remote,omitempty"`     // the address it came from; empty when it was fetched
	Recovered  bool      `json:"recovered,omitempty"`  // the sweep fetched it from its sender, which had failed to send it
	Credential string    `json:"credential,omitempty"` // what authenticated its sender, never the secret: "webhook secret", "token ci"
	Outcome    Outcome   `json:"outcome"`
	Field      string    `json:"field,omitempty"`    // what a rejected delivery got wrong
	Reason     string    `json:"reason,omitempty"`   // why it was ignored or rejected, what it waits for, or which rules left what out
	DecidedAt  time.Time `json:"decidedAt,omitzero"` // UTC; of one that waited: when its outcome became another
	// Environment and App are what a rejected or waiting order named, as far as they can
	// be names: there is no update to say it. App is empty without an environment.
	Environment string `json:"environment,omitempty"`
	App         string `json:"app,omitempty"`
	Body        []byte `json:"-"` // the raw body, as authenticated; of one that is or was not accepted at once the first KiB
	// BodyDigest is a SHA-256 of the body. Of an accepted or waiting delivery that has
	// one, the same body counts once, whatever id it comes with.
	BodyDigest []byte   `json:"-"`
	Event      []byte   `json:"-"` // of a waiting delivery: see [EncodeEvent]
	Config     string   `json:"-"` // hash of the configuration in force
	Updates    []Update `json:"updates"`
}

// PlannedAt is when its updates were planned: when it was received, or the wait ended.
func (d Delivery) PlannedAt() time.Time {
	if d.DecidedAt.IsZero() {
		return d.ReceivedAt
	}
	return d.DecidedAt
}

// Key is the delivery's key.
func (d Delivery) Key() DeliveryKey { return DeliveryKey{Source: d.Source, ID: d.ID} }
