package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
)

// namesOf asks a server for the names of its environments and apps.
func namesOf(ctx context.Context, server *client.Client) (environments, apps []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	now, err := server.Environments(ctx)
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[string]bool)
	for _, environment := range now.Environments {
		environments = append(environments, environment.Name)
		for _, app := range environment.Apps {
			if !seen[app.App] {
				seen[app.App] = true
				apps = append(apps, app.App)
			}
		}
	}
	return environments, apps, nil
}

// checkNames refuses an environment or app that the server does not have, as bad
// input: a filter with a mistyped name finds nothing, which looks like an answer. A
// server that cannot be asked is no reason to refuse, and neither is an app that has
// nothing but a problem: the server says which.
func (a apiRun) checkNames(environment, app string) error {
	if environment == "" && app == "" {
		return nil
	}
	environments, apps, err := namesOf(a.Context(), a.server)
	if err != nil {
		return nil
	}
	if err := checkName("environment", environment, environments); err != nil {
		return err
	}
	unknown := checkName("app", app, apps)
	if unknown != nil {
		if wrong, err := a.server.Apps(a.Context(), filterOf("app", app, "problems", "true")); err == nil && len(wrong.Apps) > 0 {
			return nil
		}
	}
	return unknown
}

func checkName(kind, name string, known []string) error {
	if name == "" || len(known) == 0 || slices.Contains(known, name) {
		return nil
	}
	if near := cmp.Or(gitops.InOtherCase(name, slices.Values(known)), nearest(name, known)); near != "" {
		return badInput{fmt.Errorf("unknown %s %q: did you mean %s?", kind, name, near)}
	}
	const shown = 10
	some := strings.Join(known[:min(shown, len(known))], ", ")
	if len(known) > shown {
		some += ", ..."
	}
	return badInput{fmt.Errorf("unknown %s %q: there are %s", kind, name, some)}
}

// nearest is the name with the fewest edits to a mistyped one, and "" when none is
// within a third of its length, or two.
func nearest(name string, known []string) (near string) {
	best := max(2, len(name)/3) + 1
	for _, k := range known {
		if d := editDistance(name, k); d < best {
			near, best = k, d
		}
	}
	return near
}

// editDistance is the number of bytes to insert, delete or replace that make one
// text the other: Levenshtein's distance, a row of its table at a time.
func editDistance(from, to string) int {
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(from) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(to) {
			replaced := diagonal
			if from[i] != to[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
