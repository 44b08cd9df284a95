// Package queue is the contract of the durable queue between the receivers and
// the lanes. The stores that fulfil it are its sub-packages, and
// gitops/queue/queuetest is the suite that each of them must pass.
//
// # The model
//
// A delivery and its updates are made durable together. An environment's updates
// form its lane. A lane is worked under a lease: while it lasts, only its holder
// may report on the lane's updates. Every claim raises the lease's token, and a
// report under an older token is refused, so a holder that was paused past its
// lease cannot undo what its successor did (this is a fencing token as M. Kleppmann
// describes it in "How to do distributed locking", 2016).
//
// # Order
//
// Order is per environment and app. Of one app nothing is written over what was
// accepted later: once an update is reported as written, every older open one of
// its app is superseded in the same transaction, and the app's [gitops.Head] keeps
// what was written for ever. What is proposed supersedes what is older, too: whoever
// merges it merges the newest. Apps do not wait for one another.
//
// # What an update waits for
//
// A pending update is ready, or blocked ([gitops.Update.BlockedBy]). A block that
// has an end lifts by itself at that time, without a write: whether an update is
// ready is a question of the time at which it is asked. What blocks a whole lane,
// such as a git server that is away, is an [Outage] of the lane and not a block.
// What people hold updates by is kept by [Holds], and becomes blocks when a lane judges.
//
// A delivery waits as a whole, without updates, where its event names an app that is not
// known yet ([Waiting]). When it is decided its updates are accepted at that moment.
//
// # What a crash leaves
//
// Before Accept returns, nothing: the sender was not answered and sends again,
// or is told of a duplicate. After it, pending updates. A process that dies
// while it holds a lease leaves pending updates that it may have pushed; the
// next claim marks them [gitops.Update.MaybePushed].
//
// # Errors
//
// Every error is a [*gitops.Error] or wraps one: Unavailable when the store does
// not answer, Conflict for a lease that is no longer (or not yet) one's own,
// NotFound for a delivery or update that is not there.
package queue

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// MaxUpdates is how many updates one delivery may have. Bounds of transactions
// count updates, not deliveries, and one delivery must fit into a transaction that
// ends long before a sender gives up.
const MaxUpdates = 5_000

// Inbox takes deliveries in. Safe for concurrent use.
type Inbox interface {
	// Accept stores the delivery and its updates in one transaction. When it
	// returns without error they survive kill -9 and power loss.
	//
	// The updates come with environment, app, repository, tag, digest, OnlyUp and terms;
	// Accept sets their id, which is [gitops.UpdateID], their sequence and the rest (an event
	// time only when it is [gitops.EventMoment.Dated]), and
	// returns the delivery as stored. Sequences follow acceptance: if one Accept
	// returned before another began, on this replica or any other, its updates have
	// the smaller ones. A delivery with more than [MaxUpdates] is TooLarge, and one
	// that names an environment and app twice is Invalid.
	//
	// An update whose event is late ([gitops.Head.Late]) is stored as Superseded, with
	// the reason [gitops.Head.LateBehind], and leaves the head as it is but for
	// [gitops.Head.AcceptedVersion]. What is OnlyUp is
	// late behind orders, and behind pushes whose version is not lower; what automation asks
	// for is late behind a person's order. The receipt is the delivery's, or the store's now
	// where that is earlier.
	//
	// An update that is OnlyUp and not late is stored as Superseded, too, with the same
	// effect on the head, when its version is lower ([gitops.LowerVersion]) than that of the tag
	// that the head says was written or of an update of its app that is open. The reason
	// is [gitops.LowerThan]. What failed, was cancelled or was superseded does not count,
	// and an update of the same version, perhaps with another digest, is accepted.
	//
	// A delivery that waits ([Waiting]) is stored with its event, up to [MaxWaiting].
	//
	// A delivery whose key is known is stored nowhere: the first one is returned,
	// with its updates as they stand now, and duplicate is true. So is an accepted or
	// waiting one whose BodyDigest another such has; of that the key is the first one's. A
	// key and a digest are known for [MemoryFor] after the receipt, also when Prune has
	// forgotten the delivery: then [Forgotten] is returned. What Prune forgot as
	// rejected or ignored is not known any more.
	Accept(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error)

	// ExistingIDs returns those of the ids that are deliveries of the source, in the
	// order in which they are asked for.
	ExistingIDs(ctx context.Context, source string, ids []string) (existing []string, err error)
}

// Decisions takes what a person decides about an update. Safe for concurrent use.
type Decisions interface {
	// Decide applies a person's retry, dismiss or cancel to an update and returns it
	// with its steps; the decision is a step of its own, with actor and reason. The
	// error's code is NotFound when there is no such update, Conflict when the
	// transition table does not allow the action in the update's state, and Invalid
	// for any other action.
	//
	// With DryRun nothing is changed and the update is returned as it is: the error is
	// that of a decision without it.
	//
	// Retry makes a failed update pending again; it keeps its place in acceptance
	// order and its attempts. It is a Conflict when the update is overtaken
	// ([Reader.Failures]): an old release must not overwrite a newer one. It is a Conflict, too, when the update is OnlyUp and its version is lower
	// than what Accept compares with by now. Of a pending update it lifts all blocks, whatever came later, and is
	// a Conflict when nothing blocks it. Both set [gitops.Update.RetriedAt].
	//
	// Dismiss makes a failed update cancelled, with the decision's reason.
	//
	// Cancel sets [gitops.Update.CancelRequest] and leaves the state as it is: the
	// lane's holder alone knows whether the update is being pushed, and reports
	// the result. Asking for it again is not an error, keeps the first request and
	// adds no step.
	Decide(ctx context.Context, d Decision) (gitops.Update, error)
}

// Decision is what a person decided about an update.
type Decision struct {
	Update string        // its id
	Action gitops.Action // retry, dismiss or cancel
	Actor  string
	Reason string // may be empty
	DryRun bool   // only find out whether it is possible

	// For the audit: see gitops.AuditEntry.
	Principal, Credential, Remote, Rule, Config string
}

// Queue is a store that does all of it.
type Queue interface {
	Inbox
	Waiting
	Images
	Decisions
	Leases
	Lanes
	Rollouts
	Holds
	Reader
	ChangeFeed
	Checkpoints
	ReplayGuard
	Pruner
	Audit
	ProofKeys
	Parsing
	Meter

	// Ping reports whether the store can take a delivery now.
	Ping(ctx context.Context) error

	// Close finishes what was begun and frees the store. Calls that come after it
	// get Unavailable. It may be called more than once.
	Close() error
}
