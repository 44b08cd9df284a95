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
func (f *followed) combined(r gitops.Rollout, now time.Time, instances []*instance) gitops.Rollout {
	all := f.absent(now, instances)
	unseen := len(all) > 0
	deployers := slices.ContainsFunc(f.readers(), func(p *place) bool { return !p.verdict.Without })
	for _, p := range f.readers() {
		if p.verdict.Without && deployers { // it reads the same files for something else
			continue
		}
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

// absent are the expected places of instances that were not listed: the update may be there
// still.
func (f *followed) absent(now time.Time, instances []*instance) (all []gitops.RolloutPlace) {
	for _, e := range f.expected {
		for _, i := range instances {
			if !i.listed.IsZero() || i.pageOf(e.Name) != e.URL || slices.ContainsFunc(f.places, func(p *place) bool { return p.instance.Page(p.ref) == e.URL }) {
				continue
			}
			e.State, e.Reason = gitops.RolloutWaiting, ""
			if why := i.unseen(now); why != "" {
				e.State, e.Reason = gitops.RolloutUnknown, why
			}
			all = append(all, e)
			break
		}
	}
	return all
}
