// Command tallyman commits new image tags to a GitOps manifest repository.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
)

func main() {
	err := newRoot().ExecuteContext(context.Background())
	if err != nil && !errors.Is(err, errUnchanged) {
		printError(err)
	}
	os.Exit(exitCode(err))
}

// newRoot is the command line; each subcommand is a file beside this one.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "tallyman",
		Version: version,
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Short:   "Commit new image tags to a GitOps manifest repository",
		Long: `Commit new image tags to a GitOps manifest repository. tallyman takes signed GitHub
repository_dispatch webhooks, ECR push events, and orders of jobs and people, stores
them durably, and commits each new tag: in order, exactly once, one writer at a time
for each environment.

Try it on this machine:  tallyman demo

Exit status, of every command:
  0  done
  1  failed
  2  flags, arguments or configuration are wrong; nothing was tried
  3  nothing to do (edit)
  4  rejected by the server: no such thing, not allowed, or against a rule
  5  the update ended and is not committed (--wait), or not cancelled (cancel)
  6  the update has not ended: after --timeout or at Ctrl-C (--wait), or its
     cancellation is not carried out yet (cancel)
  7  server unavailable
  8  held: a pin, freeze, stop or bad mark is against the order; nothing was stored
  9  the update is proposed: its pull request is open, and it is not committed (--wait)
 10  the update is committed and does not run: its rollout failed, or another tag took
     its place before it was known to run (--wait=healthy)
 11  the update is committed and nothing says whether it runs: it is not followed to the
     cluster, or nothing there is known to read its file (--wait=healthy)

tallyman verify has 0 to 3 of its own for what it found; see its help.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return badInput{err} })
	root.AddCommand(newServe(), newInit(), newCheck(), newBackup(), newRestore(), newMigrateStore(), newSend(), newEdit(), newDemo(), newApp(), newNotify(), newSchema(), newVersion(),
		newStatus(), newApps(), newDeliveries(), newUpdates(), newExplain(), newUpdate(), newRetry(), newCancel(), newDismiss(), newClear(), newHistory(), newAudit(), newWatch(),
		newRollback(), newPin(), newUnpin(), newFreeze(), newThaw(), newStop(), newResume(), newMarkBad(), newUnmarkBad(), newHealth(), newHolds(), newFreezes(), newWhy(), newVerify())
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = cobra.ArbitraryArgs // what is no shell is refused with the list
		completion.RunE = func(*cobra.Command, []string) error {
			return badInput{errors.New("completion needs a shell: bash, zsh, fish or powershell")}
		}
	}
	return root
}

// printError prints each of the errors that were joined on a line of its own.
func printError(err error) {
	for _, line := range linesOf(err) {
		fmt.Fprintln(os.Stderr, "tallyman:", printable(line))
	}
}

// linesOf are the errors that were joined, each once: two that look at one thing find the
// same.
func linesOf(err error) (lines []string) {
	if bad, ok := err.(badInput); ok {
		err = bad.error
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	for _, e := range joined.Unwrap() {
		for _, line := range linesOf(e) {
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// noCommand refuses what is no command as bad input.
func noCommand(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return badInput{fmt.Errorf("%w: tallyman --help lists the commands", err)}
	}
	return nil
}

// noArgs refuses arguments as bad input.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return badInput{fmt.Errorf("%s takes no argument, and %q is one", cmd.CommandPath(), args[0])}
	}
	return nil
}

// Exit codes, for scripts. The help of the root command has them, too.
const (
	exitFailed      = 1
	exitBadInput    = 2
	exitUnchanged   = 3
	exitRejected    = 4
	exitEnded       = 5
	exitPending     = 6
	exitUnreachable = 7
	exitHeld        = 8
	exitProposed    = 9
	exitNotHealthy  = 10
	exitNotFollowed = 11
)

// badInput marks an error of flags or configuration.
type badInput struct{ error }

func (e badInput) Unwrap() error { return e.error }

func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(badInput)):
		return exitBadInput
	case errors.Is(err, errUnchanged):
		return exitUnchanged
	}
	var coded interface{ exit() int }
	if errors.As(err, &coded) {
		return coded.exit()
	}
	return exitFailed
}
