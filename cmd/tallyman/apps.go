package main

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newApps() *cobra.Command {
	var from remote
	var environment, app string
	var problems bool
	var count int
	cmd := &cobra.Command{
		Use:   "apps",
		Short: "List the apps that are known, and what is wrong with others",
		Long: `List the apps that are known in each environment, with the files that their updates
change and what they are known from: the configuration, an entry of discover, or their
own file. What is wrong with an app that a branch names is listed, too; its updates are
not written until it is solved.`,
		Example: "  tallyman apps\n  tallyman apps --problems\n  tallyman apps --app myshop-api -o json",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			filter := filterOf("environment", environment, "app", app)
			if problems {
				filter.Set("problems", "true")
			}
			complete := true
			found, err := collect(a.Context(), filter, count, func(ctx context.Context, f url.Values) ([]api.KnownApp, string, error) {
				list, err := a.server.Apps(ctx, f)
				complete = complete && list.Complete
				return list.Apps, list.Next, err
			})
			if err != nil {
				return err
			}
			return a.print.print(api.KnownAppList{Apps: found, Complete: complete}, func() { a.print.apps(found, complete) })
		}),
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "only apps of this `environment`")
	cmd.Flags().StringVar(&app, "app", "", "only this `app`")
	cmd.Flags().BoolVar(&problems, "problems", false, "only what is wrong")
	cmd.Flags().IntVarP(&count, "count", "n", 1000, "maximum number of entries")
	return cmd
}

// knownApp asks what is known of a pending update's app: nothing when the server does not
// say.
func (a apiRun) knownApp(ctx context.Context, u gitops.Update) []api.KnownApp {
	if u.State != gitops.Pending {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, err := a.server.Apps(ctx, filterOf("environment", u.Environment, "app", u.App))
	if err != nil {
		return nil
	}
	return list.Apps
}

// origin says what an app is known from, where that is a branch, and what is wrong with it.
func (p *printer) origin(known []api.KnownApp) {
	for _, a := range known {
		switch {
		case a.Problem != "":
			p.line("  ", "Not written while the app has a problem on the branch: %s (%s)", a.Problem, strings.Join(a.Files, ", "))
		case a.Origin != api.OriginConfigured:
			p.line("  ", "The app is known by %s, from %s", a.Origin, strings.Join(a.Files, ", "))
		}
	}
}

// apps prints a line for each app and environment, with its manifest repository where
// there is more than one. What is wrong has its sentence in a line of its own.
func (p *printer) apps(found []api.KnownApp, complete bool) {
	header := []string{"APP", "ENVIRONMENT", "FILES", "ORIGIN", "IMAGE, OR WHAT IS WRONG"}
	several := slices.ContainsFunc(found, func(a api.KnownApp) bool { return a.Manifests != found[0].Manifests })
	if several {
		header = slices.Insert(header, 2, "REPOSITORY")
	}
	var rows [][]cell
	for _, a := range found {
		what := cell{firstOf(a.Image, "-"), ""}
		if a.Problem != "" {
			what = cell{a.Problem, "bad"}
		}
		row := []cell{{firstOf(a.App, "-"), ""}, {firstOf(a.Environment, "-"), ""}, {strings.Join(a.Files, " "), ""}, {a.Origin, ""}, what}
		if several {
			row = slices.Insert(row, 2, cell{a.Manifests, ""})
		}
		rows = append(rows, row)
	}
	p.table(header, rows)
	if !complete {
		p.line("", "a branch is still being looked at: there may be more apps")
	}
}
