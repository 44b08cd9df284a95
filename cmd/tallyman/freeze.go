package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newFreeze() *cobra.Command {
	var from remote
	var act actFlags
	var end endFlags
	var of area
	cmd := &cobra.Command{
		Use:   "freeze --env ENV --until TIME --reason TEXT",
		Short: "Hold all updates of environments or apps until a time",
		Long: `Hold all updates of environments, of apps, or of apps in environments until a time.
Updates are accepted meanwhile; when the freeze ends, the newest of each app is written.
A freeze that comes every week or every year belongs in the configuration (freezes).
A rollback passes a freeze, and so does tallyman update --override. The token needs the
right "hold" for all that is held.`,
		Example: `  tallyman freeze --env prod --for 4h --reason "database migration"
  tallyman freeze --env staging,prod --until "2027-01-04 08:00" --zone Europe/Berlin --reason "nobody is in"
  tallyman freeze --env prod --app cart,pay --until 2026-12-01T06:00:00Z --reason "sale"`,
		Args: noArgs,
		RunE: from.run(func(a apiRun, _ []string) (err error) {
			switch {
			case len(of.environments)+len(of.apps) == 0:
				return badInput{errors.New("--env or --app is required: to hold everything, name every environment, or use tallyman stop")}
			case !end.given():
				return badInput{errors.New("--until or --for is required: what has no end is a stop, tallyman stop")}
			}
			if err := act.needReason(); err != nil {
				return err
			}
			h := api.HoldRequest{Kind: gitops.HoldFreeze, Environments: of.environments, Apps: of.apps}
			if h.For, h.Until, err = end.read(a.print.now); err != nil {
				return err
			}
			return a.place(act, h, waitFlags{})
		}),
	}
	from.flags(cmd)
	act.flags(cmd, "required, why nothing is written")
	end.flags(cmd)
	of.flags(cmd)
	from.completeNames(cmd)
	return cmd
}

func newThaw() *cobra.Command {
	var from remote
	var act actFlags
	var of area
	cmd := &cobra.Command{
		Use:   "thaw ID | --env ENV",
		Short: "Release what a freeze holds, before its end",
		Long: `Release what a freeze holds, before its end: of the freeze with an ID, or of those that
somebody placed for exactly the named environments and apps. The newest update of each
app is written, unless something else holds it. A freeze of the configuration is not
lifted by a command: remove its window from the configuration, or have one update pass
it, with tallyman update --override. The token needs the right "hold".`,
		Example: `  tallyman thaw --env prod --reason "the migration is over"
  tallyman thaw h17`,
		Args:              atMostOne("ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: from.run(func(a apiRun, args []string) error {
			if len(args) == 0 && len(of.environments)+len(of.apps) == 0 {
				return badInput{errors.New("an ID, or --env or --app, is required: tallyman holds lists what is in force")}
			}
			l, err := of.wanted(gitops.HoldFreeze, args)
			if err != nil {
				return err
			}
			return a.lift(act, l)
		}),
	}
	from.flags(cmd)
	act.flags(cmd, "why it ends")
	of.flags(cmd)
	from.completeNames(cmd)
	return cmd
}

// wanted are the holds that a command lifts, by its argument or its flags.
func (r area) wanted(kind gitops.HoldKind, args []string) (wanted, error) {
	if len(args) == 0 {
		return wanted{kind: kind, area: r}, nil
	}
	if len(r.environments)+len(r.apps) > 0 {
		return wanted{}, badInput{errors.New("an ID names one hold: leave --env and --app out")}
	}
	return wanted{kind: kind, id: args[0]}, nil
}
