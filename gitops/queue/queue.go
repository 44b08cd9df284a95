// Package queue is the contract of the durable queue between the receivers and
// the lanes. The stores that fulfil it are its sub-packages, and
// gitops/queue/queuetest is the suite that each of them must pass.
//
// # The model
//
// A delivery and the updates it means are made durable together. Each
// environment's updates form a lane, ordered by acceptance. A lane is claimed
// with a lease: while it lasts, only its holder may settle the lane's updates.
// Every claim raises the lane's token, and a settlement under an older token is
// refused, so a holder that was paused past its lease cannot undo what its
// successor did (this is a fencing token as M. Kleppmann describes it in "How to
// do distributed locking", 2016).
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
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Inbox takes deliveries in. Safe for concurrent use.
type Inbox interface {
	// Accept stores the delivery and its updates in one transaction. When it
	// returns without error they survive kill -9 and power loss.
	//
	// The updates come with id, environment, app, repository, tag and digest;
	// Accept sets their sequence and the rest, and returns the delivery as stored.
	// Sequences follow acceptance: if one Accept returned before another began,
	// on this replica or any other, its updates have the smaller ones.
	//
	// An update whose delivery has an event time before that of the newest
	// accepted delivery for the same environment and app is stored as Superseded.
	// A delivery without an event time happened when it was received, and nothing
	// is newer than that; an event time after the receipt counts as the receipt.
	// Times are compared in whole seconds: EventBridge gives no fraction, and a
	// release must not be dropped for one that nobody knows.
	//
	// A delivery whose key is known is stored nowhere: the first one is returned,
	// with its updates as they stand now, and duplicate is true.
	Accept(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error)
}

// Lease is the right to settle one lane's updates until ExpiresAt. It is a
// value: Extend returns a new one.
type Lease struct {
	Environment string
	Holder      string // names the process, for logs and for people
	Token       int64  // rises with every claim of the lane
	ExpiresAt   time.Time
}

// Lanes hands out work. Safe for concurrent use.
type Lanes interface {
	// Claim takes the environment's lane for ttl. While another holder's lease
	// lasts the error's code is Conflict and its RetryAfter the rest of that lease.
	Claim(ctx context.Context, environment, holder string, ttl time.Duration) (Lease, error)

	// Extend makes the lease last ttl from now. The error's code is Conflict when
	// the lane has been claimed since; a lease that merely ran out can be extended
	// as long as nobody claimed the lane.
	Extend(ctx context.Context, l Lease, ttl time.Duration) (Lease, error)

	// Release gives the lane back at once. With clean the caller vouches that it
	// has settled every update it may have pushed; without, the next claim marks
	// what is pending MaybePushed, as it does after a lease that ran out.
	// A lease that is no longer the caller's is no error.
	Release(ctx context.Context, l Lease, clean bool) error

	// Pending returns the lane's first pending updates in acceptance order, at
	// most limit. The error's code is Conflict when the lease is no longer the
	// caller's.
	Pending(ctx context.Context, l Lease, limit int) ([]gitops.Update, error)

	// Settle records how updates of the lane ended, and counts an attempt and a
	// step for each, all in one durable transaction. An update that has already
	// ended keeps its first settlement. The lane waits for nothing any more, and
	// has succeeded now. The error's code is Conflict, and nothing is recorded,
	// when the lease is no longer the caller's.
	Settle(ctx context.Context, l Lease, settlements []gitops.Settlement) error

	// Defer records that an attempt left updates pending, as a step of each, and
	// what the lane waits for. Errors as Settle.
	Defer(ctx context.Context, l Lease, d Deferral) error

	// Wake returns a channel that receives after updates of the environment were
	// accepted. It is a hint for one waiter per environment: it may come without
	// cause, and one accepted by another replica may come late or not at all, so
	// whoever waits on it also looks from time to time.
	Wake(environment string) <-chan struct{}
}

// Deferral says why updates stay pending: somebody else's fault.
type Deferral struct {
	Updates []string // their ids
	Code    gitops.Code
	Reason  string    // a sentence
	RetryAt time.Time // when the lane means to try again; zero when its holder gave the work up
}

// Backlog is what waits in one lane, and what for.
type Backlog struct {
	Environment string
	Pending     int
	Oldest      time.Time // when the oldest pending update was accepted; zero when none is pending
	Holder      string    // of the lease; "" when the lane was given back or its holder is known to be dead

	LastSuccess  time.Time   // when updates were last settled; zero when none ever were
	FailingSince time.Time   // of the first Defer after that; zero while nothing fails, and so the rest
	RetryAt      time.Time   // the latest Defer's
	Code         gitops.Code // the latest Defer's
	Reason       string      // the latest Defer's
}

// Records answers questions. Safe for concurrent use.
type Records interface {
	// Delivery returns one delivery with its updates in the order they were
	// planned, and its body.
	Delivery(ctx context.Context, key gitops.DeliveryKey) (gitops.Delivery, error)

	// Update returns one update with its steps.
	Update(ctx context.Context, id string) (gitops.Update, error)

	// Backlogs returns the backlog of every environment that has ever had an
	// update, in no particular order.
	Backlogs(ctx context.Context) ([]Backlog, error)
}

// Page asks for one page of a list. Lists are newest first: in the reverse of the
// order in which deliveries were accepted, and of that in which their updates
// were planned.
type Page struct {
	Cursor string // where the last page ended, as it was given; "" begins with the newest
	Limit  int    // at most so many; at least 1
}

// DeliveryFilter says which deliveries are meant; an empty field means any.
type DeliveryFilter struct {
	Source  string
	Outcome gitops.Outcome
}

// UpdateFilter says which updates are meant; an empty field means any.
type UpdateFilter struct {
	Environment, App string
	State            gitops.State
}

// Change is one thing that happened: a delivery arrived, or an update that was
// accepted before went on. Exactly one of the two is set.
type Change struct {
	Cursor   string // what Changes is asked with to get all that came after it
	At       time.Time
	Delivery *gitops.Delivery // with its updates as they stand now, without its body
	Update   *gitops.Update   // as the change left it, without its steps and MaybePushed
}

// Stories tells what happened, to people and to whoever follows along. Safe for
// concurrent use. A cursor that no store made is Invalid, and names the field
// "cursor".
type Stories interface {
	// Deliveries returns a page of deliveries with their updates, without bodies,
	// and the cursor of the next page, "" when there is none. What is accepted
	// between two calls neither moves nor repeats an entry.
	Deliveries(ctx context.Context, f DeliveryFilter, p Page) (found []gitops.Delivery, next string, err error)

	// Updates is the same for updates, without their steps.
	Updates(ctx context.Context, f UpdateFilter, p Page) (found []gitops.Update, next string, err error)

	// Changes returns at most limit of the changes that came after the cursor, in
	// an order that every replica sees alike, with no change that could still
	// appear before one that was returned. An attempt that ended as the one before
	// is no change. An empty cursor means from the first that is kept.
	Changes(ctx context.Context, after string, limit int) ([]Change, error)

	// Latest is the cursor of the newest change, or one that all changes come after
	// when there is none.
	Latest(ctx context.Context) (cursor string, err error)

	// Changed returns a channel that is closed after the next change. It is a hint
	// as that of [Lanes.Wake]: who waits on it also looks from time to time.
	Changed() <-chan struct{}
}

// Upkeep is what keeps the store in order over time. Safe for concurrent use.
type Upkeep interface {
	// Retry makes a failed update pending again on the word of actor and returns it
	// with its steps; it keeps its place in acceptance order and its attempts, and
	// gets a step that says so. The error's code is
	// NotFound when there is no such update, and Conflict when it did not fail, or
	// when a later update of the same app in the same environment is pending,
	// committed or unchanged: an old release must not overwrite a newer one.
	Retry(ctx context.Context, id, actor string) (gitops.Update, error)

	// Known returns those of the ids that are deliveries of the source, in the
	// order in which they are asked for.
	Known(ctx context.Context, source string, ids []string) (known []string, err error)

	// Mark returns what SetMark last kept under the name; "" when nothing was.
	Mark(ctx context.Context, name string) (value string, err error)
	SetMark(ctx context.Context, name, value string) error

	// Spend notes that a credential that counts once was used for a delivery. For
	// the same delivery it may be spent again, so that a sender who was not
	// answered can ask again; for another the error's code is Conflict. It is
	// remembered until a time at which the credential is worth nothing any more.
	Spend(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error

	// Prune forgets at most limit deliveries that arrived before a time and whose
	// updates, if any, had all ended before it, oldest first, with their updates
	// and steps; and spent credentials whose time is over. It returns how many
	// deliveries it forgot. What decides whether an event comes too late is kept; so
	// is one with an update that is on the branch, while an older update of the same
	// app in the same environment that failed, or waits, is there: it is what Retry
	// refuses the older one for.
	Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error)
}

// Queue is a store that does all of it.
type Queue interface {
	Inbox
	Lanes
	Records
	Stories
	Upkeep

	// Ping reports whether the store can take a delivery now.
	Ping(ctx context.Context) error

	// Close finishes what was begun and frees the store. Calls that come after it
	// get Unavailable. It may be called more than once.
	Close() error
}
