package acts

import (
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Lift is the command that ends a hold, and no other one: the names of a stop may be those
// of another's, too, and those of a mark that is everywhere are part of every mark's.
func Lift(h gitops.Hold) string {
	switch {
	case h.Kind == gitops.HoldPin:
		return "tallyman unpin " + strings.Join(h.Apps, " ") + flags("env", h.Environments)
	case h.Kind == gitops.HoldFreeze:
		return "tallyman thaw " + h.ID
	case h.Kind == gitops.HoldStop:
		return "tallyman resume " + h.ID
	case len(h.Environments) == 0:
		return "tallyman unmark-bad " + h.ID
	}
	return "tallyman unmark-bad " + strings.Join(h.Apps, " ") + " " + h.Tag + flags("env", h.Environments)
}

// Undo is the command that undoes the placing of a hold: it is lifted, or what it took the
// place of takes its place. Of a pin whose tag the branch did not have, the one that it had
// is written again, as far as that is known: see [Rollback.Forward].
func Undo(h gitops.Hold, replaced []gitops.Hold, had string, now time.Time) string {
	for _, old := range replaced {
		if again := Again(old, now); again != "" {
			return again
		}
	}
	if h.Kind == gitops.HoldPin && had != "" && had != h.Tag {
		return orderAgain(h.Environments[0], h.Apps[0], had) + " && " + Lift(h)
	}
	return Lift(h)
}

// orderAgain is the command that orders a tag, which waits for what holds it.
func orderAgain(environment, app, tag string) string {
	return fmt.Sprintf("tallyman update %s %s --env %s --or-hold", app, tag, environment)
}

// Again is the command that places a hold again; "" when its time is over.
func Again(h gitops.Hold, now time.Time) string {
	if !h.Until.IsZero() && !now.Before(h.Until) {
		return ""
	}
	command := "tallyman "
	switch h.Kind {
	case gitops.HoldPin:
		command += "pin " + strings.Join(h.Apps, " ") + " " + h.Tag + flags("env", h.Environments)
	case gitops.HoldFreeze:
		command += "freeze" + flags("env", h.Environments) + flags("app", h.Apps)
	case gitops.HoldStop:
		command += "stop" + flags("env", h.Environments) + flags("app", h.Apps)
	default:
		command += "mark-bad " + strings.Join(h.Apps, " ") + " " + h.Tag + flags("env", h.Environments)
	}
	if !h.Until.IsZero() {
		command += " --until " + h.Until.UTC().Format(time.RFC3339)
	}
	if h.Reason != "" {
		command += " --reason " + quoted(h.Reason)
	}
	return command
}

// Resume is the command that has automation write an app again, which a pin keeps.
func Resume(environment, app string) string { return "tallyman unpin " + app + " --env " + environment }

// Forward are the commands that undo a rollback: what was left is written again. It is
// ordered while the pin is in force, so that nothing else goes when that ends, and waits for
// what else holds it. A pin at what was left, whose place the rollback took, comes back.
func (r Rollback) Forward(environment, app string, replaced []gitops.Hold, now time.Time) string {
	var commands []string
	release := ""
	for _, h := range r.Holds {
		switch h.Kind {
		case gitops.HoldBad:
			commands = append(commands, Lift(h))
		case gitops.HoldPin:
			release = Resume(environment, app)
		}
	}
	for _, old := range replaced {
		if again := Again(old, now); old.Kind == gitops.HoldPin && old.Tag == r.From && again != "" {
			return strings.Join(append(commands, again), " && ")
		}
	}
	if r.From != r.To {
		commands = append(commands, orderAgain(environment, app, r.From))
	}
	if release != "" {
		commands = append(commands, release)
	}
	return strings.Join(commands, " && ")
}

func flags(name string, values []string) (text string) {
	for _, value := range values {
		text += " --" + name + " " + value
	}
	return text
}

// quoted is text as a word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// list names what there is; of many the first.
func list(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + fmt.Sprint(len(names)-most) + " more"
	}
	return strings.Join(names, ", ")
}
