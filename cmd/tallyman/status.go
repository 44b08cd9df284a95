package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/server/api"
)

func newStatus() *cobra.Command {
	var from remote
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is on origin in each environment, and what waits",
		Long: `Shows for each environment how many updates wait, for what, and when one last
ended, well or not; then the tag of each app in each environment, as origin's branch
says now.`,
		Example: "  tallyman status\n  tallyman status -o json | jq '.environments[] | {name, pending: .lane.pending}'",
		Args:    noArgs,
		RunE: from.run(func(a asking, _ []string) error {
			now, err := a.server.Environments(a.Context())
			if err != nil {
				return err
			}
			return a.print.print(now, func() { a.print.status(now) })
		}),
	}
	from.flags(cmd)
	return cmd
}

func (p *printer) status(now api.Environments) {
	var lanes [][]cell
	for _, e := range now.Environments {
		oldest := "-"
		if e.Lane.Pending > 0 {
			oldest = spell(p.now.Sub(e.Lane.Oldest))
		}
		lanes = append(lanes, []cell{{e.Name, ""}, {fmt.Sprint(e.Lane.Pending), ""}, {oldest, ""}, {p.ago(e.Lane.LastSuccess), ""}, p.laneWord(e.Lane)})
	}
	p.table([]string{"ENVIRONMENT", "PENDING", "OLDEST", "LAST ENDED", "LANE"}, lanes)
	fmt.Fprintln(p.out)
	p.tags(now)
}

// laneWord says in a few words what a lane does.
func (p *printer) laneWord(lane api.Lane) cell {
	switch {
	case lane.Pending == 0:
		return cell{"idle", "dim"}
	case lane.Waits == nil:
		return cell{"at work", "good"}
	}
	text := fmt.Sprintf("waits since %s: %s", p.ago(lane.Waits.Since), lane.Waits.Reason)
	if next := lane.Waits.RetryAt.Sub(p.now); next > 0 {
		text += fmt.Sprintf(" (tries again in %s)", spell(next))
	}
	return cell{text, "wait"}
}

// tags is a table of apps by environments.
func (p *printer) tags(now api.Environments) {
	head := []string{"APP"}
	byApp := make(map[string]map[string]api.App)
	var apps []string
	var problems []string
	for _, e := range now.Environments {
		head = append(head, e.Name)
		for _, app := range e.Apps {
			if byApp[app.App] == nil {
				byApp[app.App] = make(map[string]api.App)
				apps = append(apps, app.App)
			}
			byApp[app.App][e.Name] = app
			if app.Problem != "" {
				// Some name the file themselves.
				problem := strings.TrimPrefix(app.Problem, app.File+": ")
				problems = append(problems, fmt.Sprintf("%s in %s: %s: %s", app.App, e.Name, app.File, problem))
			}
		}
	}
	slices.Sort(apps)
	var rows [][]cell
	for _, app := range apps {
		row := []cell{{app, ""}}
		for _, environment := range head[1:] {
			row = append(row, tagCell(byApp[app][environment]))
		}
		rows = append(rows, row)
	}
	switch {
	case now.Origin.AsOf.IsZero():
		p.line("", "%s", p.paint("What is on origin is not known: "+now.Origin.Problem, "bad"))
		return
	case now.Origin.Problem != "":
		p.line("", "%s", p.paint(fmt.Sprintf("As it was %s, for origin cannot be read now: %s", p.ago(now.Origin.AsOf), now.Origin.Problem), "bad"))
	}
	p.table(head, rows)
	for _, problem := range problems {
		p.line("", "%s", p.paint(problem, "bad"))
	}
}

func tagCell(app api.App) cell {
	switch {
	case app.Tag != "":
		return cell{app.Tag, ""}
	case app.Problem != "":
		return cell{"?", "bad"}
	}
	return cell{"-", "dim"}
}
