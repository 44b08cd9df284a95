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
	Head       *HeadEntry
	Lane       *LaneState
	Checkpoint *Checkpoint
	UsedToken  *UsedToken
	Audit      *gitops.AuditEntry // that is not of an update of a delivery that is kept: those follow from it
	Memory     *Memory
	ProofKey   *gitops.ProofKey
	Suspect    *gitops.Suspect // notes of the process that exports are not among them
	Hold       *HoldEntry
	Lift       *LiftEntry
	Holds      *HoldsState
	Image      *gitops.SeenImage // those of a tag in the order in which they were recorded
}

// HoldEntry is a hold as it was placed.
type HoldEntry struct {
	gitops.Hold        // not lifted: that is an entry of its own, at its place in the order
	Request     string // [Placement.Request]
}

// LiftEntry is the end of a hold before its time.
type LiftEntry struct {
	Hold string // its id
	gitops.Lift
}

// HoldsState is which numbers were given, also those of holds that Prune forgot.
type HoldsState struct {
	Last     int64 // of the last hold's id
	Revision int64
}

// RestoredSkip is by how much the ids of holds rise when a store was restored: what was
// placed after the backup had ids that the store does not know, and none of them may come
// to mean another hold.
const RestoredSkip = 100_000

// StepEntry is a step of an update.
type StepEntry struct {
	Update string // its id
	gitops.Step
}

// HeadEntry is a head. The sequences in it are the other store's.
type HeadEntry struct {
	gitops.Head
	After        string // the id of the last update that is kept up to Head.Written; "" when there is none
	HealthyAfter string // the same of Head.Healthy
}

// WrittenHere is the head's Written in a store where the update After has this
// sequence. Where the update itself was pruned it is a sequence between those of the
// updates before and after: deliveries are pruned whole.
func (h HeadEntry) WrittenHere(after int64) int64 {
	return here(h.Written, h.WrittenID, h.After, after)
}

// HealthyHere is the head's Healthy in a store where the update HealthyAfter has this
// sequence, as WrittenHere is.
func (h HeadEntry) HealthyHere(after int64) int64 {
	return here(h.Healthy, h.HealthyID, h.HealthyAfter, after)
}

func here(sequence int64, id, afterID string, after int64) int64 {
	if sequence == 0 || afterID == id {
		return after
	}
	return after + 1
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
	Deliveries, Updates, Steps, Heads, Lanes, Checkpoints, UsedTokens, Audit, Memories, ProofKeys, Suspects, Holds, Lifts, Images int
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
	case e.Hold != nil:
		c.Holds++
	case e.Lift != nil:
		c.Lifts++
	case e.Image != nil:
		c.Images++
	}
}

// Exporter gives everything that a store holds to another.
type Exporter interface {
	// Export yields everything, as it is at one moment: deliveries, steps, holds, their
	// lifts and entries of the audit in the order in which they happened, and then the rest. Each environment
	// of an update has a lane. It ends after an error.
	Export(ctx context.Context) iter.Seq2[Entry, error]
}

// ImportOptions say what an import's entries are, and what may be in their way.
type ImportOptions struct {
	// Restored: another process went on with the store after the entries were
	// exported. So all updates that are in them, and are open or retried later, may
	// be on the branch, whatever the entries say of their lanes.
	Restored bool
	// Replace: where the store holds something, it is set aside first. Without it
	// that is an error.
	Replace bool
}

// Imported is what an import did.
type Imported struct {
	Counts        // how much the store now holds, counted in the store itself
	Aside  string // where what it held before is now; "" when it held nothing
}
