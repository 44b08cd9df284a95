package rollout

import (
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// severity orders the states of places: the first that a place has is that of all. A failure in
// one place is one. Where a person is awaited, or nothing can be asked, the deadline stands, so
// that comes before what only takes its time.
var severity = []gitops.RolloutState{
	gitops.RolloutSyncFailed, gitops.RolloutDegraded, gitops.RolloutTimedOut, gitops.RolloutSuperseded,
	gitops.RolloutPerson, gitops.RolloutPaused, gitops.RolloutUnknown,
	gitops.RolloutWaiting, gitops.RolloutSyncing, gitops.RolloutProgressing,
	gitops.RolloutGone, gitops.RolloutUnmapped, gitops.RolloutHealthy,
}

// Combine says where an update stands that several places are to run: healthy when all are. Of
// several the reason names its place. Without any place nothing is known: it waits.
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

// rank is a state's place in the order. A state that is not in it is taken for one in which
// nothing can be asked.
func rank(s gitops.RolloutState) int {
	if i := slices.Index(severity, s); i >= 0 {
		return i
	}
	return slices.Index(severity, gitops.RolloutUnknown)
}
