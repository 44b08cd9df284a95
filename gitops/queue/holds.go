package queue

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Holds keeps what people decided to hold updates by. It says nothing of what a hold does:
// that is for whoever works a lane to judge, who reports what is held as blocked. Safe for
// concurrent use.
//
// A hold that is in the store is in force until it is lifted or its time is over, whatever
// dies or is restored. The end of its time writes nothing. Ended holds are kept for
// [MemoryFor] after their end. Ids are numbered from h1, without gaps but for those
// that a restore leaves ([RestoredSkip]), and none is given twice.
type Holds interface {
	// HoldsInForce returns what holds now, and the revision of the holds.
	HoldsInForce(ctx context.Context) (InForce, error)

	// HoldsRevision returns a number that rises with each hold that is placed or lifted. It
	// is one read of one row, for whoever asks before every push: what HoldsInForce gave
	// with the same number is what is in the store. A store that lost its newest holds, in
	// a failover or by a restore, gives a number that it gave before only with what it
	// held then: what is placed in it afterwards has a number by its clock.
	HoldsRevision(ctx context.Context) (int64, error)

	// Place places holds, with an order if there is one, in one transaction with their
	// entries in the audit: all of it, or nothing. A hold takes the place of those in force
	// that it replaces ([gitops.Hold.Replaces]): these are lifted by who placed it, and what
	// they blocked is ready, as after Lift.
	//
	// An order is stored as Accept stores it, after the holds. If it is known, by its key or
	// its body, nothing is placed, whatever else is asked for: the first delivery is returned, with the holds that were
	// placed with it as they are now, and Duplicate is true. Without an order the same is
	// true of Key, for as long as a hold that was placed with it is kept. A placement of a Key
	// alone asks for that, and is Invalid when there is none. An order that
	// Accept would store as superseded is stored so, and its holds are placed all the same.
	//
	// The error's code is Invalid for what [Placement.Check] refuses; Conflict when
	// Placement.Written is set and the head of the order's app says by now that something
	// else was written; and TooLarge beyond [MaxHolds], or for an order that is too large.
	Place(ctx context.Context, p Placement) (Placed, error)

	// Lift ends holds before their time, all or none, in one transaction with their entries
	// in the audit. What they blocked is ready in the same transaction, and its lanes get
	// hints, also where something else holds it: its lane finds out. What that is: of the
	// pending updates that a hold covers, those with a block of its kind, and for a bad mark
	// with its tag. That is no step of theirs, and they count as held until something is
	// reported of them. The cost is that of what becomes ready.
	//
	// One that ended before is no error, changes nothing, and is returned as it ended. The
	// error's code is NotFound, and nothing is changed, when an id is not a hold's.
	Lift(ctx context.Context, l Lifting) (Lifted, error)

	// Rejudge makes ready what a block of the kind keeps from being written in the
	// environments, as Lift does; none means all. The freezes of the configuration have
	// changed, or for [gitops.BlockImage] another process looks after the environment. It is
	// no change of a hold, and leaves the revision. Of the other kinds that are no hold's it
	// does nothing.
	Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error

	// HoldsListed returns a page of holds, newest first, and the cursor of the next page,
	// "" when there is none. A page is shorter than its limit, or empty, where many holds
	// had to be looked at for it.
	HoldsListed(ctx context.Context, f HoldFilter, p Page) (found []gitops.Hold, next string, err error)
}

// MaxHolds is how many holds are in force at most: they are all judged for each update,
// and kept in memory by each replica.
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
	// of an override. The store sets their sequence, and their time where it is zero.
	Entries []gitops.AuditEntry

	Credential, Remote, Config string // for the audit: see gitops.AuditEntry
}

// Placed is what a placement led to.
type Placed struct {
	Holds     []gitops.Hold    // those of the placement, in its order
	Replaced  []gitops.Hold    // those whose place they took, as they are now; none of a duplicate
	Order     *gitops.Delivery // as stored
	Duplicate bool             // it is of an earlier request with the same key
}

// Lifting is what is lifted together.
type Lifting struct {
	IDs              []string
	Principal, Actor string
	Reason           string // may be empty
	DryRun           bool   // only find out what it would do

	Credential, Remote, Rule, Config string // for the audit: see gitops.AuditEntry
}

// Lifted is what a lifting led to.
type Lifted struct {
	Holds []gitops.Hold // as they are now, each once, in the order of ids; with DryRun as they were
	Ready int           // how many updates they blocked, and block no longer
}

// InForce is what holds at a time.
type InForce struct {
	Holds    []gitops.Hold // in the order in which they were placed
	Revision int64
	At       time.Time // by the store's clock
}

// HoldFilter says which holds are meant; an empty field means any.
type HoldFilter struct {
	Environment, App string // that the hold covers
	Kind             gitops.HoldKind
	Ended            bool   // also those that have ended
	Within           *Scope // a hold is in an area when it covers something of it, and its principal's is that of the scope
}

// Matches reports whether a hold is meant at a time.
func (f HoldFilter) Matches(h gitops.Hold, now time.Time) bool {
	if !f.Ended && !h.InForce(now) || !meant(f.Kind, h.Kind) || !touches(h, Area{f.Environment, f.App}) {
		return false
	}
	if f.Within == nil || f.Within.Principal != "" && f.Within.Principal == h.Principal {
		return true
	}
	return slices.ContainsFunc(f.Within.Areas, func(a Area) bool { return touches(h, a) })
}

// touches reports whether a hold covers something of an area.
func touches(h gitops.Hold, a Area) bool {
	return someOf(h.Environments, a.Environment) && someOf(h.Apps, a.App)
}

func someOf(names []string, name string) bool {
	return name == "" || len(names) == 0 || slices.Contains(names, name)
}
