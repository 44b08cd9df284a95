package server

import (
	"cmp"
	"iter"

	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/catalog"
)

// knownApps are what is known and what is wrong, sorted by key, behind a key.
func (l *latest) knownApps(after string) (iter.Seq[api.KnownApp], bool) {
	k := l.known()
	return func(yield func(api.KnownApp) bool) {
		for row := range k.rows() {
			if (after == "" || row.Key() > after) && !yield(row) {
				return
			}
		}
	}, k.Complete()
}

// rows are the targets and the problems, merged: both are sorted.
func (k *known) rows() iter.Seq[api.KnownApp] {
	targets, problems := k.Targets(), k.Problems()
	return func(yield func(api.KnownApp) bool) {
		for t, p := 0, 0; t < len(targets) || p < len(problems); {
			var row api.KnownApp
			if p == len(problems) || t < len(targets) && compareRows(targets[t].At, problems[p].At) <= 0 {
				row = targetRow(targets[t])
				t++
			} else {
				row = problemRow(problems[p])
				p++
			}
			if !yield(row) {
				return
			}
		}
	}
}

func compareRows(a, b catalog.At) int {
	return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Environment, b.Environment))
}

func targetRow(t *catalog.Target) api.KnownApp {
	row := api.KnownApp{App: t.App, Environment: t.Environment, Manifests: t.Manifests, Image: t.Image, Origin: cmp.Or(t.Origin, api.OriginConfigured)}
	for _, f := range t.Files {
		row.Files = append(row.Files, f.Path)
	}
	return row
}

func problemRow(p catalog.Problem) api.KnownApp {
	row := api.KnownApp{App: p.App, Environment: p.Environment, Manifests: p.Manifests, Files: p.Files, Origin: api.OriginBranch, Problem: p.Message}
	if row.Files == nil {
		row.Files = []string{}
	}
	return row
}
