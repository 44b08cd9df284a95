package feedback

import (
	"cmp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// rolledOut is the status of an update that was written and is the newest of its app, or whose
// rollout failed. Where it is followed "success" says that it runs, and else that Git has it.
func rolledOut(u gitops.Update, followed bool, commitURL string) githubapp.DeploymentStatus {
	inGit := "Written to Git"
	if u.State == gitops.Unchanged {
		inGit = "Git had this tag already"
	}
	r := u.Rollout
	switch {
	case r == nil && followed:
		return status("in_progress", inGit+"; waits for the cluster", commitURL)
	case r == nil, !followed && !r.State.Final(): // it is followed no longer
		return status("success", inGit, commitURL)
	}
	link := cmp.Or(placeURL(*r), commitURL)
	switch r.State {
	case gitops.RolloutHealthy:
		return status("success", "Runs", link)
	case gitops.RolloutDegraded, gitops.RolloutSyncFailed, gitops.RolloutTimedOut:
		return status("failure", withReason(failures[r.State], r.Reason), link)
	case gitops.RolloutUnmapped: // "failure" would be wrong for what runs without being followed
		return status("success", withReason(inGit+"; whether it runs is not known", r.Reason), commitURL)
	case gitops.RolloutSuperseded, gitops.RolloutGone:
		return status("inactive", withReason(ends[r.State], r.Reason), link)
	case gitops.RolloutPerson, gitops.RolloutPaused:
		return status("pending", withReason("Waits for a person", r.Reason), link)
	case gitops.RolloutUnknown:
		return status("in_progress", withReason(inGit+"; the cluster cannot be asked", r.Reason), link)
	}
	return status("in_progress", withReason(inGit+"; waits for the cluster", r.Reason), link)
}

// failures say how a rollout failed, and ends how one ended without effect.
var (
	failures = map[gitops.RolloutState]string{
		gitops.RolloutDegraded: "Does not run", gitops.RolloutSyncFailed: "Could not be applied", gitops.RolloutTimedOut: "Not known to run in time",
	}
	ends = map[gitops.RolloutState]string{
		gitops.RolloutSuperseded: "Replaced before it was known to run", gitops.RolloutGone: "What read its file was removed",
	}
)

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

// placeURL is the page of what in the cluster decides where an update stands; "" where none
// is known.
func placeURL(r gitops.Rollout) (url string) {
	for _, p := range r.Places {
		switch {
		case !strings.HasPrefix(p.URL, "https://") && !strings.HasPrefix(p.URL, "http://"): // GitHub refuses others
		case p.State == r.State:
			return p.URL
		default:
			url = cmp.Or(url, p.URL)
		}
	}
	return url
}
