package follow

import (
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// sourcesOf are the positions of the sources that read the update's file. Of an Application that
// the configuration names it is known to be among them: any may read it.
func sourcesOf(a *rollout.Application, how Followed) (sources []int, near string) {
	sources, near = rollout.Match(*a, how.File)
	if len(sources) > 0 || how.Application == "" {
		return sources, near
	}
	for i, s := range a.Spec.Sources {
		if s.Chart == "" {
			sources = append(sources, i)
		}
	}
	if len(a.Spec.Sources) == 0 {
		sources = []int{0}
	}
	return sources, ""
}

// combined is where it stands in all of its Applications. One that was removed counts no more
// where there are others: they are what it is to run in. The state is "" while one was not
// looked at yet that may decide.
func (f *followed) combined(r gitops.Rollout, now time.Time) gitops.Rollout {
	var all []gitops.RolloutPlace
	unseen := false
	for _, p := range f.readers() {
		at := p.standing(now)
		if at.State == "" {
			at.State, unseen = gitops.RolloutWaiting, true
		}
		all = append(all, at)
	}
	there := slices.DeleteFunc(slices.Clone(all), func(p gitops.RolloutPlace) bool { return p.State == gitops.RolloutGone })
	if len(there) > 0 {
		all = there
	}
	state, reason := rollout.Combine(all)
	if unseen && !state.Final() && state != gitops.RolloutUnknown {
		r.State = ""
		return r
	}
	r.State, r.Reason, r.Places = state, reason, all
	for _, p := range f.readers() {
		if p.verdict.Revision != "" {
			r.Revision = p.verdict.Revision
			break
		}
	}
	return r
}
