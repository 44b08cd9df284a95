package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newRollback() *cobra.Command {
	var from remote
	var act actFlags
	var end endFlags
	var w waitFlags
	var r api.RollbackRequest
	cmd := &cobra.Command{
		Use:   "rollback APP --env ENV --reason TEXT",
		Short: "Return an app to an earlier tag, and keep it there",
		Long: `Return an app to an earlier tag in an environment, and keep it there: order the tag, pin
the app to it for 72 hours (holds.pinFor of the configuration, or --for or --until), and
mark the tag that is left as bad there (--keep does not), so that no event brings it
back, also after the pin has ended. Without --to it is the last other tag that the
branch had there and that is not bad.

A rollback passes pins and freezes, and takes the place of another's pin. A stop it
passes with --through-stop alone, which needs the right "override", too. The token needs
the right "rollback". The command waits until the tag is on the branch or proposed (exit
status 9); with --wait=committed it waits until the pull request is merged or closed.`,
		Example: `  tallyman rollback myshop-api --env prod --reason "incident 4711"
  tallyman rollback myshop-api --env prod --to 1.4.0 --for 24h --reason "incident 4711"
  tallyman rollback myshop-api --env prod --reason "incident 4711" --dry-run`,
		Args: exactly("APP"),
		RunE: from.run(func(a apiRun, args []string) (err error) {
			if r.Environment == "" {
				return badInput{errors.New("--env is required")}
			}
			if err := act.needReason(); err != nil {
				return err
			}
			if r.For, r.Until, err = end.read(a.print.now); err != nil {
				return err
			}
			r.App, r.Reason, r.DryRun = args[0], act.reason, act.dryRun
			return a.rollback(act, r, w)
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	act.flags(cmd, "required, why the tag is left")
	end.flags(cmd)
	w.untilWritten(cmd)
	cmd.Flags().StringVar(&r.Environment, "env", "", "`name` of the environment (required)")
	cmd.Flags().StringVar(&r.Tag, "to", "", "image `tag` to return to (default: the last other one there that is not bad)")
	cmd.Flags().BoolVar(&r.Keep, "keep", false, "do not mark the tag that is left as bad")
	cmd.Flags().StringVar(&r.ThroughStop, "through-stop", "", "`reason` to pass a stop")
	from.completeNames(cmd)
	return cmd
}

// rollback requests it, waits for its update, and prints what was done.
func (a apiRun) rollback(f actFlags, r api.RollbackRequest, w waitFlags) error {
	var done api.RollbackAnswer
	err := once(f.key, f.dryRun, func(key string) (err error) {
		done, err = a.server.Rollback(a.Context(), key, r)
		return err
	})
	if err != nil {
		return area{[]string{r.Environment}, []string{r.App}}.name(a, err)
	}
	var end error
	if w.waits() && !f.dryRun && done.Update != nil {
		updates := []gitops.Update{*done.Update}
		end = a.await(updates, w)
		done.Update = &updates[0]
	}
	p := a.print
	err = p.print(done, func() {
		p.nothingDone(f.dryRun)
		p.rolledBack(r, done)
	})
	return errors.Join(err, end)
}

func (p *printer) rolledBack(r api.RollbackRequest, done api.RollbackAnswer) {
	result := done.Note
	if done.Update != nil {
		result = p.outcome(*done.Update)
	}
	p.line("", "%s in %s back from %s to %s: %s", r.App, r.Environment, done.From, done.To, result)
	if n := len(done.UnderWay); n > 0 {
		p.line("  ", "It comes after %s that %s open: %s", plural(n, "update"), isOrAre(n), firstFew(done.UnderWay))
	}
	p.line("  ", "Pin: %s", p.holdLine(done.Pin))
	p.ended(done.Pin)
	if done.Bad != nil {
		p.line("  ", "Bad mark: %s", p.holdLine(*done.Bad))
	}
	p.replaced(done.Replaced)
	if done.Resume != "" {
		p.line("", "to have updates written again: %s", done.Resume)
	}
	p.undo(done.Undo)
	if done.Update != nil && !r.DryRun {
		p.line("", "details: tallyman explain %s", done.Delivery)
	}
}

// holdLine is a hold in a line; one of a dry run has no id.
func (p *printer) holdLine(h gitops.Hold) string {
	if h.ID == "" {
		return p.words(h)
	}
	return fmt.Sprintf("%s, %s", h.ID, p.words(h))
}
