package rollout

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// applied judges an Application whose objects match a revision with the update.
func (j *judgement) applied(op operation, note string) Verdict {
	switch {
	case op.running:
		j.after.ProgressingSince = j.before.ProgressingSince
		return is(gitops.RolloutSyncing, op.words())
	case op.unknown:
		return j.pending(gitops.RolloutSyncing, "the revision of the last sync is not looked up yet")
	case op.failed() && !op.partial: // such as a PostSync job: health does not show it
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

// progressing judges what is applied and does not run yet.
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

// suspended judges an Application in which something is suspended. A suspended CronJob holds up
// no release: it stays suspended, and Argo CD hides the health of the others behind it.
func (j *judgement) suspended(note string) Verdict {
	cronJobs := 0
	for _, r := range j.healths() {
		switch {
		case r.Health.Status != suspended:
		case r.Kind == "CronJob":
			cronJobs++
		default:
			j.after.ProgressingSince = earlier(j.before.ProgressingSince, j.Now)
			return is(gitops.RolloutPaused, r.words(r.Health.Message))
		}
	}
	if cronJobs > 0 {
		return j.runs(join(note, "a CronJob is suspended"))
	}
	j.after.ProgressingSince = earlier(j.before.ProgressingSince, j.Now)
	return is(gitops.RolloutPaused, j.Application.Status.Health.Message)
}

// degraded judges what is applied and fails. Health flaps, so this becomes a verdict after
// degradedFor, or at once if a controller gave up.
func (j *judgement) degraded() Verdict {
	j.after.ProgressingSince = j.before.ProgressingSince
	j.after.DegradedSince = earlier(j.before.DegradedSince, j.Now)
	reason := j.unhealthy(degraded)
	j.wants.Tree = j.Tree == nil
	// For a moment the message may still be about the release before this one. It counts at
	// once only if this release was seen progressing.
	gaveUp := hasGivenUp(reason) && !j.before.ProgressingSince.IsZero()
	asked := j.Tree != nil || j.Now.After(j.after.DegradedSince) // the tree has the pods' reason; the second look does without
	reason = join(reason, j.troubledPod())
	if asked && (gaveUp || j.Now.Sub(j.after.DegradedSince) >= degradedFor) {
		return is(gitops.RolloutDegraded, reason)
	}
	return is(gitops.RolloutProgressing, join("Degraded", reason))
}

// hasGivenUp reports whether the controller of Deployments or of Rollouts gave up.
func hasGivenUp(message string) bool {
	return strings.Contains(message, "exceeded its progress deadline") ||
		strings.Contains(message, "ProgressDeadlineExceeded") || strings.Contains(message, "RolloutAborted")
}

// healths returns the resources whose health counts. If Argo CD does not store health with the
// resources, the tree has it.
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

// unhealthy names the first resource with this health, and its message.
func (j *judgement) unhealthy(status string) string {
	for _, r := range j.healths() {
		if r.Health.Status == status {
			return r.words(r.Health.Message)
		}
	}
	return j.Application.Status.Health.Message
}
