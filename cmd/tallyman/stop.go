package main

import (
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newStop() *cobra.Command {
	var from remote
	var act actFlags
	var of area
	cmd := &cobra.Command{
		Use:   "stop [--env ENV] [--app APP]",
		Short: "Hold all updates at once, until tallyman resume",
		Long: `Hold all updates at once, of everything or of the named environments and apps, until
tallyman resume. It needs no reason and has no end. Updates are accepted meanwhile. When
the command has ended, nothing is pushed any longer by the server that answered, and no
pull request merged; it lists what was being pushed when it was asked, which a stop
cannot take back, and other replicas, which look before their next push. Only tallyman
update or tallyman rollback with --through-stop passes a stop. The token needs the right
"stop" for all of it.`,
		Example: `  tallyman stop
  tallyman stop --env prod --reason "incident 4711"
  tallyman resume --env prod`,
		Args: noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			return a.place(act, api.HoldRequest{Kind: gitops.HoldStop, Environments: of.environments, Apps: of.apps}, waitFlags{})
		}),
	}
	from.flags(cmd)
	act.flags(cmd, "not required")
	of.flags(cmd)
	from.completeNames(cmd)
	return cmd
}

func newResume() *cobra.Command {
	var from remote
	var act actFlags
	var of area
	cmd := &cobra.Command{
		Use:   "resume [ID | --env ENV] [--app APP]",
		Short: "Release what a stop holds",
		Long: `Release what a stop holds: of the stop with an ID, or of those that were placed for
exactly the named environments and apps, and with none named of those of everything.
Other stops stay in force, and the command lists those that still hold something of it.
The newest update of each app is written, unless something else holds it. The token
needs the right "stop".`,
		Example: `  tallyman resume
  tallyman resume --env prod --reason "incident 4711 is over"
  tallyman resume h17`,
		Args:              atMostOne("ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: from.run(func(a apiRun, args []string) error {
			l, err := of.wanted(gitops.HoldStop, args)
			if err != nil {
				return err
			}
			return a.lift(act, l)
		}),
	}
	from.flags(cmd)
	act.flags(cmd, "why it is over")
	of.flags(cmd)
	from.completeNames(cmd)
	return cmd
}
