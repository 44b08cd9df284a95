package api

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
)

// HoldRequest is the body of a hold. Which fields a kind has is for package acts to say.
type HoldRequest struct {
	Kind         gitops.HoldKind `json:"kind"`
	Environments []string        `json:"environments,omitempty"` // none means all
	Apps         []string        `json:"apps,omitempty"`         // none means all
	Tag          string          `json:"tag,omitempty"`
	Digest       string          `json:"digest,omitempty"` // of a pin: that its order writes
	Reason       string          `json:"reason,omitempty"`
	Until        string          `json:"until,omitempty"` // RFC 3339
	For          string          `json:"for,omitempty"`   // a duration, as in "72h"
	DryRun       bool            `json:"dryRun,omitempty"`
}

// HoldAnswer says what was placed.
type HoldAnswer struct {
	Hold     gitops.Hold      `json:"hold"`               // without an id in a dry run
	Replaced []gitops.Hold    `json:"replaced,omitempty"` // whose place it took
	Order    *gitops.Delivery `json:"order,omitempty"`    // of a pin whose tag is not on the branch, with what holds it
	UnderWay []string         `json:"underWay,omitempty"` // of a dry run: the ids of open updates that it would hold
	Stop     *Stopped         `json:"stop,omitempty"`     // of a stop
	DryRun   bool             `json:"dryRun,omitempty"`   // nothing was stored
	Undo     string           `json:"undo,omitempty"`     // the command that undoes it
}

// Stopped says how far a stop has come when it is answered.
type Stopped struct {
	UnderWay      []string  `json:"underWay"`            // ids of updates that this process was still pushing, or had the forge merge by itself
	QuietSince    time.Time `json:"quietSince,omitzero"` // since when it does neither with what is stopped; not there while it does
	OtherReplicas []string  `json:"otherReplicas"`       // that work lanes of what is stopped: each sees the stop before its next push
}

// HoldList is a page of holds.
type HoldList struct {
	Holds []gitops.Hold `json:"holds"`
	Next  string        `json:"next,omitempty"` // the cursor of the next page
}

// LiftAnswer says what was lifted.
type LiftAnswer struct {
	Hold   gitops.Hold `json:"hold"`
	Ready  int         `json:"ready"`            // how many updates it held: they are judged again, and go on unless something else holds them
	DryRun bool        `json:"dryRun,omitempty"` // nothing was changed
	Undo   string      `json:"undo,omitempty"`   // the command that places it again; not there when its time is over
}

// RollbackRequest is the body of a rollback.
type RollbackRequest struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Tag         string `json:"tag,omitempty"`    // none means the last other one that was there and is not bad
	Digest      string `json:"digest,omitempty"` // none means that of the last update to the tag, if it had one
	Reason      string `json:"reason"`
	Until       string `json:"until,omitempty"` // of the pin, RFC 3339
	For         string `json:"for,omitempty"`   // the same, as a duration
	Keep        bool   `json:"keep,omitempty"`  // do not mark the tag that is left as bad
	ThroughStop string `json:"throughStop,omitempty"`
	DryRun      bool   `json:"dryRun,omitempty"`
}

// RollbackAnswer says what a rollback does.
type RollbackAnswer struct {
	From     string             `json:"from"`
	To       string             `json:"to"`
	Update   *gitops.Update     `json:"update,omitempty"` // not there when the branch has the tag and nothing is under way
	Delivery gitops.DeliveryKey `json:"delivery,omitzero"`
	Pin      gitops.Hold        `json:"pin"`
	Bad      *gitops.Hold       `json:"bad,omitempty"`
	Replaced []gitops.Hold      `json:"replaced,omitempty"` // whose place they took
	UnderWay []string           `json:"underWay,omitempty"` // ids of open updates of the app, which the rollback is written after
	Note     string             `json:"note,omitempty"`     // why nothing is written
	DryRun   bool               `json:"dryRun,omitempty"`   // nothing was stored
	Resume   string             `json:"resume,omitempty"`   // the command that has automation go on
	Undo     string             `json:"undo,omitempty"`     // the commands that write what was left again
}

// FreezeList is when freezes of the configuration hold.
type FreezeList struct {
	Closed     []gate.Scheduled `json:"closed"`              // from the request's from until its until, by their beginning
	Now        []gate.Scheduled `json:"now"`                 // those that hold now
	Holds      []gitops.Hold    `json:"holds"`               // freezes that people placed and that are in force
	NextChange time.Time        `json:"nextChange,omitzero"` // when the first of these freezes of the configuration begins or ends
}

// Why says everything that an app in an environment waits for.
type Why struct {
	App         string          `json:"app"`
	Environment string          `json:"environment"`
	Written     string          `json:"written,omitempty"`       // the tag that was written last
	Branch      string          `json:"branch,omitempty"`        // the tag that the branch has
	Problem     string          `json:"branchProblem,omitempty"` // why that cannot be read now
	Pending     []gitops.Update `json:"pending"`                 // open updates, newest first, each with everything that holds it now
	Order       []gitops.Block  `json:"order"`                   // what an order of any other tag that came now would meet
	Rollout     *gitops.Rollout `json:"rollout,omitempty"`       // where the update that was written last stands in the cluster
	Holds       []gitops.Hold   `json:"holds"`                   // those in force that cover it
	NextFreeze  *gate.Closed    `json:"nextFreeze,omitempty"`    // of the configuration: the next that begins within 30 days
	Outage      *Outage         `json:"outage,omitempty"`        // what keeps its lane from writing
	LastWord    time.Time       `json:"lastWord,omitzero"`       // when a person last ordered something: automation from before is late
	Now         time.Time       `json:"now"`                     // by the store's clock
}
