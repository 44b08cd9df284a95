package rollout

import (
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// runs judges an Application that is Synced and Healthy: the update is healthy if its image
// runs. The pods decide. If they have several images, or if there are no pods, the live objects
// say which pods there should be.
func (j *judgement) runs(note string) Verdict {
	if j.Tree == nil {
		j.wants.Tree = true
		return j.pending(gitops.RolloutProgressing, "")
	}
	f := newForest(*j.Tree)
	pods := f.currentPods()
	m := newMatcher(j.Subject, imagesOf(pods))
	var seen [byDigest + 1]int
	var other string
	for _, i := range imagesOf(pods) {
		found := m.match(i)
		seen[found]++
		if found == another {
			other = i
		}
	}
	switch {
	case seen[ours] > 0 && seen[another]+seen[byDigest] == 0:
		return is(gitops.RolloutHealthy, note)
	case j.Managed != nil:
		return j.asLive(f, pods, note)
	}
	j.wants.Managed = true
	if seen[another] > 0 && seen[ours]+seen[byDigest] == 0 {
		return j.runsAnother(other, degradedFor)
	}
	return j.pending(gitops.RolloutProgressing, "")
}

// runsAnother judges an Application that is Healthy and runs another image, for example because
// it overrides the tag. The tree lags behind health, so this becomes a verdict only after a
// while. image is "" if the Application has no image of the update's repository.
func (j *judgement) runsAnother(image string, after time.Duration) Verdict {
	j.after.OtherSince = earlier(j.before.OtherSince, j.Now)
	j.after.ProgressingSince = j.before.ProgressingSince
	reason, without := "none of its workloads has the image "+j.Image, image == ""
	if image != "" {
		reason = j.notOurs(image)
	}
	if j.Now.Sub(j.after.OtherSince) >= after {
		return Verdict{State: gitops.RolloutDegraded, Reason: reason, Without: without}
	}
	return Verdict{State: gitops.RolloutProgressing, Reason: reason, Without: without}
}

func (s Subject) notOurs(image string) string {
	return "runs " + parseReference(image).String() + ", not " + s.Tag
}

// asLive compares pods with the live objects that they stem from.
func (j *judgement) asLive(f forest, pods []Node, note string) Verdict {
	workloads := liveWorkloads(j.Managed)
	images := imagesOf(pods)
	for _, w := range workloads {
		images = append(images, w.images...)
	}
	m := newMatcher(j.Subject, images)
	var runs bool
	var other, unclear string // images
	for _, w := range workloads {
		switch w.match(m) {
		case foreign:
		case ours:
			missing := w.lacks(f, pods, m)
			if missing != "" && w.holds != "" {
				j.after.ProgressingSince = earlier(j.before.ProgressingSince, j.Now)
				return is(gitops.RolloutPaused, missing+": "+w.Kind+" "+w.Name+" keeps its old pods, "+w.holds)
			}
			if missing != "" {
				return j.progressing(missing)
			}
			runs = true
		case another:
			other = w.other(m)
		case byDigest:
			unclear = w.other(m)
		}
	}
	var stray string // image of a pod that no live object tells of
	for _, p := range pods {
		if slices.ContainsFunc(workloads, func(w workload) bool { return w.owns(f, p) }) {
			continue
		}
		for _, i := range p.Images {
			switch m.match(i) {
			case ours:
				runs = true
			case another:
				stray = i
			case byDigest:
				unclear = i
			}
		}
	}
	switch {
	case unclear != "":
		return j.progressing("runs " + parseReference(unclear).String() + ", and it is not known whether that is " + j.Tag)
	case runs && stray != "":
		return j.progressing(j.notOurs(stray))
	case runs:
		return is(gitops.RolloutHealthy, note)
	case stray != "":
		return j.runsAnother(stray, degradedFor)
	case other != "":
		return j.runsAnother(other, confirmedFor)
	case j.Image == "":
		return j.progressing("nothing runs with the tag " + j.Tag)
	}
	return j.runsAnother("", degradedFor)
}
