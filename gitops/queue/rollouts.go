package queue

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Rollouts keeps where written updates stand in the cluster. Safe for concurrent use.
type Rollouts interface {
	// ReportRollouts records where updates stand in the cluster, all in one durable
	// transaction, and returns what stands by then of each, in the order of the reports. The
	// lease is that of the job that follows; the zero lease is for who reports without one, and
	// is not asked for. The error's code is Conflict, and nothing is recorded, when the lease is
	// no longer the caller's; NotFound, and nothing is recorded, when there is no such update.
	//
	// A rollout that is final stays as it is, and so does an update that is not written
	// ([gitops.State.Written]). What has another state or reason than before is a step, without an attempt,
	// whose State is the update's and whose Rollout is the state, and so a change that the feed
	// tells of. What changes nothing but the others is kept without a step. The
	// store sets Since: with the state it had before, that stays.
	//
	// What is healthy raises the app's head ([gitops.Head.Run]).
	ReportRollouts(ctx context.Context, l Lease, reports []RolloutReport) (kept []gitops.Rollout, err error)

	// OpenRollouts returns the updates whose rollout has begun and is not final, without steps,
	// by their acceptance. Its cost depends on how many these are.
	OpenRollouts(ctx context.Context) ([]gitops.Update, error)
}

// RolloutReport says where an update stands in the cluster.
type RolloutReport struct {
	Update  string // its id
	Rollout gitops.Rollout
}
