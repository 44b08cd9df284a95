package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newAudit() *cobra.Command {
	var from remote
	var environment, app, actor, act, since, until string
	var count int
	var lines bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who did what, newest first",
		Long: `List who did what, by which credential and rule, newest first: orders, decisions, holds
that were placed and lifted, rollbacks, orders that passed what held them, what was
refused to an authenticated caller, changes of the configuration and of secrets.
Entries are kept for 400 days at least. With --jsonl each is a line of JSON.`,
		Example: "  tallyman audit --env prod --since 2026-03-01\n  tallyman audit --actor github:ann -n 100\n  tallyman audit --act refuse --jsonl",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			filter := filterOf("environment", environment, "app", app, "actor", actor, "act", act, "since", since, "until", until)
			found, err := collect(a.Context(), filter, count, func(ctx context.Context, f url.Values) ([]gitops.AuditEntry, string, error) {
				list, err := a.server.Audit(ctx, f)
				return list.Entries, list.Next, err
			})
			if err == nil && len(found) == 0 {
				err = a.checkNames(environment, app)
			}
			if err != nil {
				return err
			}
			if lines {
				return a.print.lines(found)
			}
			return a.print.print(api.AuditList{Entries: found}, func() { a.print.audit(found) })
		}),
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "only entries of this `environment`")
	cmd.Flags().StringVar(&app, "app", "", "only entries of this `app`")
	cmd.Flags().StringVar(&actor, "actor", "", "only entries of this `actor`, as in github:ann or token:ops")
	cmd.Flags().StringVar(&act, "act", "", "only this `act`: "+strings.Join(actNames(), ", "))
	cmd.Flags().StringVar(&since, "since", "", "only entries at or after this `time`, as in 2026-03-01 or 2026-03-01T12:00:00Z")
	cmd.Flags().StringVar(&until, "until", "", "only entries before this `time`")
	cmd.Flags().IntVarP(&count, "count", "n", 50, "maximum number of entries")
	cmd.Flags().BoolVar(&lines, "jsonl", false, "print each entry as a line of JSON")
	from.completeNames(cmd)
	complete(cmd, "act", func(*cobra.Command) []string { return actNames() })
	return cmd
}

func actNames() (names []string) {
	for _, act := range gitops.Acts() {
		names = append(names, string(act))
	}
	return names
}

// lines prints entries as lines of JSON.
func (p *printer) lines(found []gitops.AuditEntry) error {
	out := json.NewEncoder(p.out)
	for _, e := range found {
		if err := out.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) audit(found []gitops.AuditEntry) {
	var rows [][]cell
	for _, e := range found {
		what := e.Reason
		if e.After != "" && e.Act != gitops.ActConfig {
			what = e.After
			if e.Before != "" {
				what = e.Before + " -> " + e.After
			}
			if e.Reason != "" {
				what += ": " + e.Reason
			}
		}
		rows = append(rows, []cell{
			{timestamp(e.At), ""}, {string(e.Act), ""}, {firstOf(e.Actor, "tallyman"), ""}, {firstOf(e.Environment, "-"), ""}, {firstOf(e.App, "-"), ""},
			{firstOf(e.Rule, "-"), ""}, {what, ""},
		})
	}
	p.table([]string{"AT (UTC)", "ACT", "ACTOR", "ENVIRONMENT", "APP", "RULE", "WHAT"}, rows)
}
