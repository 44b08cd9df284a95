package gitops

import "time"

// State is where an update stands. It begins as [Pending] and ends in one of
// the others; what has ended changes again only when a person asks for it.
type State string

const (
	Pending    State = "pending"    // durable, and waiting for its lane
	Committed  State = "committed"  // its commit is on origin's branch
	Unchanged  State = "unchanged"  // origin already said so; no commit
	Superseded State = "superseded" // a newer release of the same app took its place
	Failed     State = "failed"     // its own fault; the reason says what to mend
)

// States lists every [State].
func States() []State { return []State{Pending, Committed, Unchanged, Superseded, Failed} }

// Settled reports whether an update in this state waits for nothing more.
func (s State) Settled() bool { return s != Pending }

// Update is one thing a delivery asks for: this image, in this app, in this
// environment. Its JSON form is the API's.
type Update struct {
	ID          string      `json:"id"`
	Delivery    DeliveryKey `json:"delivery"`
	Actor       string      `json:"-"` // the delivery's
	Environment string      `json:"environment"`
	App         string      `json:"app"`
	Repository  string      `json:"repository,omitempty"` // the image without tag, as configured for the app
	Tag         string      `json:"tag"`
	Digest      string      `json:"digest,omitempty"`
	State       State       `json:"state"`
	Code        Code        `json:"code,omitempty"`   // of the failure, when State is Failed
	Reason      string      `json:"reason,omitempty"` // why it ended so, or what it waits for
	Commit      string      `json:"commit,omitempty"` // hexadecimal object name, when State is Committed
	Attempts    int         `json:"attempts"`         // how often a writer has taken it up
	AcceptedAt  time.Time   `json:"acceptedAt"`       // UTC
	SettledAt   time.Time   `json:"settledAt,omitzero"`
	Steps       []Step      `json:"steps,omitempty"` // oldest first; only where one update is asked for

	// Sequence is the acceptance order within the environment: if one update was
	// answered before another was sent, its number is the smaller.
	Sequence int64 `json:"-"`
	// MaybePushed says that an earlier holder of the lane may have pushed this
	// update and died before it could say so. Whoever writes it must first look
	// for its trailer on the branch.
	MaybePushed bool `json:"-"`
}

// Step is one thing that happened to an update after it was accepted: an attempt
// that left it pending, its end, or a person's word that it be tried again.
// Attempts in a row that ended alike are one step. Its JSON form is the API's.
type Step struct {
	At       time.Time `json:"at"`               // UTC; of the first attempt
	Until    time.Time `json:"until,omitzero"`   // of the last attempt, when there were several
	Attempts int       `json:"attempts"`         // how many; 0 for a person's retry
	State    State     `json:"state"`            // what it left the update in
	Code     Code      `json:"code,omitempty"`   // of what went wrong
	Reason   string    `json:"reason,omitempty"` // what went wrong, or why it ended so
	Commit   string    `json:"commit,omitempty"` // when State is Committed
	RetryAt  time.Time `json:"retryAt,omitzero"` // when the lane meant to try again
	Actor    string    `json:"actor,omitempty"`  // on whose word, for a retry
}

// Settlement says how one update ended.
type Settlement struct {
	Update string // its id
	State  State  // any but Pending
	Code   Code   // of the failure, when State is Failed
	Reason string // a sentence a person can act on; may be empty when State is Committed
	Commit string // hexadecimal object name, when State is Committed
}
