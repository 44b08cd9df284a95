package acts

import (
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Lift is the command that ends a hold, and no other: where others may be in force that the
// same names mean, it has the id.
func Lift(h gitops.Hold) string {
	switch {
	case h.Kind == gitops.HoldPin:
		return "tallyman unpin " + strings.Join(h.Apps, " ") + flags("env", h.Environments)
	case h.Kind == gitops.HoldFreeze:
		return "tallyman thaw " + h.ID
	case h.Kind == gitops.HoldStop:
		return "tallyman resume " + h.ID
	case len(h.Environments) == 0: // a bad mark: its names mean those of each environment, too
		return "tallyman unmark-bad " + h.ID
	}
	return "tallyman unmark-bad " + strings.Join(h.Apps, " ") + " " + h.Tag + flags("env", h.Environments)
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

// Unpin are the commands that undo a pin: the one whose place it took is placed again, or
// the tag that the branch had is written again; "" is a tag that is not known.
func Unpin(pin gitops.Hold, replaced []gitops.Hold, had string) string {
	if before, command := pinBefore(pin, replaced); command != "" && (had == "" || had == before.Tag) {
		return command
	}
	if had == "" || had == pin.Tag {
		return Lift(pin)
	}
	return Lift(pin) + " && " + order(pin.Environments[0], pin.Apps[0], had)
}

// pinBefore is the pin whose place another took, with the command that places it again;
// "" where there is none, or its time is over.
func pinBefore(pin gitops.Hold, replaced []gitops.Hold) (before gitops.Hold, command string) {
	for _, h := range replaced {
		if h.Kind == gitops.HoldPin {
			return h, Again(h, pin.Since)
		}
	}
	return before, ""
}

// order is the command that orders a tag.
func order(environment, app, tag string) string {
	return fmt.Sprintf("tallyman update %s %s --env %s", app, tag, environment)
}

// Forward are the commands that undo a rollback: what was left is written again, and kept
// there by the pin that kept it before.
func (r Rollback) Forward(environment, app string, replaced []gitops.Hold) string {
	commands, last := []string{Resume(environment, app)}, order(environment, app, r.From)
	for _, h := range r.Holds { // the pin comes first
		switch {
		case h.Kind == gitops.HoldBad:
			commands = append(commands, Lift(h))
		case r.From == r.To:
			return Unpin(h, replaced, r.From)
		default:
			if before, command := pinBefore(h, replaced); command != "" && before.Tag == r.From {
				commands, last = nil, command
			}
		}
	}
	return strings.Join(append(commands, last), " && ")
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
