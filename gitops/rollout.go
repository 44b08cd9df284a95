package gitops

import (
	"slices"
	"time"
)

// RolloutState is where a written update stands in the cluster. It is no [State]: the update is
// settled when it is written, and its rollout is a record beside it.
type RolloutState string

const (
	RolloutWaiting     RolloutState = "waiting"     // the cluster has not begun with the commit
	RolloutPerson      RolloutState = "person"      // a person must sync it: nothing does by itself
	RolloutSyncing     RolloutState = "syncing"     // the commit is being applied
	RolloutProgressing RolloutState = "progressing" // it is applied, and not every pod is ready
	RolloutPaused      RolloutState = "paused"      // half way, until somebody promotes or aborts it
	RolloutUnknown     RolloutState = "unknown"     // nothing can be asked

	RolloutHealthy    RolloutState = "healthy"     // it runs, as far as is known by its image
	RolloutDegraded   RolloutState = "degraded"    // it is applied and does not run, or another image does
	RolloutSyncFailed RolloutState = "sync_failed" // it could not be applied
	RolloutTimedOut   RolloutState = "timed_out"   // nothing of these came before the deadline
	RolloutSuperseded RolloutState = "superseded"  // another tag of the app was written after it, before it was known to run
	RolloutUnmapped   RolloutState = "unmapped"    // nothing in the cluster is known to read its file
	RolloutGone       RolloutState = "gone"        // what read its file was removed
)

// RolloutStates lists every [RolloutState].
func RolloutStates() []RolloutState {
	return []RolloutState{
		RolloutWaiting, RolloutPerson, RolloutSyncing, RolloutProgressing, RolloutPaused, RolloutUnknown,
		RolloutHealthy, RolloutDegraded, RolloutSyncFailed, RolloutTimedOut, RolloutSuperseded, RolloutUnmapped, RolloutGone,
	}
}

// Final reports whether a rollout in this state is over. What is final stays as it is.
func (s RolloutState) Final() bool {
	return slices.Contains([]RolloutState{RolloutHealthy, RolloutDegraded, RolloutSyncFailed, RolloutTimedOut, RolloutSuperseded, RolloutUnmapped, RolloutGone}, s)
}

// Failed reports whether the update does not run because of itself or of the cluster.
func (s RolloutState) Failed() bool {
	return s == RolloutDegraded || s == RolloutSyncFailed || s == RolloutTimedOut
}

// Stands reports whether the deadline stands still in this state: a person is awaited, or
// nothing can be asked.
func (s RolloutState) Stands() bool {
	return s == RolloutPerson || s == RolloutPaused || s == RolloutUnknown
}

// Rollout says where a written update stands in the cluster. Its JSON form is the API's, and
// the stores'.
type Rollout struct {
	State  RolloutState `json:"state"`
	Reason string       `json:"reason,omitempty"` // a sentence without its full stop; "" where the state says it all
	Since  time.Time    `json:"since"`            // UTC, by the store's clock: of the state, not of the reason
	// Deadline is when it becomes timed_out, UTC. While [RolloutState.Stands] it stands still:
	// it moves by that time when the state ends.
	Deadline time.Time `json:"deadline,omitzero"`
	// Revision is the commit that the cluster has, or another name where Argo CD gives one;
	// "" while that is not known.
	Revision string `json:"revision,omitempty"`
	// By is who says so: "argocd", or the actor who reported it.
	By string `json:"by,omitempty"`
	// Places are what of the cluster it is about: it is healthy when all are.
	Places []RolloutPlace `json:"places,omitempty"`
}

// RolloutPlace is one Application of Argo CD, or another place that was reported of.
type RolloutPlace struct {
	Name   string       `json:"name"`          // "PROJECT/NAMESPACE/NAME" of an Application
	URL    string       `json:"url,omitempty"` // of its page, for people
	State  RolloutState `json:"state"`
	Reason string       `json:"reason,omitempty"`
}

// Equal reports whether both say the same.
func (r Rollout) Equal(q Rollout) bool {
	return r.State == q.State && r.Reason == q.Reason && r.Since.Equal(q.Since) && r.Deadline.Equal(q.Deadline) &&
		r.Revision == q.Revision && r.By == q.By && slices.Equal(r.Places, q.Places)
}

// Clone is a copy that shares nothing with r.
func (r *Rollout) Clone() *Rollout {
	if r == nil {
		return nil
	}
	c := *r
	c.Places = slices.Clone(r.Places)
	return &c
}
