package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newHealth() *cobra.Command {
	var from remote
	var h api.HealthRequest
	var state string
	cmd := &cobra.Command{
		Use:   "health APP --env ENV --tag TAG --state STATE",
		Short: "Report whether a tag of an app runs",
		Long: `Report whether the tag of an app that was written last runs in an environment, for
whatever deploys it and knows that: a job, a hook of a chart, a script. The environment
must have rollout.by: reports. The state is progressing, paused, healthy, degraded or
sync_failed; the last three end the rollout, and what has ended stays.

The report names the tag, or with --update the update, so that one that comes late says
nothing of what was written meanwhile: then it is refused (exit status 4). The same
report again changes nothing. The token needs the right "report".`,
		Example: `  tallyman health myshop-api --env prod --tag 1.4.2 --state healthy
  tallyman health myshop-api --env prod --tag 1.4.2 --state degraded --reason "CrashLoopBackOff"`,
		Args: exactly("APP"),
		RunE: from.run(func(a apiRun, args []string) error {
			switch {
			case h.Environment == "":
				return badInput{errors.New("--env is required")}
			case state == "":
				return badInput{errors.New("--state is required: progressing, paused, healthy, degraded or sync_failed")}
			case (h.Tag == "") == (h.Update == ""):
				return badInput{errors.New("one of --tag and --update is required: another tag may have been written meanwhile")}
			}
			h.App, h.State = args[0], gitops.RolloutState(state)
			return a.reportHealth(h)
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&h.Environment, "env", "", "`name` of the environment (required)")
	cmd.Flags().StringVar(&h.Tag, "tag", "", "image `tag` that it is about")
	cmd.Flags().StringVar(&h.Update, "update", "", "`id` of the update that it is about, in place of --tag")
	cmd.Flags().StringVar(&state, "state", "", "`state`: progressing, paused, healthy, degraded or sync_failed (required)")
	cmd.Flags().StringVar(&h.Reason, "reason", "", "`text` for people, one line")
	cmd.Flags().StringVar(&h.URL, "link", "", "`address` of a page about it, for people")
	cmd.Flags().StringVar(&h.Place, "place", "", "`name` of what of the cluster it is about, for people")
	cmd.Flags().BoolVar(&h.DryRun, "dry-run", false, "show what would be done, and do nothing")
	complete(cmd, "state", func(*cobra.Command) []string {
		return []string{"progressing", "paused", "healthy", "degraded", "sync_failed"}
	})
	from.completeNames(cmd)
	return cmd
}

// reportHealth reports it, and prints what stands by then.
func (a apiRun) reportHealth(h api.HealthRequest) error {
	said, err := a.server.ReportHealth(a.Context(), h)
	if err != nil {
		return area{[]string{h.Environment}, []string{h.App}}.name(a, err)
	}
	p := a.print
	return p.print(said, func() {
		p.nothingDone(h.DryRun)
		text := string(said.Rollout.State)
		if said.Rollout.Reason != "" {
			text += ": " + said.Rollout.Reason
		}
		if !said.Changed {
			text += " (nothing new)"
		}
		p.line("", "%s in %s at %s: %s", said.App, said.Environment, said.Tag, text)
	})
}
