package queue

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Checkpoints keeps how far a job has come. Safe for concurrent use.
type Checkpoints interface {
	// Checkpoint returns what SetCheckpoint last kept under the name; "" when
	// nothing was.
	Checkpoint(ctx context.Context, name string) (value string, err error)
	SetCheckpoint(ctx context.Context, name, value string) error
}

// PollCheckpoint begins the names of the checkpoints of polls. These are empty after a
// restore: which images were seen since the backup, and which versions people went back
// from, is lost, so what a registry has by then is no news.
const PollCheckpoint = "poll/"

// ReplayGuard remembers credentials that count once. Safe for concurrent use.
type ReplayGuard interface {
	// UseOnce notes that a credential was used for a delivery. For the same delivery
	// it may be used again, so that a sender who was not answered can ask again; for
	// another the error's code is Conflict. It is remembered until a time at which
	// the credential is worth nothing any more.
	UseOnce(ctx context.Context, credential string, by gitops.DeliveryKey, until time.Time) error
}

// Pruner forgets what nobody asks for any more. Safe for concurrent use.
type Pruner interface {
	// Prune forgets deliveries that arrived before a time and whose updates, if any,
	// were all final before it, oldest first, with their updates and steps; rejected
	// and ignored deliveries after [UnacceptedFor] already; used credentials whose time is over; and
	// the audit, the memory of deliveries and the holds that ended before after
	// [MemoryFor]. One call forgets at most
	// so many deliveries as the limit says, in transactions that are bounded by updates.
	// It returns how many deliveries it forgot. Heads and images are kept, and so is every
	// hold that is in force.
	Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error)
}
