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
	given   func() bool // whether timeout was given; nil where no flag sets it
}

// waits reports whether the command waits.
func (w *waitFlags) waits() bool { return w.until != "" && !w.noWait }

func (w *waitFlags) flags(cmd *cobra.Command) {
	w.waitFlag(cmd, "wait until every update is `what`: proposed, if not committed at once, committed, or healthy; or say why one is not")
	w.timeoutFlag(cmd)
}

// untilWritten are the flags of commands that wait without being asked to.
func (w *waitFlags) untilWritten(cmd *cobra.Command) {
	w.until = untilProposed
	w.waitFlag(cmd, "wait until the update is `what`: proposed, if not committed at once, committed, or healthy")
	cmd.Flags().BoolVar(&w.noWait, "no-wait", false, "do not wait until the tag is on the branch, or proposed")
	w.timeoutFlag(cmd)
}

func (w *waitFlags) waitFlag(cmd *cobra.Command, usage string) {
	cmd.Flags().Var(&w.until, "wait", usage)
	cmd.Flags().Lookup("wait").NoOptDefVal = string(untilProposed)
	complete(cmd, "wait", func(*cobra.Command) []string {
		return []string{string(untilProposed), string(untilCommitted), string(untilHealthy)}
	})
}

func (w *waitFlags) timeoutFlag(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&w.timeout, "timeout", usualTimeout, "maximum wait `duration`, 30m unless given with --wait=healthy")
	w.given = func() bool { return cmd.Flags().Changed("timeout") }
}

// How long a command waits unless its flags say so. What is followed in the cluster has 15
// minutes there, unless the configuration says otherwise.
const (
	usualTimeout   = 10 * time.Minute
	healthyTimeout = 30 * time.Minute
)

// limit is how long the command waits.
func (w *waitFlags) limit() time.Duration {
	if w.until == untilHealthy && w.given != nil && !w.given() {
		return healthyTimeout
	}
	return w.timeout
}

// late says why the wait ended before the update had come as far as was waited for.
func (w *waitFlags) late(s gitops.State, interrupted bool) string {
	if interrupted {
		return fmt.Sprintf("interrupted; still %s", s)
	}
	return fmt.Sprintf("still %s after %s", s, w.limit())
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
	untilHealthy   awaited = "healthy"   // it has ended without being written, or its rollout has ended, or it is not followed in the cluster
)

// reached reports whether an update has come so far.
func (a awaited) reached(u gitops.Update) bool {
	if a == untilHealthy && u.State.Written() {
		return !isFollowed(u) || u.Rollout != nil && u.Rollout.State.Final()
	}
	return u.State.Final() || a == untilProposed && u.State == gitops.Proposed
}

// isFollowed reports whether somebody says where a written update stands in the cluster, or has
// said how that ended.
func isFollowed(u gitops.Update) bool {
	return u.FollowedBy != "" || u.Rollout != nil && u.Rollout.State.Final()
}

func (a *awaited) String() string { return string(*a) }

func (a *awaited) Set(text string) error {
	switch until := awaited(text); until {
	case untilProposed, untilCommitted, untilHealthy:
		*a = until
		return nil
	}
	return fmt.Errorf("must be %s, %s or %s", untilProposed, untilCommitted, untilHealthy)
}

func (a *awaited) Type() string { return "what" }
