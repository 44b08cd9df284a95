package main

import (
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// stepText says in a line what happened to an update after the step before. A
// request of a person in it may be one to cancel.
func stepText(before, s gitops.Step, cancelling bool) string {
	var text string
	switch {
	case s.Rollout != "":
		text = "in the cluster: " + string(s.Rollout)
	case s.Attempts == 0 && s.Actor != "":
		text = decisionText(before, s, cancelling)
	case s.State == gitops.Pending && s.Reason == "":
		text = "not blocked any longer"
	case s.State == gitops.Pending:
		text = "blocked"
	case s.State == gitops.Committed:
		text = "committed as " + s.Commit
	case s.State == gitops.Unchanged:
		text = "nothing to commit"
	default:
		text = string(s.State)
		if s.Actor != "" {
			text += " by " + s.Actor
		}
	}
	text = withReason(text, s.Reason)
	if s.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts until %s)", s.Attempts, timestamp(s.Until))
	}
	return text
}

// withReason adds a reason to a text, unless the reason begins with it.
func withReason(text, reason string) string {
	switch {
	case reason == "":
		return text
	case strings.HasPrefix(reason, text):
		return reason
	}
	return text + ": " + reason
}

// decisionText says what a person decided. A step has the state that a decision left
// the update in, and both a retry and a cancellation leave a pending update pending.
// Only a blocked one can be retried; of a blocked one it is a cancellation if it is
// the last request of an update whose cancellation waits or was carried out.
func decisionText(before, s gitops.Step, cancelling bool) string {
	wasBlocked := before.State == gitops.Pending && before.Attempts > 0 && before.Reason != ""
	switch {
	case s.State == gitops.Cancelled:
		return "dismissed by " + s.Actor
	case before.State == gitops.Failed, wasBlocked && !cancelling:
		return "retry requested by " + s.Actor
	}
	return "cancellation requested by " + s.Actor
}

// cancellationOf is the index of the step that requested the update's cancellation,
// the last that a person requested, or the number of steps when there is none.
func cancellationOf(u gitops.Update) int {
	n := len(u.Steps)
	byPerson := n > 0 && u.Steps[n-1].State == gitops.Cancelled && u.Steps[n-1].Actor != ""
	if u.CancelRequest == nil && !byPerson {
		return n
	}
	for i := n - 1; i >= 0; i-- {
		if s := u.Steps[i]; !s.State.Final() && s.Attempts == 0 && s.Actor != "" {
			return i
		}
	}
	return n
}
