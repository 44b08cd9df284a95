package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newHolds() *cobra.Command {
	var from remote
	var environment, app, kind string
	var ended bool
	var count int
	cmd := &cobra.Command{
		Use:   "holds",
		Short: "List pins, freezes, stops and bad marks, newest first",
		Long: `List pins, freezes, stops and bad marks, newest first, with who placed each, why, and
when it ends. --ended lists also those that have ended, with who lifted them. Freezes of
the configuration are listed by tallyman freezes.`,
		Example: "  tallyman holds\n  tallyman holds --env prod --kind stop\n  tallyman holds --app myshop-api --ended -n 100 -o yaml",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			filter := filterOf("environment", environment, "app", app, "kind", kind)
			if ended {
				filter.Set("ended", "true")
			}
			found, err := collect(a.Context(), filter, count, a.holdPage)
			if err == nil && len(found) == 0 {
				err = a.checkNames(environment, app)
			}
			if err != nil {
				return err
			}
			return a.print.print(api.HoldList{Holds: found}, func() { a.print.holds(found) })
		}),
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "only holds of this `environment`")
	cmd.Flags().StringVar(&app, "app", "", "only holds of this `app`")
	cmd.Flags().StringVar(&kind, "kind", "", "only holds of this `kind`: "+strings.Join(holdKindNames(), ", "))
	cmd.Flags().BoolVar(&ended, "ended", false, "also those that have ended")
	cmd.Flags().IntVarP(&count, "count", "n", 50, "maximum number of entries")
	from.completeNames(cmd)
	complete(cmd, "kind", func(*cobra.Command) []string { return holdKindNames() })
	return cmd
}

func holdKindNames() (names []string) {
	for _, kind := range gitops.HoldKinds() {
		names = append(names, string(kind))
	}
	return names
}

func (p *printer) holds(found []gitops.Hold) {
	if len(found) == 0 {
		p.line("", "Nothing is held by a pin, freeze, stop or bad mark. For freezes of the configuration see: tallyman freezes")
		return
	}
	var rows [][]cell
	for _, h := range found {
		rows = append(rows, []cell{{h.ID, ""}, {string(h.Kind), ""}, {areaOf(h).String(), ""}, p.endCell(h), {gate.Words(h), ""}})
	}
	p.table([]string{"HOLD", "KIND", "OF", "ENDS", "WHAT"}, rows)
}

// endCell says how a hold ends, or has ended.
func (p *printer) endCell(h gitops.Hold) cell {
	switch {
	case h.Lifted != nil:
		return cell{withReason("lifted "+p.ago(h.Lifted.At)+" by "+person(h.Lifted.Actor), h.Lifted.Reason), "dim"}
	case h.Until.IsZero():
		return cell{"by hand", "wait"}
	case !h.InForce(p.now):
		return cell{"ended " + p.ago(h.Until), "dim"}
	}
	return cell{p.ahead(h.Until), "wait"}
}

// person is an actor without the prefix that all tokens have.
func person(actor string) string { return strings.TrimPrefix(actor, "token:") }

// mostDays is how far the server looks ahead.
const mostDays = int(gate.LongestPreview / (24 * time.Hour))

func newFreezes() *cobra.Command {
	var from remote
	var environment, app string
	var days int
	cmd := &cobra.Command{
		Use:   "freezes",
		Short: "List when freezes of the configuration hold updates",
		Long: `List when freezes of the configuration hold updates, now and in the next 30 days, by the
clocks of their zone. Freezes that somebody placed are listed by tallyman holds.`,
		Example: "  tallyman freezes --env prod\n  tallyman freezes --days 365 -o json",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			if days < 1 || days > mostDays {
				return badInput{fmt.Errorf("--days must be from 1 to %d, not %d", mostDays, days)}
			}
			filter := filterOf("environment", environment, "app", app,
				"from", a.print.now.UTC().Format(time.RFC3339), "until", a.print.now.UTC().AddDate(0, 0, days).Format(time.RFC3339))
			f, err := a.server.Freezes(a.Context(), filter)
			if err == nil && len(f.Closed) == 0 {
				err = a.checkNames(environment, app)
			}
			if err != nil {
				return err
			}
			return a.print.print(f, func() { a.print.freezes(f, days) })
		}),
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "only freezes of this `environment`")
	cmd.Flags().StringVar(&app, "app", "", "only freezes of this `app`")
	cmd.Flags().IntVar(&days, "days", 30, fmt.Sprintf("`number` of days to look ahead, up to %d", mostDays))
	from.completeNames(cmd)
	return cmd
}

func (p *printer) freezes(f api.FreezeList, days int) {
	if len(f.Closed) == 0 {
		p.line("", "No freeze of the configuration holds anything in the next %s. For freezes that somebody placed see: tallyman holds --kind freeze", plural(days, "day"))
		return
	}
	var rows [][]cell
	for _, c := range f.Closed {
		state := cell{p.ahead(c.From), "dim"}
		if !c.From.After(p.now) {
			state = cell{"now, ends " + p.ahead(c.Until), "wait"}
		}
		rows = append(rows, []cell{{c.Freeze, ""}, {area{c.Environments, c.Apps}.String(), ""}, {onWall(c.From, c.Zone), ""}, {onWall(c.Until, c.Zone), ""}, {c.Zone, ""}, state, {c.Reason, ""}})
	}
	p.table([]string{"FREEZE", "OF", "FROM", "UNTIL", "ZONE", "BEGINS", "REASON"}, rows)
}

// onWall is a time as clocks in a zone show it.
func onWall(t time.Time, zone string) string {
	location, err := time.LoadLocation(zone)
	if err != nil { // a zone that this machine's database does not have yet
		location = time.UTC
	}
	return t.In(location).Format("Mon 2006-01-02 15:04")
}

// holding is what holds updates now: what somebody placed, and the freezes of the
// configuration. With an error it is not known.
type holding struct {
	holds   []gitops.Hold
	freezes []gate.Scheduled
	err     error
}

func (a apiRun) holding() (h holding) {
	if h.holds, h.err = a.inForce(""); h.err != nil {
		return h
	}
	now := a.print.now.UTC()
	f, err := a.server.Freezes(a.Context(), filterOf("from", now.Format(time.RFC3339), "until", now.Add(time.Minute).Format(time.RFC3339)))
	h.freezes, h.err = f.Now, err
	return h
}

// mostHolding is how many holds status lists.
const mostHolding = 20

// holding lists what holds updates now; nothing when nothing does.
func (p *printer) holding(now holding) {
	if now.err != nil {
		p.line("", "%s", p.paint("cannot read what is held: "+gitops.PublicOf(now.err), "bad"))
		return
	}
	var rows [][]cell
	for _, c := range now.freezes {
		rows = append(rows, []cell{{area{c.Environments, c.Apps}.String(), ""}, {"freeze", "wait"}, {"-", ""}, {p.ahead(c.Until), ""}, {withReason("freeze "+c.Freeze+" of the configuration", c.Reason), ""}})
	}
	for _, h := range now.holds {
		rows = append(rows, []cell{{areaOf(h).String(), ""}, {string(h.Kind), "wait"}, {h.ID, ""}, p.endCell(h), {gate.Words(h), ""}})
	}
	if len(rows) == 0 {
		return
	}
	fmt.Fprintln(p.out)
	p.table([]string{"HELD", "BY", "HOLD", "ENDS", "WHAT"}, rows[:min(mostHolding, len(rows))])
	if more := len(rows) - mostHolding; more > 0 {
		p.line("", "%d more: tallyman holds", more)
	}
}
