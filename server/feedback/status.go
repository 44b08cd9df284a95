package feedback

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// wanted is the status that an update's Deployment is to have, by what is known of its app, and
// where it is followed in the cluster. A Deployment is made for it only when it is worth one:
// what has ended without effect, or is behind what was written, ends a Deployment that there is
// and makes none.
func wanted(u gitops.Update, h gitops.Head, followed bool, commitURL string) (s githubapp.DeploymentStatus, worth bool) {
	behind := h.Written > u.Sequence
	switch u.State {
	case gitops.Pending:
		s = status("queued", cmp.Or(blockedBy(u), "Waits to be written to Git"), "")
	case gitops.Proposed:
		s = status("pending", "Waits in a pull request", proposalURL(u))
	case gitops.Committed, gitops.Unchanged:
		if behind && (u.Rollout == nil || !u.Rollout.State.Failed()) { // "success" would make the newer one inactive
			return status("inactive", "Replaced by "+h.WrittenTag, commitURL), false
		}
		s = rolledOut(u, followed, commitURL)
	case gitops.Failed:
		s = status("failure", cmp.Or(u.Reason, "Failed"), "")
	case gitops.Closed:
		s = status("failure", cmp.Or(u.Reason, "Its pull request was closed"), proposalURL(u))
	default: // superseded, cancelled
		return status("inactive", cmp.Or(u.Reason, string(u.State)), proposalURL(u)), false
	}
	return s, !behind && s.State != "inactive"
}

func status(state, description, logURL string) githubapp.DeploymentStatus {
	return githubapp.DeploymentStatus{State: state, Description: clip(description), LogURL: logURL}
}

func proposalURL(u gitops.Update) string {
	if u.Proposal == nil {
		return ""
	}
	return u.Proposal.URL
}

// blockedBy is why a pending update waits.
func blockedBy(u gitops.Update) string {
	reasons := make([]string, len(u.BlockedBy))
	for i, b := range u.BlockedBy {
		reasons[i] = b.Reason
	}
	return strings.Join(reasons, "; ")
}

// clip bounds a description to what GitHub takes, in characters and on one line.
func clip(text string) string {
	text = gitops.Clip(text, len(text))
	if utf8.RuneCountInString(text) <= githubapp.MaxDescription {
		return text
	}
	const more = "..."
	return string([]rune(text)[:githubapp.MaxDescription-len(more)]) + more
}

// told reports whether a Deployment's last status says what it is to say. Of one that has not
// ended the words do not count: what it waits for may change every minute. Where it waits does:
// after its pull request it may wait for a person in the cluster.
func told(last, want githubapp.DeploymentStatus) bool {
	switch {
	case last.State != want.State:
		return false
	case want.State == "queued", want.State == "in_progress", want.State == "inactive":
		return true
	case want.State == "pending":
		return last.LogURL == want.LogURL
	}
	return last.Description == want.Description
}

// environmentName is the environment on GitHub that an update is in. Apps of one repository
// have environments of their own: in one of them "success" of the one would make the other's
// inactive.
func environmentName(u gitops.Update, shared bool) string {
	if shared {
		return u.Environment + "/" + u.App
	}
	return u.Environment
}

// newDeployment is what is made for an update.
func newDeployment(u gitops.Update, revision string, shared bool) githubapp.NewDeployment {
	return githubapp.NewDeployment{
		Revision: revision, Environment: environmentName(u, shared),
		Description: clip(fmt.Sprintf("%s %s in %s", u.App, u.Tag, u.Environment)),
		Payload:     githubapp.DeploymentPayload{Update: u.ID, App: u.App, Environment: u.Environment, Tag: u.Tag},
	}
}
