package queue

import (
	"context"
	"iter"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Entry is one thing that a store holds, on its way into another store. Exactly
// one of its fields is set.
type Entry struct {
	Delivery   *gitops.Delivery // with its body, and its updates as they stand, without their steps
	Step       *StepEntry
	Head       *gitops.Head
	Lane       *LaneState
	Checkpoint *Checkpoint
	UsedToken  *UsedToken
	Audit      *gitops.AuditEntry // that is not of an update of a delivery that is kept: those follow from it
	Memory     *Memory
	ProofKey   *gitops.ProofKey
	Suspect    *gitops.Suspect // notes of the process that exports are not among them
}

// StepEntry is a step of an update.
type StepEntry struct {
	Update string // its id
	gitops.Step
}

// LaneState is what a lane is when nobody holds it.
type LaneState struct {
	Environment string
	Token       int64  // of the latest claim
	Holder      string // of the latest claim
	Clean       bool   // its holder vouched for what it pushed
	Through     string // the id of the last update that an earlier holder may have pushed; "" when there is none
	Backlog     Backlog
}

// Checkpoint is what [Checkpoints.SetCheckpoint] kept.
type Checkpoint struct{ Name, Value string }

// UsedToken is a credential that [ReplayGuard.UseOnce] noted.
type UsedToken struct {
	Credential string
	By         gitops.DeliveryKey
	Until      time.Time
}

// Memory is what is left of a delivery that Prune forgot.
type Memory struct {
	Hash       []byte    // [KeyHash], or the BodyDigest
	Delivery   string    // source/id, of a BodyDigest
	ReceivedAt time.Time // of the delivery
}

// Counts is how much a store holds.
type Counts struct {
	Deliveries, Updates, Steps, Heads, Lanes, Checkpoints, UsedTokens, Audit, Memories, ProofKeys, Suspects int
}

// Add counts an entry.
func (c *Counts) Add(e Entry) {
	switch {
	case e.Delivery != nil:
		c.Deliveries++
		c.Updates += len(e.Delivery.Updates)
	case e.Step != nil:
		c.Steps++
	case e.Head != nil:
		c.Heads++
	case e.Lane != nil:
		c.Lanes++
	case e.Checkpoint != nil:
		c.Checkpoints++
	case e.UsedToken != nil:
		c.UsedTokens++
	case e.Audit != nil:
		c.Audit++
	case e.Memory != nil:
		c.Memories++
	case e.ProofKey != nil:
		c.ProofKeys++
	case e.Suspect != nil:
		c.Suspects++
	}
}

// Exporter gives everything that a store holds to another.
type Exporter interface {
	// Export yields everything, as it is at one moment: deliveries, steps and entries
	// of the audit in the order in which they happened, and then the rest. It ends after an error.
	Export(ctx context.Context) iter.Seq2[Entry, error]
}

// Importer takes everything that another store held.
type Importer interface {
	// Import brings the entries in and returns how much the store then holds, counted
	// in the store itself: all of them, or none when it returns an error. Updates
	// keep their order and changes theirs; cursors of the other store mean nothing
	// here. The error's code is Conflict when the store holds anything before.
	Import(ctx context.Context, entries iter.Seq2[Entry, error]) (Counts, error)
}
