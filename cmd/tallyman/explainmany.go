package main

import (
	"fmt"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// mostExplained is how many updates of one delivery are shown with every step.
const mostExplained = 10

// details are what the server says of an update beyond its delivery.
type details struct {
	environment func(gitops.Update) api.Environment
	app         func(gitops.Update) []api.KnownApp // what is known of its app there, or what is wrong
	commit      func(gitops.Update) (api.Commit, error)
}

// details ask the server, for environments once.
func (a apiRun) details() details {
	environments := sync.OnceValue(func() map[string]api.Environment { return a.environments(a.Context()) })
	return details{
		environment: func(u gitops.Update) api.Environment { return environments()[u.Environment] },
		app:         func(u gitops.Update) []api.KnownApp { return a.knownApp(a.Context(), u) },
		commit:      func(u gitops.Update) (api.Commit, error) { return a.server.Commit(a.Context(), u.ID) },
	}
}

// explainMany shows of a delivery of many updates the one that was asked for, or else
// those that somebody must look at, up to a bound; and it lists all.
func (p *printer) explainMany(d gitops.Delivery, asked string, of details) {
	var shown []gitops.Update
	attention := 0
	for _, u := range d.Updates {
		if u.ID == asked {
			fmt.Fprintln(p.out)
			p.explainUpdate(u, of)
			p.line("", "\nOne of %s. All: tallyman explain %s", plural(len(d.Updates), "update"), d.Key())
			return
		}
		if needsAttention(u) {
			if attention++; attention <= mostExplained {
				shown = append(shown, u)
			}
		}
	}
	fmt.Fprintln(p.out)
	p.ordered(d.Updates)
	for _, u := range shown {
		fmt.Fprintln(p.out)
		p.explainUpdate(u, of)
	}
	fmt.Fprintln(p.out)
	if more := attention - len(shown); more > 0 {
		p.line("", "%d more failed, are blocked or do not run", more)
	}
	p.line("", "Every step of one: tallyman explain UPDATE")
}

// needsAttention reports whether an update waits for somebody to do something about it.
func needsAttention(u gitops.Update) bool {
	return u.State == gitops.Failed && u.OvertakenBy == "" || u.State == gitops.Pending && len(u.BlockedBy) > 0 || u.Rollout != nil && needsPerson(u.Rollout.State)
}
