package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newWhy() *cobra.Command {
	var from remote
	var environment string
	cmd := &cobra.Command{
		Use:   "why APP --env ENV",
		Short: "Show everything that keeps updates of an app from being written",
		Long: `Show everything that keeps updates of an app from being written in an environment, and
not only the first of it: what each pending update waits for, what an order that came
now would meet, where the tag that was written last stands in the cluster, the holds in
force with the command that lifts each, the next freeze of the configuration, an
outage, and when a person last ordered something there.`,
		Example: "  tallyman why myshop-api --env prod\n  tallyman why myshop-api --env prod -o json | jq '.order[].kind'",
		Args:    exactly("APP"),
		RunE: from.run(func(a apiRun, args []string) error {
			if environment == "" {
				return badInput{errors.New("--env is required")}
			}
			w, err := a.server.Why(a.Context(), environment, args[0])
			if err != nil {
				return area{[]string{environment}, args}.name(a, err)
			}
			return a.print.print(w, func() { a.print.why(w) })
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "`name` of the environment (required)")
	from.completeNames(cmd)
	return cmd
}

func (p *printer) why(w api.Why) {
	p.line("", "%s in %s: %s", w.App, w.Environment, branchText(w))
	if w.Outage != nil {
		p.line("  ", "%s", p.outageText(*w.Outage))
	}
	for _, u := range w.Pending {
		p.line("  ", "%s: %s (update %s, accepted %s UTC)", capital(string(u.State)), u.Tag, u.ID, p.when(u.AcceptedAt))
		if u.State == gitops.Proposed {
			p.explainProposal(u)
			continue
		}
		if len(u.BlockedBy) == 0 {
			p.line("    ", "not blocked")
		}
		for _, b := range u.BlockedBy {
			p.line("    ", "%s", p.blockText(b))
		}
	}
	if len(w.Pending) == 0 {
		p.line("  ", "Pending: nothing")
	}
	if w.Rollout != nil {
		p.rollout(w.App, w.Environment, *w.Rollout)
	}
	p.meets(w)
	for _, h := range w.Holds {
		p.line("  ", "In force: %s of %s: %s", kindWords[h.Kind], areaOf(h), p.holdLine(h))
		p.line("    ", "To lift it: %s", acts.Lift(h))
	}
	if f := w.NextFreeze; f != nil {
		p.line("  ", "Next freeze: %s from %s until %s %s (%s)", f.Freeze, onWall(f.From, f.Zone), onWall(f.Until, f.Zone), f.Zone, p.ahead(f.From))
	}
	if !w.LastWord.IsZero() {
		p.line("  ", "Last order of a person: %s UTC. Events from before it are not written", timestamp(w.LastWord))
	}
}

// branchText says which tag the branch has, and which was written last, where it is another.
func branchText(w api.Why) string {
	text := firstOf(w.Branch, "no tag") + " on the branch"
	if w.Problem != "" {
		text = "the branch cannot be read now: " + w.Problem
	}
	if w.Written != "" && w.Written != w.Branch {
		text += "; " + w.Written + " was written last"
	}
	return text
}

// meets says what an order that came now would meet, and how it gets past that.
func (p *printer) meets(w api.Why) {
	if len(w.Order) == 0 {
		p.line("  ", "An update that came now would be written")
		return
	}
	p.line("  ", "An update to another tag that came now would be")
	for _, b := range w.Order {
		p.line("    ", "%s", p.blockText(b))
	}
	pass := "--override"
	if slices.ContainsFunc(w.Order, func(b gitops.Block) bool { return b.Kind == gitops.BlockStop }) {
		pass = "--through-stop"
	}
	p.line("    ", "To write it all the same: tallyman update %s TAG --env %s %s REASON", w.App, w.Environment, pass)
}
