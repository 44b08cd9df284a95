package rollout

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// applied is for an Application whose objects are as a revision with the update has them.
func (j *judgement) applied(op operation, note string) Verdict {
	switch {
	case op.running:
		return is(gitops.RolloutSyncing, op.words())
	case op.unknown:
		return j.pending(gitops.RolloutSyncing, "the revision of the last sync is not looked up yet")
	case op.failed() && !op.partial: // such as a job after the sync: the health does not say it
		return is(gitops.RolloutSyncFailed, op.words())
	}
	switch j.Application.Status.Health.Status {
	case healthy:
		return j.runs(note)
	case suspended:
		return j.suspended(note)
	case degraded:
		return j.degraded()
	case progressing:
		return j.progressing("")
	case missing:
		return j.progressing(join("objects are missing", j.unhealthy(missing)))
	}
	return j.progressing(join("Argo CD does not know the health", j.unhealthy("Unknown")))
}

// progressing is for what is applied and does not run yet.
func (j *judgement) progressing(reason string) Verdict {
	j.after.ProgressingSince = earlier(j.before.ProgressingSince, j.Now)
	if j.Now.Sub(j.after.ProgressingSince) < explainAfter {
		return is(gitops.RolloutProgressing, reason)
	}
	j.wants.Tree = j.Tree == nil
	if why := j.troubledPod(); why != "" {
		return is(gitops.RolloutProgressing, why)
	}
	if reason == "" {
		reason = j.unhealthy(progressing)
	}
	return is(gitops.RolloutProgressing, reason)
}

// suspended is for an Application of which something stands still on purpose. That holds up a
// release, unless it is a CronJob alone: those stand still for good, and the others are healthy.
func (j *judgement) suspended(note string) Verdict {
	onlyCronJobs := false
	for _, r := range j.healths() {
		if r.Health.Status == suspended {
			if onlyCronJobs = r.Kind == "CronJob"; !onlyCronJobs {
				break
			}
		}
	}
	if onlyCronJobs {
		return j.runs(join(note, "a CronJob is suspended"))
	}
	j.after.ProgressingSince = earlier(j.before.ProgressingSince, j.Now)
	return is(gitops.RolloutPaused, j.unhealthy(suspended))
}

// degraded is for what is applied and does not run. Health flaps, so it takes a while to be a
// verdict, unless a controller has given up.
func (j *judgement) degraded() Verdict {
	j.after.ProgressingSince = j.before.ProgressingSince
	j.after.DegradedSince = earlier(j.before.DegradedSince, j.Now)
	reason := j.unhealthy(degraded)
	j.wants.Tree = j.Tree == nil
	// A controller may say of the release before this that it gave up, for a moment: it is
	// taken at its word where the update was seen on its way.
	gaveUp := hasGivenUp(reason) && !j.before.ProgressingSince.IsZero()
	asked := j.Tree != nil || j.Now.After(j.after.DegradedSince) // for the pods' reason: if it does not come, it goes without
	reason = join(reason, j.troubledPod())
	if asked && (gaveUp || j.Now.Sub(j.after.DegradedSince) >= degradedFor) {
		return is(gitops.RolloutDegraded, reason)
	}
	return is(gitops.RolloutProgressing, join("Degraded", reason))
}

// hasGivenUp reports whether a controller says that it does not go on: that of Deployments, or
// that of Rollouts.
func hasGivenUp(message string) bool {
	return strings.Contains(message, "exceeded its progress deadline") ||
		strings.Contains(message, "ProgressDeadlineExceeded") || strings.Contains(message, "RolloutAborted")
}

// healths are the resources whose health counts, with it. An Argo CD that does not keep it with
// the resources has it in the tree.
func (j *judgement) healths() (all []Resource) {
	for _, r := range j.Application.Status.Resources {
		if r.Health != nil && !r.Hook {
			all = append(all, r)
		}
	}
	if len(all) > 0 || j.Tree == nil {
		return all
	}
	for _, n := range j.Tree.Nodes {
		if n.Health != nil && len(n.ParentRefs) == 0 {
			all = append(all, Resource{Group: n.Group, Kind: n.Kind, Namespace: n.Namespace, Name: n.Name, Health: n.Health})
		}
	}
	return all
}

// unhealthy names the first resource with such a health, and what is said of it.
func (j *judgement) unhealthy(status string) string {
	for _, r := range j.healths() {
		if r.Health.Status == status {
			return r.words(r.Health.Message)
		}
	}
	return j.Application.Status.Health.Message
}
