package rollout

import (
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// severity orders the states of places: the first one that a place has is the state of all. One
// failure is a failure of all. States in which the deadline stands come before those in which it
// runs: a place that waits for a person must not time out.
var severity = []gitops.RolloutState{
	gitops.RolloutSyncFailed, gitops.RolloutDegraded, gitops.RolloutTimedOut, gitops.RolloutSuperseded,
	gitops.RolloutPerson, gitops.RolloutPaused, gitops.RolloutUnknown,
	gitops.RolloutWaiting, gitops.RolloutSyncing, gitops.RolloutProgressing,
	gitops.RolloutGone, gitops.RolloutUnmapped, gitops.RolloutHealthy,
}

// Combine returns the state of an update that several places run: it is healthy if all are. If
// there are several, the reason begins with the name of its place. Without places it is waiting.
func Combine(places []gitops.RolloutPlace) (state gitops.RolloutState, reason string) {
	if len(places) == 0 {
		return gitops.RolloutWaiting, ""
	}
	worst := slices.MinFunc(places, func(a, b gitops.RolloutPlace) int {
		return rank(a.State) - rank(b.State)
	})
	if len(places) == 1 || worst.State == gitops.RolloutHealthy {
		return worst.State, worst.Reason
	}
	if worst.Reason == "" {
		return worst.State, worst.Name
	}
	return worst.State, worst.Name + ": " + worst.Reason
}

// rank is the position of a state in severity. Other states rank as unknown.
func rank(s gitops.RolloutState) int {
	if i := slices.Index(severity, s); i >= 0 {
		return i
	}
	return slices.Index(severity, gitops.RolloutUnknown)
}
