package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/config"
)

func newNotify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Send test messages by notifiers",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return badInput{errors.New("notify needs a command: tallyman notify test NAME")}
		},
	}
	cmd.AddCommand(newNotifyTest())
	return cmd
}

func newNotifyTest() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Send one test message by a notifier",
		Long: `Send the receiver of one notifier a message of the kind test, which says that nothing
happened, with the text that the notifier's template makes of a made-up update. The
configuration and the secret's file are read as serve does; no server needs to run, and
what a running one sends is not touched. It is sent once.

Exit status 0: the receiver took it. 1: it did not; the error has its answer. 2: flags
or the configuration are wrong, or it has no such notifier.`,
		Example: `  tallyman notify test ops --config /etc/tallyman/tallyman.yaml`,
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(file)
			if err != nil {
				return badInput{err}
			}
			if err := knownNotifier(c, args[0]); err != nil {
				return err
			}
			took, err := server.TryNotifier(cmd.Context(), c, args[0])
			return notifyOutcome(cmd.OutOrStdout(), args[0], took, err)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `file`")
	return cmd
}

// knownNotifier reports a name that the configuration does not have.
func knownNotifier(c config.Config, name string) error {
	names := make([]string, len(c.Notify))
	for i, n := range c.Notify {
		names[i] = n.Name
	}
	if len(names) == 0 {
		return badInput{errors.New("the configuration has no notifier: see notify in docs/configuration.md")}
	}
	return checkName("notifier", name, names)
}

// notifyOutcome prints what came of a test message.
func notifyOutcome(out io.Writer, name string, took time.Duration, err error) error {
	switch {
	case gitops.CodeOf(err) == gitops.Invalid:
		return badInput{err}
	case err != nil:
		return fmt.Errorf("notifier %s: not delivered after %s: %w", name, took.Round(time.Millisecond), err)
	}
	fmt.Fprintf(out, "notifier %s: delivered in %s\n", name, took.Round(time.Millisecond))
	return nil
}
