package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newDeliveries() *cobra.Command {
	var from remote
	var source, outcome string
	var count int
	cmd := &cobra.Command{
		Use:   "deliveries",
		Short: "List deliveries and their outcome, newest first",
		Long: `List deliveries and their outcome, newest first. What was not authenticated or was
malformed is not stored: only the server's log has a line of it.`,
		Example: "  tallyman deliveries\n  tallyman deliveries --outcome rejected -n 5\n  tallyman deliveries --outcome waiting\n  tallyman deliveries --source eventbridge -o json",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			filter := filterOf("source", source, "outcome", outcome)
			found, err := collect(a.Context(), filter, count, func(ctx context.Context, f url.Values) ([]gitops.Delivery, string, error) {
				list, err := a.server.Deliveries(ctx, f)
				return list.Deliveries, list.Next, err
			})
			if err != nil {
				return err
			}
			return a.print.print(api.DeliveryList{Deliveries: found}, func() { a.print.deliveries(found) })
		}),
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&source, "source", "", "only deliveries of this `source`: github, eventbridge, sns, api, registry (polls)")
	cmd.Flags().StringVar(&outcome, "outcome", "", "only deliveries with this `outcome`: "+strings.Join(outcomeNames(), ", "))
	cmd.Flags().IntVarP(&count, "count", "n", 20, "maximum number of entries")
	complete(cmd, "source", func(*cobra.Command) []string { return []string{"github", "eventbridge", "sns", "api"} })
	complete(cmd, "outcome", func(*cobra.Command) []string { return outcomeNames() })
	return cmd
}

func outcomeNames() (names []string) {
	for _, outcome := range gitops.Outcomes() {
		names = append(names, string(outcome))
	}
	return names
}

func (p *printer) deliveries(found []gitops.Delivery) {
	var rows [][]cell
	for _, d := range found {
		rows = append(rows, []cell{{timestamp(d.ReceivedAt), ""}, {d.Key().String(), ""}, {firstOf(d.Actor, "-"), ""}, stateCell(d.Outcome), {p.resultText(d), ""}})
	}
	p.table([]string{"RECEIVED (UTC)", "DELIVERY", "ACTOR", "OUTCOME", "RESULT"}, rows)
}

// resultText says in a line what a delivery led to, and what holds its update.
func (p *printer) resultText(d gitops.Delivery) string {
	switch {
	case d.Outcome != gitops.OutcomeAccepted && d.Field != "":
		return d.Field + ": " + d.Reason
	case len(d.Updates) == 0:
		return d.Reason
	case len(d.Updates) == 1:
		u := d.Updates[0]
		text := fmt.Sprintf("%s: %s", title(u), u.State)
		switch {
		case isHeld(u):
			text += "; " + p.holdText(u)
		case u.State == gitops.Proposed:
			text = withReason(text, p.openProposal(u))
		}
		text = joined(text, p.rolloutText(u))
		return text
	}
	text := fmt.Sprintf("%d updates to %s", len(d.Updates), d.Updates[0].Tag)
	if held := countHeld(d.Updates); held > 0 {
		text += fmt.Sprintf(", %d held", held)
	}
	return text
}

func newUpdates() *cobra.Command {
	var from remote
	var environment, app, state string
	var count int
	cmd := &cobra.Command{
		Use:   "updates",
		Short: "List updates and their state, newest first",
		Long: `List updates and their state, newest first. A delivery has none, one, or one for each
environment that takes its tag. A pending update that is blocked says by what, and a
proposed one where its pull request is. What was written says where it stands in the
cluster, if that is followed.`,
		Example: "  tallyman updates --env prod\n  tallyman updates --state failed\n  tallyman updates --app myshop-api -n 100 -o yaml",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			filter := filterOf("environment", environment, "app", app, "state", state)
			found, err := collect(a.Context(), filter, count, func(ctx context.Context, f url.Values) ([]gitops.Update, string, error) {
				list, err := a.server.Updates(ctx, f)
				return list.Updates, list.Next, err
			})
			if err == nil && len(found) == 0 {
				err = a.checkNames(environment, app)
			}
			if err != nil {
				return err
			}
			return a.print.print(api.UpdateList{Updates: found}, func() { a.print.updates(found) })
		}),
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "only updates in this `environment`")
	cmd.Flags().StringVar(&app, "app", "", "only updates of this `app`")
	cmd.Flags().StringVar(&state, "state", "", "only updates in this `state`: "+strings.Join(stateNames(), ", "))
	cmd.Flags().IntVarP(&count, "count", "n", 20, "maximum number of entries")
	from.completeNames(cmd)
	complete(cmd, "state", func(*cobra.Command) []string { return stateNames() })
	return cmd
}

func stateNames() (names []string) {
	for _, state := range gitops.States() {
		names = append(names, string(state))
	}
	return names
}

func (p *printer) updates(found []gitops.Update) {
	var rows [][]cell
	for _, u := range found {
		rows = append(rows, []cell{{timestamp(u.AcceptedAt), ""}, {u.ID, ""}, {u.Environment, ""}, {u.App, ""}, {u.Tag, ""}, stateCell(u.State), {p.result(u), ""}})
	}
	p.table([]string{"ACCEPTED (UTC)", "UPDATE", "ENVIRONMENT", "APP", "TAG", "STATE", "COMMIT OR REASON"}, rows)
}

// result says in a line how an update stands: its commit, its pull request, or why it is so,
// and where it stands in the cluster.
func (p *printer) result(u gitops.Update) string {
	return joined(firstOf(short(u.Commit), overtaken(u), p.openProposal(u), u.Reason, p.holdText(u)), p.rolloutText(u))
}

// overtaken says of a failed update that nothing needs to be done about it.
func overtaken(u gitops.Update) string {
	if u.OvertakenBy == "" {
		return ""
	}
	return withReason("overtaken by update "+u.OvertakenBy, u.Reason)
}

// filterOf makes a query of names and values; a filter without value is left out.
func filterOf(pairs ...string) url.Values {
	filter := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			filter.Set(pairs[i], pairs[i+1])
		}
	}
	return filter
}

// collect reads pages until it has count entries or there are no more.
func collect[T any](ctx context.Context, filter url.Values, count int, page func(context.Context, url.Values) ([]T, string, error)) ([]T, error) {
	if count < 1 {
		return nil, badInput{fmt.Errorf("--count must be at least 1")}
	}
	found := []T{}
	for {
		filter.Set("limit", strconv.Itoa(min(count-len(found), 200)))
		more, next, err := page(ctx, filter)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
		if next == "" || len(found) >= count {
			return found, nil
		}
		filter.Set("cursor", next)
	}
}
