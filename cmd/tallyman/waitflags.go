package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
)

// waitFlags are the flags of commands that wait for an update.
type waitFlags struct {
	until   awaited // "" unless the command waits
	noWait  bool    // of commands that wait unless this is set
	timeout time.Duration
}

// waits reports whether the command waits.
func (w *waitFlags) waits() bool { return w.until != "" && !w.noWait }

func (w *waitFlags) flags(cmd *cobra.Command) {
	w.waitFlag(cmd, "wait until every update is `what`: proposed, if not committed at once, or committed; or say why one is not")
	w.timeoutFlag(cmd)
}

// untilWritten are the flags of commands that wait without being asked to.
func (w *waitFlags) untilWritten(cmd *cobra.Command) {
	w.until = untilProposed
	w.waitFlag(cmd, "wait until the update is `what`: proposed, if not committed at once, or committed")
	cmd.Flags().BoolVar(&w.noWait, "no-wait", false, "do not wait until the tag is on the branch, or proposed")
	w.timeoutFlag(cmd)
}

func (w *waitFlags) waitFlag(cmd *cobra.Command, usage string) {
	cmd.Flags().Var(&w.until, "wait", usage)
	cmd.Flags().Lookup("wait").NoOptDefVal = string(untilProposed)
	complete(cmd, "wait", func(*cobra.Command) []string { return []string{string(untilProposed), string(untilCommitted)} })
}

func (w *waitFlags) timeoutFlag(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&w.timeout, "timeout", 10*time.Minute, "maximum wait `duration`")
}

// late says why the wait ended before the update had come as far as was waited for.
func (w *waitFlags) late(s gitops.State, interrupted bool) string {
	if interrupted {
		return fmt.Sprintf("interrupted; still %s", s)
	}
	return fmt.Sprintf("still %s after %s", s, w.timeout)
}

// waitApart says how to write a value of --wait that is among the arguments, since it came
// after a space: the flag may have none. It is "" where no value is.
func waitApart(cmd *cobra.Command, args []string) string {
	if !cmd.Flags().Changed("wait") {
		return ""
	}
	for _, arg := range args {
		if new(awaited).Set(arg) == nil {
			return ": write --wait=" + arg + ", without a space"
		}
	}
	return ""
}

// awaited is how far an update must have come for a command that waits for it. It is the
// value of a flag.
type awaited string

const (
	untilProposed  awaited = "proposed"  // it has ended, or its pull request is open
	untilCommitted awaited = "committed" // it has ended
)

// reached reports whether an update in this state has come so far.
func (a awaited) reached(s gitops.State) bool {
	return s.Final() || a == untilProposed && s == gitops.Proposed
}

func (a *awaited) String() string { return string(*a) }

func (a *awaited) Set(text string) error {
	switch until := awaited(text); until {
	case untilProposed, untilCommitted:
		*a = until
		return nil
	}
	return fmt.Errorf("must be %s or %s", untilProposed, untilCommitted)
}

func (a *awaited) Type() string { return "what" }
