package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// titleOf is what happened, as a sentence without its full stop.
func titleOf(m Message) string {
	if m.Hold != nil {
		return titleOfHold(*m.Hold)
	}
	u := *m.Update
	what := fmt.Sprintf("%s %s in %s", u.App, u.Tag, u.Environment)
	switch m.Kind {
	case KindFailed:
		return what + " failed"
	case KindHeld:
		return what + " is held"
	case KindProposed:
		return what + " waits in a pull request"
	case KindHealthy:
		return what + " runs"
	case KindDegraded:
		return what + " " + degraded[u.Rollout.State]
	case KindReverted:
		return fmt.Sprintf("%s in %s went back from %s to %s, since its rollout failed", u.App, u.Environment, u.RollsBack, u.Tag)
	}
	return what + " is committed"
}

var degraded = map[gitops.RolloutState]string{
	gitops.RolloutDegraded:   "does not run",
	gitops.RolloutSyncFailed: "could not be applied",
	gitops.RolloutTimedOut:   "did not come to run in time",
}

func titleOfHold(h Hold) string {
	where := "every environment"
	if len(h.Environments) > 0 {
		where = some(h.Environments)
	}
	of := where
	if len(h.Apps) > 0 {
		of = some(h.Apps) + " in " + where
	}
	if h.Lifted {
		return liftedTitle(h, of)
	}
	until := ""
	if !h.Until.IsZero() {
		until = " until " + h.Until.UTC().Format(time.RFC3339)
	}
	switch h.Kind {
	case gitops.HoldPin:
		return fmt.Sprintf("%s is pinned to %s%s", of, h.Tag, until)
	case gitops.HoldFreeze:
		return fmt.Sprintf("%s: frozen%s", of, until)
	case gitops.HoldBad:
		return fmt.Sprintf("tag %s of %s is marked as bad", h.Tag, of)
	}
	return of + ": writing is stopped"
}

// some are as many of the names as a person reads.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func liftedTitle(h Hold, of string) string {
	switch h.Kind {
	case gitops.HoldPin:
		return fmt.Sprintf("%s is not pinned to %s any more", of, h.Tag)
	case gitops.HoldFreeze:
		return of + ": not frozen any more"
	case gitops.HoldBad:
		return fmt.Sprintf("tag %s of %s is not marked as bad any more", h.Tag, of)
	}
	return of + ": writing goes on"
}
