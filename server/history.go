package server

import (
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/server/api"
)

// History implements api.Origin.
func (t *tips) History(ctx context.Context, q api.HistoryQuery) (api.History, error) {
	i := slices.Index(t.targets, target{q.Environment, q.App})
	if i < 0 {
		return api.History{}, gitops.Errorf(gitops.NotFound, "app %q is not configured for environment %q", q.App, q.Environment)
	}
	ctx, cancel := context.WithTimeout(ctx, api.HistoryWithin)
	defer cancel()
	found, err := t.origin.History(ctx, manifest.HistoryQuery{Path: t.files[i], Read: t.tags[i].read, Limit: q.Limit, Commits: q.Commits})
	if err != nil {
		return api.History{}, err
	}
	h := api.History{
		Environment: q.Environment, App: q.App, File: t.files[i], Tip: found.Tip, Versions: []api.Version{},
		Commits: found.Commits, Since: found.Until, Complete: found.Complete,
	}
	for _, v := range found.Versions {
		h.Versions = append(h.Versions, versionOf(v))
	}
	return h, nil
}

func versionOf(v manifest.Version) api.Version {
	version := api.Version{Tag: v.Value, Missing: v.Missing, Commit: v.Commit, At: v.At, Subject: v.Subject}
	if v.Err != nil {
		version.Problem = gitops.PublicOf(v.Err)
	}
	if v.Commit != "" {
		version.Author = v.Author.Name + " <" + v.Author.Email + ">"
	}
	for _, o := range v.Orders {
		version.Orders = append(version.Orders, api.Ordered(o))
	}
	return version
}
