package main

import (
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newMarkBad() *cobra.Command {
	var from remote
	var act actFlags
	var environments []string
	cmd := &cobra.Command{
		Use:   "mark-bad APP TAG --reason TEXT",
		Short: "Hold a tag of an app back, everywhere or in environments",
		Long: `Hold a tag of an app back, everywhere or in the named environments, until tallyman
unmark-bad. Updates to other tags go on, and a rollback does not choose the tag. What is
on the branch already stays there: tallyman rollback takes it away. The token needs the
right "hold".`,
		Example: `  tallyman mark-bad myshop-api 1.4.2 --reason "loses orders"
  tallyman mark-bad myshop-api 1.4.2 --env prod --reason "loses orders"`,
		Args: exactly("APP", "TAG"),
		RunE: from.run(func(a apiRun, args []string) error {
			if err := act.needReason(); err != nil {
				return err
			}
			return a.place(act, api.HoldRequest{Kind: gitops.HoldBad, Environments: environments, Apps: args[:1], Tag: args[1]}, waitFlags{})
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	act.flags(cmd, "required, what is wrong with the tag")
	cmd.Flags().StringSliceVar(&environments, "env", nil, "`name` of the environment, or several (default: all)")
	from.completeNames(cmd)
	return cmd
}

func newUnmarkBad() *cobra.Command {
	var from remote
	var act actFlags
	var environments []string
	cmd := &cobra.Command{
		Use:   "unmark-bad APP TAG | ID",
		Short: "Release a tag of an app that was marked as bad",
		Long: `Release a tag of an app that was marked as bad, by tallyman mark-bad or by a rollback:
every mark of the tag, those of exactly the named environments, or the one with an ID.
What was held by it is written, unless it is older than what was ordered by a person
meanwhile, or something else holds it. The token needs the right "hold".`,
		Example: `  tallyman unmark-bad myshop-api 1.4.2 --reason "it was the database"
  tallyman unmark-bad h17`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return exactly("APP", "TAG")(cmd, args)
		},
		RunE: from.run(func(a apiRun, args []string) error {
			if len(args) == 1 {
				l, err := area{environments: environments}.wanted(gitops.HoldBad, args)
				if err != nil {
					return err
				}
				return a.lift(act, l)
			}
			return a.lift(act, wanted{kind: gitops.HoldBad, tag: args[1], area: area{environments, args[:1]}, wide: len(environments) == 0})
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	act.flags(cmd, "why it is not bad")
	cmd.Flags().StringSliceVar(&environments, "env", nil, "`name` of the environment, or several (default: every mark)")
	from.completeNames(cmd)
	return cmd
}
