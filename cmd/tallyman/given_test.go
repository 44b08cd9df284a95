package main

import (
	"strings"
	"testing"
)

// A variable of a shell that is not set leaves a flag or an argument empty. That is neither
// everything nor nothing, and no request is made.
func TestWhatIsGivenIsNotEmpty(t *testing.T) {
	for command, says := range map[string]string{
		"stop --env EMPTY":   "--env is given and empty: give it a value, or leave it out",
		"stop --env prod,":   "--env is given and empty",
		"stop --app EMPTY":   "--app is given and empty",
		"resume --env EMPTY": "--env is given and empty",
		"resume EMPTY":       "an argument of tallyman resume is empty",
		"thaw EMPTY":         "an argument of tallyman thaw is empty",
		"freeze --env EMPTY --app cart --for 1h --reason x":        "--env is given and empty",
		"freeze --env prod --for 0s --reason x":                    "--for must be more than 0, such as 72h",
		"mark-bad cart 1.4.2 --env EMPTY --reason x":               "--env is given and empty",
		"mark-bad cart EMPTY --reason x":                           "an argument of tallyman mark-bad is empty",
		"unmark-bad cart 1.4.2 --env EMPTY":                        "--env is given and empty",
		"pin cart 1.4.2 --env prod --until EMPTY --reason x":       "--until is given and empty",
		"rollback cart --env prod --to EMPTY --reason x":           "--to is given and empty",
		"rollback cart --env prod --through-stop EMPTY --reason x": "--through-stop is given and empty",
		"update cart 1.4.2 --env prod --override EMPTY":            "--override is given and empty",
		"cancel EMPTY":           "an argument of tallyman cancel is empty",
		"holds --env EMPTY":      "--env is given and empty",
		"updates --state EMPTY":  "--state is given and empty",
		"audit --actor EMPTY":    "--actor is given and empty",
		"history EMPTY --env dv": "an argument of tallyman history is empty",
	} {
		asked := serveActs(t, answers{})
		args := strings.Fields(command)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "EMPTY", "")
		}
		if _, failure, exit := ran(t, args...); exit != exitBadInput || !strings.Contains(failure, says) || len(*asked) > 0 {
			t.Errorf("%s: exit %d: %s; asked %q", command, exit, failure, *asked)
		}
	}
}
