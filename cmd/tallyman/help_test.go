package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// imperatives are the verbs that a command's help may begin with.
var imperatives = []string{
	"Back", "Cancel", "Clear", "Commit", "Compare", "Copy", "Dismiss", "Hold", "Keep", "List", "Print", "Release", "Report", "Request", "Restore", "Retry", "Return", "Run", "Send", "Set", "Show", "Stream", "Validate",
}

// Help begins with an imperative. A line of help has no full stop, fits a terminal
// and names the value of each flag by a noun.
func TestHelpTexts(t *testing.T) {
	placeholder := regexp.MustCompile(`^[A-Za-z/:=-]+$`)
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" { // cobra's own
				check(sub)
			}
		}
		for kind, text := range map[string]string{"short": cmd.Short, "long": cmd.Long} {
			verb, _, _ := strings.Cut(text, " ")
			if text != "" && !slices.Contains(imperatives, verb) {
				t.Errorf("%s: the %s help does not begin with an imperative: %.60s", cmd.CommandPath(), kind, text)
			}
		}
		if cmd.Short == "" || len(cmd.Short) > 65 || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short help is %q", cmd.CommandPath(), cmd.Short)
		}
		for line := range strings.Lines(cmd.Long) {
			if len(strings.TrimSuffix(line, "\n")) > 88 {
				t.Errorf("%s: a line of its help is too long: %s", cmd.CommandPath(), line)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			name, usage := pflag.UnquoteUsage(f)
			if usage == "" || strings.HasSuffix(usage, ".") || !placeholder.MatchString(name) && f.Value.Type() != "bool" {
				t.Errorf("%s --%s: the help is %q, its value %q", cmd.CommandPath(), f.Name, usage, name)
			}
			if strings.Contains(" "+usage, " the `") {
				t.Errorf("%s --%s: the help begins with an article: %q", cmd.CommandPath(), f.Name, usage)
			}
		})
	}
	check(newRoot())
}

// Every exit status is in the help of the root command.
func TestExitStatusesAreInTheHelp(t *testing.T) {
	for _, code := range []string{"0  done", "1  failed", "2  flags", "3  nothing to do", "4  rejected by the server", "5  the update ended", "6  the update has not ended", "7  server unavailable", "8  held", "9  the update is proposed"} {
		if !strings.Contains(newRoot().Long, "\n  "+code) {
			t.Errorf("the help does not have %q", code)
		}
	}
}
