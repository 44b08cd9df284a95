package queue

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Holds keeps what people decided to hold updates by. It says nothing of what a hold does:
// that is for whoever works a lane to judge, who reports what is held as blocked. Safe for
// concurrent use.
//
// A hold that is in the store is in force until it is lifted or its time is over, whatever
// dies or is restored. The end of its time writes nothing. Ended holds are kept for
// [MemoryFor].
type Holds interface {
	// HoldsInForce returns what holds now, and the revision of the holds.
	HoldsInForce(ctx context.Context) (InForce, error)

	// HoldsRevision returns a number that rises with each hold that is placed or lifted. It
	// is one read of one row, for whoever asks before every push.
	HoldsRevision(ctx context.Context) (int64, error)

	// Place places holds, with an order if there is one, in one transaction with their
	// entries in the audit: all of it, or nothing. A pin takes the place of one that is in
	// force for the same app and environment, and a bad mark that of one of the same scope
	// and tag.
	//
	// An order is stored as Accept stores it, after the holds. If its key is known, nothing is placed:
	// the first delivery is returned, with the holds that were placed with it, and Duplicate is true. Without an
	// order the same is true of Key. An order that Accept would store as superseded is
	// stored so, and its holds are placed all the same.
	//
	// The error's code is Conflict when Placement.Written is set and the head of the order's
	// app says by now that something else was written.
	Place(ctx context.Context, p Placement) (Placed, error)

	// Lift ends holds before their time, all or none, in one transaction with their entries
	// in the audit. What they blocked is ready in the same transaction, also where something
	// else holds it: its lane finds out. It returns the holds as they are now, in the order
	// of ids. One that ended before is no error, and is returned as it ended. The
	// error's code is NotFound when an id is not a hold's.
	Lift(ctx context.Context, l Lifting) ([]gitops.Hold, error)

	// Rejudge makes ready what a block of the kind keeps from being written in the
	// environments: the freezes of the configuration have changed.
	Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error

	// HoldsListed returns a page of holds, newest first, and the cursor of the next page,
	// "" when there is none.
	HoldsListed(ctx context.Context, f HoldFilter, p Page) (found []gitops.Hold, next string, err error)
}

// InForce is what holds at a time.
type InForce struct {
	Holds    []gitops.Hold // in the order in which they were placed
	Revision int64
	At       time.Time // by the store's clock
}

// MaxHolds is how many holds are in force at most: they are all judged for each update,
// and kept in memory by each replica. Place's error is TooLarge beyond.
const MaxHolds = 10_000

// Placement is what is placed together.
type Placement struct {
	// Holds come without ID, Since and Lifted, which the store sets.
	Holds []gitops.Hold
	// Order is written under the holds; nil for none. It is an accepted delivery, as for
	// Accept.
	Order *gitops.Delivery
	// Written, with an order of one update, is the id of the update that the caller found
	// to be the last written of its app ([gitops.Head.WrittenID]); "" for any.
	Written string
	// Key names the request: the same key is the same placement. "" for none, and with an
	// order, whose delivery's key counts.
	Key string
	// Entries are for the audit, beside those of the holds and of the order: of a rollback,
	// of an override. The store sets their sequence and time.
	Entries []gitops.AuditEntry

	Credential, Remote, Config string // for the audit: see gitops.AuditEntry
}

// Placed is what a placement led to.
type Placed struct {
	Holds     []gitops.Hold    // those of the placement, in its order
	Replaced  []gitops.Hold    // those whose place they took
	Order     *gitops.Delivery // as stored
	Duplicate bool             // it is of an earlier request with the same key
}

// Lifting is what is lifted together.
type Lifting struct {
	IDs              []string
	Principal, Actor string
	Reason           string // may be empty

	Credential, Remote, Rule, Config string // for the audit: see gitops.AuditEntry
}

// HoldFilter says which holds are meant; an empty field means any.
type HoldFilter struct {
	Environment, App string // that the hold covers
	Kind             gitops.HoldKind
	Ended            bool   // also those that have ended
	Within           *Scope // a hold is in an area when it covers something of it
}
