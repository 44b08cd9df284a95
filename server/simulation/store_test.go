package simulation

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// store is what all replicas of a schedule share. It tells the checker of every
// change.
type store interface {
	// connect is a process's own way to the store: a session that ends by itself only
	// with the schedule.
	connect(process string) queueCalls
	// killHolder ends a process's session, and killHolders every session: what they
	// hold can be claimed at once. A process that lives has another session with its
	// next call.
	killHolder(process string)
	killHolders()

	// backup copies what the store holds. It is restored by an operator, who does what
	// docs/operations.md says, or by a failover.
	backup() (restore func(byOperator bool))
	// forgetProofKeys has the store make another key, as one that was begun again does.
	forgetProofKeys()

	// For people, who reach the store whatever happens to the replicas.
	Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) (found []gitops.Update, next string, err error)
	Decide(ctx context.Context, d queue.Decision) (gitops.Update, error)
	Suspects(ctx context.Context) ([]gitops.Suspect, error)
	ClearSuspect(ctx context.Context, object string, by gitops.AuditEntry) (gitops.Suspect, error)
	HoldsInForce(ctx context.Context) (queue.InForce, error)
	Lift(ctx context.Context, l queue.Lifting) (queue.Lifted, error)

	close()
}

// queueCalls is what a replica calls of [queue.Queue]. What waits for a hint waits for
// the simulation's.
type queueCalls interface {
	queue.Leases
	queue.Checkpoints
	queue.ProofKeys
	queue.Parsing
	queue.Holds
	queue.Images
	Head(ctx context.Context, environment, app string) (gitops.Head, error)
	Accept(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, duplicate bool, err error)
	ExistingIDs(ctx context.Context, source string, ids []string) (existing []string, err error)
	WaitingDeliveries(ctx context.Context, p queue.Page) (found []gitops.Delivery, next string, err error)
	Settle(ctx context.Context, d gitops.Delivery) (stored gitops.Delivery, settled bool, err error)
	Ready(ctx context.Context, environments []string) ([]string, error)
	Take(ctx context.Context, l queue.Lease, o queue.TakeOptions) ([]gitops.Update, error)
	Report(ctx context.Context, l queue.Lease, r queue.Report) (superseded []gitops.Update, err error)
	Decide(ctx context.Context, d queue.Decision) (gitops.Update, error)
	Backlogs(ctx context.Context) ([]queue.Backlog, error)
	Deliveries(ctx context.Context, f queue.DeliveryFilter, p queue.Page) (found []gitops.Delivery, next string, err error)
	Update(ctx context.Context, id string) (gitops.Update, error)
	Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) (found []gitops.Update, next string, err error)
	Heads(ctx context.Context, environment string, apps []string) ([]gitops.Head, error)
	Changes(ctx context.Context, after string, limit int) ([]queue.Change, error)
	Latest(ctx context.Context) (cursor string, err error)
	ReportRollouts(ctx context.Context, l queue.Lease, reports []queue.RolloutReport) (kept []gitops.Rollout, err error)
	OpenRollouts(ctx context.Context) ([]gitops.Update, error)
}

// modelStore is the store in memory.
type modelStore struct{ *queuetest.Model }

func newModelStore(w *world) store {
	return modelStore{queuetest.NewModel(w.storeTime, queuetest.Hooks{
		Accepted: w.check.accepted, Claimed: w.check.claimed, Fenced: w.check.fenced, Changed: w.check.changed,
	})}
}

// storeTime is what the store takes for the time.
func (w *world) storeTime() time.Time { return time.Now().Add(time.Duration(w.storeOffset.Load())) }

func (m modelStore) connect(string) queueCalls { return m.Model }
func (m modelStore) killHolder(process string) { m.KillHolder(process) }

func (m modelStore) killHolders() {
	for _, holder := range m.Holders() {
		m.KillHolder(holder)
	}
}

// backup is restored with the leases as they were, by whomever. After an operator's restore no
// scan is known.
func (m modelStore) backup() (restore func(byOperator bool)) {
	snapshot := m.Snapshot()
	return func(byOperator bool) {
		m.Restore(snapshot)
		for _, app := range filed {
			if byOperator {
				_ = m.SetCheckpoint(context.Background(), queue.PollCheckpoint+repositoryOf(app), "") // the model always does
			}
		}
	}
}

func (m modelStore) forgetProofKeys() { m.ForgetProofKeys() }

func (m modelStore) close() { _ = m.Close() } // it has no error to give
