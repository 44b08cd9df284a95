package gitops

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// State is where an update stands. It begins as [Pending]; the transition table
// says where it can go from there.
type State string

const (
	Pending    State = "pending"    // durable, and waiting to be written
	Proposed   State = "proposed"   // in a pull request that is open
	Committed  State = "committed"  // its commit is on the branch
	Unchanged  State = "unchanged"  // the branch had its tag already; no commit
	Superseded State = "superseded" // a newer release of the same app took its place
	Failed     State = "failed"     // its own fault; the reason says what to fix
	Closed     State = "closed"     // a person closed its pull request
	Cancelled  State = "cancelled"  // a person cancelled it, or its environment or app left the configuration
)

// States lists every [State].
func States() []State {
	return []State{Pending, Proposed, Committed, Unchanged, Superseded, Failed, Closed, Cancelled}
}

// Final reports whether tallyman does nothing more for an update in this state by
// itself. Every state but Pending and Proposed is final.
func (s State) Final() bool { return s != Pending && s != Proposed }

// Written reports whether the branch has what an update in this state asked for,
// or had it before a newer one.
func (s State) Written() bool { return s == Committed || s == Unchanged }

// Update is one thing a delivery asks for: this image, in this app, in this
// environment. Its JSON form is the API's.
type Update struct {
	ID          string      `json:"id"` // [UpdateID]
	Delivery    DeliveryKey `json:"delivery"`
	Actor       string      `json:"-"` // the delivery's
	Environment string      `json:"environment"`
	App         string      `json:"app"`
	Repository  string      `json:"repository,omitempty"` // the image without tag, as configured for the app
	Tag         string      `json:"tag"`
	Digest      string      `json:"digest,omitempty"`
	Rule        string      `json:"rule,omitempty"`  // the access rule that allowed it, as in "access[2]"
	OnlyUp      bool        `json:"-"`               // it must not lower the version: an image was pushed, and nobody named it for this environment
	Terms       *Terms      `json:"terms,omitempty"` // of a person's order: what beside the tag was asked for
	State       State       `json:"state"`
	BlockedBy   []Block     `json:"blockedBy,omitempty"` // what keeps it from being written, while it is pending
	Code        Code        `json:"code,omitempty"`      // of the failure, when State is Failed
	Reason      string      `json:"reason,omitempty"`    // why it ended so
	Commit      string      `json:"commit,omitempty"`    // hexadecimal object name, when State is Committed
	Attempts    int         `json:"attempts"`            // how often something was reported of it
	AcceptedAt  time.Time   `json:"acceptedAt"`          // UTC
	FinishedAt  time.Time   `json:"finishedAt,omitzero"`
	Steps       []Step      `json:"steps,omitempty"` // oldest first; only where one update is asked for

	// OvertakenBy is, of a failed update, the id of the newest later one of its app that
	// is open or written: a retry is refused, and it counts as failed no longer. Only
	// the API's answers have it.
	OvertakenBy string `json:"overtakenBy,omitempty"`
	// Decisions are those that the transition table allows in its state, for whoever
	// reads it. Only where the API is asked for one update or delivery.
	Decisions []PossibleDecision `json:"decisions,omitempty"`
	// Feedback is what GitHub shows of it, while no later update of its app was told. Only
	// where the API is asked for one update or delivery.
	Feedback *Feedback `json:"feedback,omitempty"`

	// Found is what the registry said of its image before it was written; nil where the
	// environment has no image inspected, and before it was.
	Found *Found `json:"found,omitempty"`

	// Proposal is its pull request, as last reported; nil where it never had one.
	Proposal *Proposal `json:"proposal,omitempty"`
	// Rollout says where it stands in the cluster; nil where it is not followed there, and
	// before that has begun.
	Rollout *Rollout `json:"rollout,omitempty"`
	// FollowedBy is who is to say where it stands in the cluster, by the configuration now:
	// "argocd" or "reports"; "" where updates of its app are not followed there. Only where
	// the API is asked for one update or delivery.
	FollowedBy string `json:"followedBy,omitempty"`
	// Revision is the commit of the app's own repository that its image was built from, as
	// the sender said: a full hexadecimal name; "" when it did not say.
	Revision string `json:"revision,omitempty"`
	// ClosedBefore is set where automation asks for a tag whose proposal a person closed,
	// unless the app has been written since. Only Take gives it.
	ClosedBefore *ClosedBefore `json:"-"`

	// EventTime is when the delivery's event happened by its sender's clock; zero
	// when the sender does not say, or says a time after the receipt.
	EventTime time.Time `json:"-"`
	// Recovered is the delivery's, and true of one that waited: it was accepted later
	// than it happened, and perhaps before by a store that has forgotten it.
	Recovered bool `json:"-"`
	// Principal is the delivery's, as Actor.
	Principal string `json:"-"`
	// HeldUntil is when what last held it ended, by itself or because a person lifted it,
	// until something is reported of it again. It is zero while something holds it. Only
	// Lanes.Take of package queue gives it.
	HeldUntil time.Time `json:"-"`
	// WrittenTag is the tag that its app's [Head] says was written before; "" when nothing
	// was. Only Take gives it.
	WrittenTag string `json:"-"`
	// ImageSince is since when its image is known to be missing: Since of the [BlockImage]
	// that was last reported of it with an end, also when that has lifted; zero where
	// something else was reported since, or a person retried it. Only Take gives it.
	ImageSince time.Time `json:"-"`
	// RetriedAt is when a person last asked for it to be tried again.
	RetriedAt time.Time `json:"-"`
	// CancelRequest is set while a person's cancellation waits for the lane, which
	// alone knows whether the update is being pushed.
	CancelRequest *CancelRequest `json:"cancelRequested,omitempty"`
	// Sequence is the acceptance order within the environment: if one update was
	// answered before another was sent, its number is the smaller.
	Sequence int64 `json:"-"`
	// MaybePushed says that an earlier holder of the lane may have pushed this
	// update and died before it could say so. Whoever writes it must first look
	// for its trailer on the branch.
	MaybePushed bool `json:"-"`
}

// ImageDigest is the digest of its image: the one that was ordered, or else the one that the
// registry named for the tag; "" while neither is known.
func (u Update) ImageDigest() string {
	if u.Digest == "" && u.Found != nil {
		return u.Found.Digest
	}
	return u.Digest
}

// lateAfter is how much later than its event an update may be accepted before it is
// taken to have come late.
const lateAfter = time.Minute

// CameLate reports whether the update was accepted well after its event: it may have
// been accepted before, by a store that has forgotten it.
func (u Update) CameLate() bool {
	return u.Recovered || !u.EventTime.IsZero() && u.AcceptedAt.Sub(u.EventTime) > lateAfter
}

// Moment says when the update's event happened, whose receipt is given: the delivery's,
// or when the update was accepted where that is earlier.
func (u Update) Moment(receipt time.Time) EventMoment {
	return EventMoment{
		Event: u.EventTime, Receipt: receipt, Accepted: u.AcceptedAt, Person: IsPerson(u.Principal), Recovered: u.Recovered,
		OnlyUp: u.OnlyUp, Version: VersionKey(u.Tag),
	}
}

// PossibleDecision is what a person may decide about an update. Its JSON form is the
// API's.
type PossibleDecision struct {
	Action  Action `json:"action"`            // retry, cancel or dismiss
	Refused string `json:"refused,omitempty"` // why it would be refused now; "" when it would not
}

// CancelRequest says who wants an update cancelled, and why. Its JSON form is the
// API's.
type CancelRequest struct {
	Actor  string `json:"actor"`
	Reason string `json:"reason,omitempty"`
}

// UpdateID is an update's id: a function of its delivery, environment and app, as
// a UUID of version 8 (RFC 9562, section 5.8) over SHA-256. So a delivery that is
// taken in again, also by a store that was restored from a backup, makes the same
// updates, and their trailers are found on the branch. It must never change.
//
// Its first half is the delivery's alone ([DeliveryKey.UpdatePrefix]).
func UpdateID(key DeliveryKey, environment, app string) string {
	first := key.UpdatePrefix()
	rest := sha256.Sum256([]byte(key.Source + "\x00" + key.ID + "\x00" + environment + "\x00" + app))
	rest[0] = rest[0]&0x3f | 0x80 // the variant of RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", first[:4], first[4:6], first[6:8], rest[:2], rest[2:8])
}

// UpdatePrefix is the first half of the ids of the delivery's updates, so that a store
// which finds a delivery by it needs no index of the updates' ids.
func (k DeliveryKey) UpdatePrefix() [8]byte {
	sum := sha256.Sum256([]byte(k.Source + "\x00" + k.ID))
	prefix := [8]byte(sum[:8])
	prefix[6] = prefix[6]&0x0f | 0x80 // version 8
	return prefix
}

// Step is one thing that happened to an update after it was accepted: what was
// reported of it, or a person's decision. Reports in a row that say the same are
// one step. Its JSON form is the API's.
type Step struct {
	At       time.Time `json:"at"`               // UTC; of the first report
	Until    time.Time `json:"until,omitzero"`   // of the last report, when there were several
	Attempts int       `json:"attempts"`         // how many; 0 for a person's decision
	State    State     `json:"state"`            // what it left the update in
	Code     Code      `json:"code,omitempty"`   // of what went wrong
	Reason   string    `json:"reason,omitempty"` // what went wrong, what blocks it, or why it ended so
	Commit   string    `json:"commit,omitempty"` // when State is Committed
	RetryAt  time.Time `json:"retryAt,omitzero"` // when what blocks it lifts by itself
	Actor    string    `json:"actor,omitempty"`  // who decided

	// Rollout is where it came to stand in the cluster, of a step that is about that: Reason
	// is the rollout's then.
	Rollout RolloutState `json:"rollout,omitempty"`
}

// AsOf is the update as one of its steps left it, for who follows the changes: later is how
// many attempts came after that. Blocks, MaybePushed and Steps are not told. A step of the
// rollout leaves what the update became, which is written and stays so, and changes where its
// Rollout stands and why; the rest of that, and what no step tells, are as they are by now.
func (u Update) AsOf(s Step, later int) Update {
	u.Attempts -= later
	u.BlockedBy, u.MaybePushed, u.Steps = nil, false, nil
	if s.Rollout != "" {
		u.Rollout = u.Rollout.Clone()
		u.Rollout.State, u.Rollout.Reason = s.Rollout, s.Reason
		return u
	}
	u.State, u.Code, u.Reason, u.Commit, u.FinishedAt = s.State, s.Code, s.Reason, s.Commit, time.Time{}
	if u.State.Final() {
		u.FinishedAt = s.At
	}
	return u
}

// Held says that something has come to hold an update since the lane took it.
type Held struct {
	Update    string // its id
	BlockedBy []Block
}

// HandEdit says that the tag that an update would replace was put there by a commit that
// is not the writer's own, after the writer had written another.
type HandEdit struct {
	Update string    // the id of the update that would replace it
	Tag    string    // that the file has
	Commit string    // hexadecimal name of the commit that put it there; of the file's content when it was not found
	Author string    // name of the commit's author, one line; "unknown" when it was not found
	At     time.Time // when it was committed, by its committer's clock, UTC; zero when it was not found
}

// Refusal says that the git server refuses one update although it takes others:
// it stays pending and waits alone.
type Refusal struct {
	Update string // its id
	Code   Code   // [Rejected] or [TooLarge]
	Reason string // a sentence with the server's words
}

// WriteTask is what a lane asks of the writer for one update.
type WriteTask struct {
	Update Update
	// SearchOnly: do not write it, only find out whether it is on the branch
	// already. It is blocked, or to be cancelled, or older than what is written.
	SearchOnly bool
	// Expected is the tag that the file must have for the update to be written: what was
	// written last. What has another tag, and not the update's own, is a [HandEdit]. ""
	// means any.
	Expected string
}

// WriteResult is what a writer knows after a write. An update of the call that is
// in no list is not on the branch when the write returned no error, and may be when
// it returned one.
type WriteResult struct {
	Transitions []Transition // actions commit, confirm, supersede, fail and cancel
	Refused     []Refusal
	Held        []Held     // not on the branch
	HandEdits   []HandEdit // not on the branch
	// Unknown are the ids of the updates whose manifest repository could not be written
	// while others could. They may or may not be on the branch, as after an error.
	Unknown []string
}
