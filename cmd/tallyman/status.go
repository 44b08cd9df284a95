package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newStatus() *cobra.Command {
	var from remote
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show current tags and lane status",
		Long: `Show for each environment how many updates are ready and how many are held, by what
blocks them; how many failed that are neither dismissed nor overtaken by a later update
of their app; how long the oldest ready one has waited; when an update was last on the
branch, and when one last ended in any way; what the lane does; and how many pull
requests are open. Then show the pins, freezes, stops and bad marks that are in force,
and the tag of each app in each environment, as it is on the branch now, with where it
stands in the cluster while it does not run there, if that is followed. With -o json
holds are not in it: see tallyman holds and tallyman freezes.`,
		Example: "  tallyman status\n  tallyman status -o json | jq '.environments[] | {name, ready: .lane.ready, held: .lane.held}'",
		Args:    noArgs,
		RunE: from.run(func(a apiRun, _ []string) error {
			now, err := a.server.Environments(a.Context())
			if err != nil {
				return err
			}
			if a.print.format != "table" {
				return a.print.print(now, nil)
			}
			a.print.status(now, a.holding())
			return nil
		}),
	}
	from.flags(cmd)
	return cmd
}

func (p *printer) status(now api.Environments, h holding) {
	var lanes [][]cell
	for _, e := range now.Environments {
		oldest := "-"
		if e.Lane.Ready > 0 {
			oldest = humanDuration(p.now.Sub(e.Lane.Oldest))
		}
		lanes = append(lanes, []cell{{e.Name, ""}, {fmt.Sprint(e.Lane.Ready), ""}, heldCell(e.Lane), failedCell(e.Lane), {oldest, ""}, {p.ago(e.Lane.LastSuccess), ""}, {p.ago(e.Lane.LastProgress), ""}, p.laneStatus(e)})
	}
	p.table([]string{"ENVIRONMENT", "READY", "HELD", "FAILED", "OLDEST", "LAST SUCCESS", "LAST PROGRESS", "LANE"}, lanes)
	for _, e := range now.Environments {
		if f := e.Lane.Failed; f != nil {
			p.line("", "%s", p.paint(p.failedText(e.Name, *f), "bad"))
		}
		if n := e.Lane.Held[gitops.BlockImage]; n > 0 {
			p.line("", "%s", p.paint(imagesText(e.Name, n), "wait"))
		}
		if open := e.Lane.Proposed; open != nil {
			p.line("", "%s", p.paint(p.proposalsText(e.Name, *open), "wait"))
		}
	}
	p.holding(h)
	fmt.Fprintln(p.out)
	p.tags(now)
	p.setAside(now.SetAside)
}

// setAside lists what is not parsed any more.
func (p *printer) setAside(all []gitops.Suspect) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(p.out)
	var rows [][]cell
	for _, s := range all {
		rows = append(rows, []cell{{string(s.Kind), ""}, {s.Path, ""}, {s.Object, ""}, {fmt.Sprint(s.Deaths), "bad"}, {p.ago(s.At), ""}})
	}
	p.table([]string{"SET ASIDE", "PATH", "OBJECT", "DEATHS", "LAST"}, rows)
	fmt.Fprintln(p.out, "tallyman died while it parsed these. Change them on the branch, or run: tallyman clear OBJECT")
}

// heldCell counts a lane's held updates by what blocks them.
func heldCell(lane api.Lane) cell {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(lane.Held)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", lane.Held[kind], kind))
	}
	if len(kinds) == 0 {
		return cell{"0", ""}
	}
	return cell{strings.Join(kinds, ", "), "wait"}
}

// failedCell counts what a person must fix.
func failedCell(lane api.Lane) cell {
	if lane.Failed == nil {
		return cell{"0", ""}
	}
	return cell{fmt.Sprint(lane.Failed.Updates), "bad"}
}

// failedText says what failed, since when, of which apps (the first few of those that may
// be read), and which command tells more.
func (p *printer) failedText(environment string, f api.Failed) string {
	const named = 10
	apps := strings.Join(f.Apps[:min(named, len(f.Apps))], ", ")
	if more := len(f.Apps) - named; more > 0 {
		apps += fmt.Sprintf(" and %s more", plural(more, "app"))
	}
	if apps != "" {
		apps = ": " + apps
	}
	return fmt.Sprintf("%s in %s failed, the oldest %s%s. See: tallyman updates --env %[2]s --state failed",
		plural(f.Updates, "update"), environment, p.ago(f.Oldest), apps)
}

// imagesText says how many updates wait for their images, and which command tells for what.
func imagesText(environment string, n int) string {
	what := "1 update in %s waits for its image"
	if n > 1 {
		what = fmt.Sprint(n) + " updates in %s wait for their images"
	}
	return fmt.Sprintf(what+". See: tallyman updates --env %[1]s --state pending", environment)
}

// laneStatus says in a few words what an environment's lane does.
func (p *printer) laneStatus(e api.Environment) cell {
	lane, text := e.Lane, ""
	if e.Removed {
		text = "cancelling: the environment left the configuration"
	}
	switch {
	case lane.Outage != nil && (lane.Ready > 0 || e.Removed):
		if e.Removed {
			text += "; "
		}
		text += "blocked for " + humanDuration(p.now.Sub(lane.Outage.Since))
		if next := lane.Outage.RetryAt.Sub(p.now); next > 0 {
			text += fmt.Sprintf(" (retry in %s)", humanDuration(next))
		}
		return cell{text + ": " + lane.Outage.Text(), "wait"}
	case e.Removed:
		return cell{text, "wait"}
	case lane.Ready == 0 && lane.Failed != nil:
		return cell{"failed updates", "bad"}
	case lane.Ready == 0:
		return cell{"idle", "dim"}
	}
	return cell{"writing", "good"}
}

// tags is a table of apps by environments.
func (p *printer) tags(now api.Environments) {
	head := []string{"APP"}
	byApp := make(map[string]map[string]api.App)
	var apps []string
	var problems []string
	for _, e := range now.Environments {
		if e.Removed {
			continue
		}
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
			if len(app.Differs) > 0 {
				problems = append(problems, fmt.Sprintf("%s in %s: %s", app.App, e.Name, tagsByFile(app)))
			}
			if app.Rollout != nil && needsPerson(app.Rollout.State) {
				problems = append(problems, fmt.Sprintf("%s in %s: %s", app.App, e.Name, p.appRolloutText(*app.Rollout)))
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
	case now.Branch.AsOf.IsZero():
		p.line("", "%s", p.paint("cannot read the manifest repository: "+now.Branch.Problem, "bad"))
		return
	case now.Branch.Problem != "":
		p.line("", "%s", p.paint(fmt.Sprintf("cannot read the manifest repository: %s. Tags of %s:", now.Branch.Problem, p.ago(now.Branch.AsOf)), "bad"))
	}
	p.table(head, rows)
	for _, problem := range problems {
		p.line("", "%s", p.paint(problem, "bad"))
	}
}

// tagsByFile says which tag the first file of an app has, and which the others that do not
// agree with it.
func tagsByFile(app api.App) string {
	var texts []string
	for _, f := range append([]api.AppFile{{File: app.File, Tag: app.Tag, Problem: app.Problem}}, app.Differs...) {
		switch {
		case f.Problem != "":
			texts = append(texts, f.File+": "+strings.TrimPrefix(f.Problem, f.File+": "))
		default:
			texts = append(texts, f.File+" has "+firstOf(f.Tag, "no tag"))
		}
	}
	return strings.Join(texts, "; ")
}

func tagCell(app api.App) cell {
	switch {
	case app.Tag != "" && len(app.Differs) > 0:
		return cell{app.Tag, "bad"}
	case app.Tag != "" && app.Rollout != nil:
		return rolloutCell(app)
	case app.Tag != "":
		return cell{app.Tag, ""}
	case app.Problem != "":
		return cell{"?", "bad"}
	}
	return cell{"-", "dim"}
}
