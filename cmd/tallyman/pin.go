package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newPin() *cobra.Command {
	var from remote
	var act actFlags
	var end endFlags
	var w waitFlags
	var environment string
	cmd := &cobra.Command{
		Use:   "pin APP TAG --env ENV --reason TEXT",
		Short: "Keep an app at a tag for a while",
		Long: `Keep an app at a tag in an environment, for 72 hours (holds.pinFor of the configuration)
or until --for or --until says. Updates to other tags are accepted and held; when the
pin ends, the newest of them is written. If the branch does not have the tag, it is
ordered, too, and the command waits until it is there or proposed (exit status 9); with
--wait=committed it waits until the pull request is merged or closed. A pin takes the
place of another one for the same app and environment, and says whose it was. The token
needs the right "hold", and to order the tag the right "order".`,
		Example: `  tallyman pin myshop-api 1.4.1 --env prod --reason "load test"
  tallyman pin myshop-api 1.4.1 --env prod --until "Mon 08:00" --zone Europe/Berlin --reason "load test"
  tallyman unpin myshop-api --env prod`,
		Args: exactly("APP", "TAG"),
		RunE: from.run(func(a apiRun, args []string) (err error) {
			if environment == "" {
				return badInput{errors.New("--env is required")}
			}
			if err := act.needReason(); err != nil {
				return err
			}
			h := api.HoldRequest{Kind: gitops.HoldPin, Environments: []string{environment}, Apps: args[:1], Tag: args[1]}
			if h.For, h.Until, err = end.read(a.print.now); err != nil {
				return err
			}
			return a.place(act, h, w)
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	act.flags(cmd, "required, why it is kept")
	end.flags(cmd)
	w.untilWritten(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "`name` of the environment (required)")
	from.completeNames(cmd)
	return cmd
}

func newUnpin() *cobra.Command {
	var from remote
	var act actFlags
	var environment string
	cmd := &cobra.Command{
		Use:   "unpin APP --env ENV",
		Short: "Release an app from its pin",
		Long: `Release an app from its pin in an environment, whoever placed it. Of the updates that it
held the newest is written; a tag that is marked as bad is not (tallyman unmark-bad).
The token needs the right "hold".`,
		Example: `  tallyman unpin myshop-api --env prod --reason "the fix is 1.4.3"`,
		Args:    exactly("APP"),
		RunE: from.run(func(a apiRun, args []string) error {
			if environment == "" {
				return badInput{errors.New("--env is required")}
			}
			return a.lift(act, wanted{kind: gitops.HoldPin, area: area{[]string{environment}, args}})
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	act.flags(cmd, "why it is released")
	cmd.Flags().StringVar(&environment, "env", "", "`name` of the environment (required)")
	from.completeNames(cmd)
	return cmd
}
