package queuetest

import (
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// rollOutSome reports where updates stand in the cluster: mostly of some that are written, under
// a lease that may be lost, or under none.
func (r *player) rollOutSome() {
	var written []gitops.Update
	for _, id := range slices.Sorted(maps.Keys(r.model.updates)) {
		if u := r.model.update(id); u.State.Written() || r.IntN(20) == 0 {
			written = append(written, u)
		}
	}
	if len(written) == 0 {
		return
	}
	var reports []queue.RolloutReport
	for range 1 + r.IntN(4) {
		report := r.standing(written[r.IntN(len(written))], oneOf(r, gitops.RolloutStates()...), r.one("", reported+"runs v1", reported+"retry 3"))
		if r.IntN(3) == 0 {
			report.Rollout.Places = nil
		}
		if r.IntN(20) == 0 {
			report.Update = "missing"
		}
		reports = append(reports, report)
	}
	l := none
	if r.IntN(2) == 0 && len(r.leases) > 0 {
		l = r.leases[len(r.leases)-1-r.IntN(min(4, len(r.leases)))]
	}
	r.rollOut(l, reports...)
}
