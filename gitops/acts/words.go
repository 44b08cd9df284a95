package acts

import (
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Lift is the command that ends a hold.
func Lift(h gitops.Hold) string {
	switch h.Kind {
	case gitops.HoldPin:
		return "tallyman unpin " + strings.Join(h.Apps, " ") + flags("env", h.Environments)
	case gitops.HoldFreeze:
		return "tallyman thaw " + h.ID
	case gitops.HoldStop:
		return "tallyman resume" + flags("env", h.Environments) + flags("app", h.Apps)
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

// Forward are the commands that undo a rollback: what was left is written again.
func (r Rollback) Forward(environment, app string) string {
	if r.From == r.To {
		return Resume(environment, app)
	}
	commands := []string{Resume(environment, app)}
	for _, h := range r.Holds {
		if h.Kind == gitops.HoldBad {
			commands = append(commands, Lift(h))
		}
	}
	return strings.Join(append(commands, fmt.Sprintf("tallyman update %s %s --env %s", app, r.From, environment)), " && ")
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
