package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
)

// decideFunc is one of the client's decisions.
type decideFunc func(ctx context.Context, id, reason string) (gitops.Update, error)

// newDecision makes a command that decides about one update. finish prints what the
// server answered.
func newDecision(cmd *cobra.Command, from *remote, decide func(*client.Client) decideFunc, finish func(apiRun, gitops.Update) error) *cobra.Command {
	var reason string
	cmd.Args = exactly("ID")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = from.run(func(a apiRun, args []string) error {
		u, err := decide(a.server)(a.Context(), args[0], reason)
		if gitops.CodeOf(err) == gitops.NotFound {
			return gitops.Errorf(gitops.NotFound, "no update with ID %s. The ID of a delivery is not that of an update: tallyman updates lists them", args[0])
		} else if err != nil {
			return err
		}
		return finish(a, u)
	})
	from.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`text` for the log and for explain: why")
	return cmd
}

// deliveryOf is an update as the answer of an order.
func deliveryOf(u gitops.Update) gitops.Delivery {
	return gitops.Delivery{Source: u.Delivery.Source, ID: u.Delivery.ID, Updates: []gitops.Update{u}}
}

func newRetry() *cobra.Command {
	var from remote
	var w waitFlags
	cmd := newDecision(&cobra.Command{
		Use:   "retry ID",
		Short: "Retry a failed update",
		Long: `Retry a failed update: it becomes pending again and keeps its place in acceptance
order. Of a pending update that is blocked it lifts the block. The server rejects it
when a later update of the same app in the same environment is open or written: an
old release must not overwrite a newer one. The token needs the right "retry".`,
		Example: "  tallyman updates --state failed\n  tallyman retry 5d1f2a60-93b1-8c4e-a7d2-0f6b1e9c3a54 --wait",
	}, &from, func(c *client.Client) decideFunc { return c.Retry }, func(a apiRun, u gitops.Update) error {
		return a.show(deliveryOf(u), w)
	})
	w.flags(cmd)
	return cmd
}

func newCancel() *cobra.Command {
	var from remote
	return newDecision(&cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel a pending or proposed update",
		Long: `Cancel a pending or proposed update, so that it is not written. The environment's lane
carries that out, because it alone knows whether the update is being pushed; of a
proposed one it closes the pull request. The server waits a moment for it. The token
needs the right "cancel".

Exit status 0: the update is cancelled. 4: it had ended before. 5: its commit was on
the branch first. 6: the cancellation is requested, and the lane has not carried it
out yet; it does so by itself.`,
		Example: `  tallyman updates --state pending
  tallyman cancel 5d1f2a60-93b1-8c4e-a7d2-0f6b1e9c3a54 --reason "replaced by 1.4.1"`,
	}, &from, func(c *client.Client) decideFunc { return c.Cancel }, func(a apiRun, u gitops.Update) error {
		if err := a.show(deliveryOf(u), waitFlags{}); err != nil {
			return err
		}
		switch {
		case u.State == gitops.Cancelled:
			return nil
		case u.State.Final():
			return fellShort{u, exitEnded, fmt.Sprintf("not cancelled: it was %s first", u.State)}
		}
		return fellShort{u, exitPending, "cancellation requested, not carried out yet"}
	})
}

func newDismiss() *cobra.Command {
	var from remote
	return newDecision(&cobra.Command{
		Use:   "dismiss ID",
		Short: "Dismiss a failed update",
		Long: `Dismiss a failed update: it becomes cancelled, and is no longer listed as failed. The
token needs the right "cancel".`,
		Example: "  tallyman updates --state failed\n  tallyman dismiss 5d1f2a60-93b1-8c4e-a7d2-0f6b1e9c3a54",
	}, &from, func(c *client.Client) decideFunc { return c.Dismiss }, func(a apiRun, u gitops.Update) error {
		return a.show(deliveryOf(u), waitFlags{})
	})
}
