package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/server/api"
)

// passFlags say what an order asks for where something holds it.
func passFlags(cmd *cobra.Command, o *api.OrderRequest) {
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "show what would be ordered and what would hold it, and order nothing")
	cmd.Flags().BoolVar(&o.OrHold, "or-hold", false, "wait where a hold or a freeze is against it")
	cmd.Flags().StringVar(&o.Override, "override", "", "`reason` to pass pins, freezes and bad marks")
	cmd.Flags().StringVar(&o.ThroughStop, "through-stop", "", "`reason` to pass stops, too")
	cmd.Flags().StringVar(&o.Reason, "reason", "", "`text` for the commit and for explain: why")
}

// oneWayPast refuses an order that says more than one thing to do where it is held.
func oneWayPast(o api.OrderRequest) error {
	var given []string
	for flag, is := range map[string]bool{"--or-hold": o.OrHold, "--override": o.Override != "", "--through-stop": o.ThroughStop != ""} {
		if is {
			given = append(given, flag)
		}
	}
	if len(given) > 1 {
		slices.Sort(given)
		return badInput{fmt.Errorf("%s contradict each other: give one of them", enumerate(given))}
	}
	return nil
}
