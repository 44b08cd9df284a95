package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newUpdate() *cobra.Command {
	var from remote
	var w waitFlags
	var o api.OrderRequest
	var key string
	var environments []string
	cmd := &cobra.Command{
		Use:   "update APP[,APP] TAG --env ENV[,ENV]",
		Short: "Request an update",
		Long: `Request that an app gets an image tag in an environment, without a webhook. The order
is checked by the same rules as a dispatch, stored before it is answered, and written
in acceptance order. The token needs the right "order".

With several apps or environments every app is ordered in every environment, all or
none: when one of them is not authorized or cannot be, nothing is ordered.

--wait waits until each is committed or, where the environment is written by pull
requests, proposed; of a proposed one the exit status is 9. --wait=committed waits until
pull requests are merged or closed. Exit status 5 means that one or more ended without a
commit, and 6 that none did, and one or more have not come so far in time.

--wait=healthy waits until each runs, as Argo CD or a report says. Exit status 10 means
that one does not run, and 11 that nothing says whether it does. While a person must
sync or promote it, standard error says so, and the command waits on.

What a pin, freeze, stop or bad mark holds is not ordered, and the exit status is 8,
unless the order says what to do: --or-hold has it wait, --override has it pass pins,
freezes and bad marks, and --through-stop stops, too, for a reason that the commit and
the audit have. The last two need the right "override".`,
		Example: `  tallyman update myshop-api main-1a2b3c4 --env dev
  tallyman update myshop-api 1.4.0 --env prod --wait --timeout 2m
  tallyman update myshop-api 1.4.0 --env prod --wait=committed --timeout 8h   # until its pull request is merged
  tallyman update myshop-api 1.4.0 --env prod --wait=healthy --timeout 45m    # until it runs
  tallyman update myshop-api 1.4.0 --env prod --key "release-1.4.0"   # asked twice, ordered once
  tallyman update cart,pay --tag 1.4.0 --env dev,staging --wait
  tallyman update myshop-api 1.4.1 --env prod --or-hold              # after the freeze
  tallyman update myshop-api 1.4.1 --env prod --override "fixes 4711"   # in the freeze`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("tag") {
				return exactly("APP")(cmd, args)
			}
			return exactly("APP", "TAG")(cmd, args)
		},
		RunE: from.run(func(a apiRun, args []string) error {
			o.App = strings.Split(args[0], ",")
			if len(args) > 1 {
				o.Tag = args[1]
			}
			if len(environments) == 0 {
				return badInput{errors.New("--env is required")}
			}
			if err := oneWayPast(o); err != nil {
				return err
			}
			o.Environment = environments
			var answer api.OrderAnswer
			err := once(key, o.DryRun, func(key string) (err error) {
				answer, err = a.server.Order(a.Context(), key, o)
				return err
			})
			if err != nil {
				return a.unknownName(err, o)
			}
			return a.showOrder(answer, w)
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	w.flags(cmd)
	cmd.Flags().StringSliceVar(&environments, "env", nil, "`name` of the environment, or several (required)")
	cmd.Flags().StringVar(&o.Tag, "tag", "", "image `tag`, in place of the argument TAG")
	cmd.Flags().StringVar(&o.Digest, "digest", "", "image `digest`, as sha256:HEX")
	cmd.Flags().StringVar(&o.Revision, "revision", "", "`commit` of the app's repository that the image was built from, as 40 hexadecimal digits")
	cmd.Flags().StringVar(&key, "key", "", "`id` of the order: the same one again is the same order (default: a new one)")
	passFlags(cmd, &o)
	from.completeNames(cmd)
	return cmd
}

// unknownName is the error of an order that was rejected, in the words of other commands
// where that is because of a name that the server does not have. Of several names the
// error has every one that is wrong.
func (a apiRun) unknownName(err error, o api.OrderRequest) error {
	if gitops.CodeOf(err) == gitops.Rejected && len(o.Environment) == 1 && len(o.App) == 1 {
		if unknown := a.checkNames(o.Environment[0], o.App[0]); unknown != nil {
			return gitops.Errorf(gitops.Rejected, "%s", unknown)
		}
	}
	return err
}

// unknownResult is an order that may have been accepted: its answer did not come.
type unknownResult struct {
	error
	key string
}

func (u unknownResult) Error() string {
	return fmt.Sprintf("%s; result unknown; repeat safely with --key %s", u.error, u.key)
}
func (u unknownResult) Unwrap() error { return u.error }

// show prints a delivery's updates as those of an order.
func (a apiRun) show(d gitops.Delivery, w waitFlags) error {
	return a.showOrder(api.OrderAnswer{Delivery: d}, w)
}

// showOrder prints an order's updates, once they have ended if that is waited for.
func (a apiRun) showOrder(answer api.OrderAnswer, w waitFlags) error {
	var end error
	d := answer.Delivery
	if w.waits() && !answer.DryRun && len(d.Updates) > 0 {
		end = a.await(d.Updates, w)
	}
	answer.Undo = undoOf(answer)
	p := a.print
	err := p.print(answer, func() {
		p.nothingDone(answer.DryRun)
		switch len(d.Updates) {
		case 0:
			p.line("", "%s", d.Reason)
		case 1:
			p.line("", "%s: %s", title(d.Updates[0]), p.outcome(d.Updates[0]))
		default:
			p.ordered(d.Updates)
		}
		if answer.DryRun && len(d.Updates) > 0 && len(d.Updates[0].Passes()) > 0 {
			p.line("", "passes: %s", kindsText(d.Updates[0].Passes()))
		}
		if n := len(answer.UnderWay); n > 0 {
			p.line("", "it comes after %s that %s open: %s", plural(n, "update"), isOrAre(n), firstFew(answer.UnderWay))
		}
		p.undo(answer.Undo)
		if !answer.DryRun {
			p.line("", "details: tallyman explain %s", d.Key())
		}
	})
	return errors.Join(err, end)
}

// undoOf is the command that undoes an order as it stands now: the server's while it is
// pending, and a rollback of one that passed a hold, past the stop if it passed one.
func undoOf(o api.OrderAnswer) string {
	if len(o.Updates) != 1 || !o.Updates[0].State.Final() {
		return o.Undo
	}
	u := o.Updates[0]
	if u.State != gitops.Committed || len(u.Passes()) == 0 {
		return ""
	}
	command := fmt.Sprintf("tallyman rollback %s --env %s --reason 'undo %s'", u.App, u.Environment, u.Tag)
	if slices.Contains(u.Passes(), gitops.BlockStop) {
		command += fmt.Sprintf(" --through-stop 'undo %s'", u.Tag)
	}
	return command
}

// ordered lists the updates of one delivery, which have one tag, and counts them.
func (p *printer) ordered(updates []gitops.Update) {
	var rows [][]cell
	for _, u := range updates {
		rows = append(rows, []cell{{u.Environment, ""}, {u.App, ""}, stateCell(u.State), {u.ID, ""}, {p.result(u), ""}})
	}
	p.line("", "%s to %s: %s", plural(len(updates), "update"), updates[0].Tag, statesText(updates))
	p.table([]string{"ENVIRONMENT", "APP", "STATE", "UPDATE", "COMMIT OR REASON"}, rows)
}

// statesText counts updates by their state, in the order in which states come up.
func statesText(updates []gitops.Update) string {
	var states []string
	count := make(map[gitops.State]int)
	for _, u := range updates {
		if count[u.State]++; count[u.State] == 1 {
			states = append(states, string(u.State))
		}
	}
	for i, state := range states {
		states[i] = fmt.Sprintf("%d %s", count[gitops.State(state)], state)
	}
	return strings.Join(states, ", ")
}

// title names an update for people.
func title(u gitops.Update) string {
	return fmt.Sprintf("%s in %s to %s", u.App, u.Environment, u.Tag)
}

func (p *printer) outcome(u gitops.Update) string {
	text := p.state(u.State)
	if detail := firstOf(u.Commit, p.openProposal(u), u.Reason, p.holdText(u)); detail != "" {
		text += " (" + detail + ")"
	}
	return joined(text, p.rolloutText(u))
}
