// Command tallyman hears that an image was released and makes the manifest
// repository say so.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

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
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Short:   "Hears that an image was released, and makes the manifest repository say so",
		Long: `tallyman takes signed GitHub repository_dispatch webhooks, ECR push events, and orders
of jobs and people, keeps them durably, and commits the new tag to the manifest
repository: in order, exactly once, one writer at a time for each environment.

Try it on this machine:  tallyman demo

Exit status, of every command:
  0  done
  1  it was tried and did not work
  2  flags, arguments or configuration are wrong; nothing was tried
  3  there was nothing to do (edit)
  4  the server refused: no such thing, not allowed, or against a rule
  5  the update has ended otherwise than on origin (--wait)
  6  the update is still pending after --timeout, or at Ctrl-C (--wait)
  7  the server cannot be reached, or cannot answer now`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return badInput{err} })
	root.AddCommand(newServe(), newCheck(), newBackup(), newMigrateStore(), newSend(), newEdit(), newDemo(), newApp(), newVersion(),
		newStatus(), newDeliveries(), newUpdates(), newExplain(), newUpdate(), newRetry(), newHistory(), newWatch())
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = noArgs
		completion.RunE = func(*cobra.Command, []string) error {
			return badInput{errors.New("completion for which shell: bash, zsh, fish or powershell?")}
		}
	}
	return root
}

// printError prints each of the errors that were joined on a line of its own.
func printError(err error) {
	if bad, ok := err.(badInput); ok {
		err = bad.error
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			printError(e)
		}
		return
	}
	fmt.Fprintln(os.Stderr, "tallyman:", printable(err.Error()))
}

// noArgs refuses arguments as bad input.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return badInput{err}
	}
	return nil
}

// Exit codes, for scripts. The help of the root command has them, too.
const (
	exitFailed      = 1
	exitBadInput    = 2
	exitUnchanged   = 3
	exitRefused     = 4
	exitNotWritten  = 5
	exitPending     = 6
	exitUnreachable = 7
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
