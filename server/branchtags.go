package server

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/guard"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/branchtags"
)

// branchTagsFor is how old the tags of the branches may be that the API shows.
const branchTagsFor = 3 * time.Second

// branchTags are the tags on the branches of all manifest repositories.
type branchTags struct {
	of     []repositoryTags
	merged *mergedTags
}

// repositoryTags are the tags on the branch of one repository.
type repositoryTags struct {
	*repository
	*branchtags.Cache[*manifest.View]
}

// mergedTags are put together again when one of them has changed.
type mergedTags struct {
	mu    sync.Mutex
	parts []api.BranchTags
	all   api.BranchTags
}

// newBranchTags has a cache for each repository, and names the repositories where there
// are several.
func newBranchTags(all repositories, k *known, files *guard.Guard) branchTags {
	targets := make(map[string][]branchtags.Target, len(all))
	for _, to := range k.Targets() {
		t := branchtags.Target{Environment: to.Environment, App: to.App, Files: make([]branchtags.File, len(to.Files))}
		for i, f := range to.Files {
			t.Files[i] = branchtags.File{Path: f.Path, Edit: f.Edit}
		}
		if len(all) > 1 {
			t.Manifests = to.Manifests
		}
		targets[to.Manifests] = append(targets[to.Manifests], t)
	}
	tags := branchTags{merged: new(mergedTags)}
	for _, r := range all.sorted() {
		tags.of = append(tags.of, repositoryTags{r, branchtags.New(targets[r.name], r.view, branchTagsFor, files)})
	}
	return tags
}

// keep has the caches know what those of before have read of the same repositories.
func (b branchTags) keep(before branchTags) {
	for _, of := range b.of {
		for _, was := range before.of {
			if was.repository == of.repository {
				of.Keep(was.Cache)
			}
		}
	}
}

// BranchTags implements [api.ManifestReader]. The repositories are asked at once.
func (b branchTags) BranchTags(ctx context.Context, written time.Time) api.BranchTags {
	if len(b.of) == 1 {
		return b.of[0].BranchTags(ctx, written)
	}
	parts := make([]api.BranchTags, len(b.of))
	var each sync.WaitGroup
	for i, of := range b.of {
		each.Go(func() {
			parts[i] = of.BranchTags(ctx, written)
			if p := parts[i].Problem; p != nil {
				named := *p
				named.Message = "manifest repository " + of.name + ": " + named.Message
				parts[i].Problem = &named
			}
		})
	}
	each.Wait()
	return b.merged.with(parts)
}

// with are all tags together. They are as old as the oldest, and the first problem is
// that of all.
func (m *mergedTags) with(parts []api.BranchTags) api.BranchTags {
	m.mu.Lock()
	defer m.mu.Unlock()
	same := func(a, b api.BranchTags) bool { return a.AsOf.Equal(b.AsOf) }
	all := api.BranchTags{Apps: m.all.Apps}
	for _, p := range parts {
		all.Problem = cmp.Or(all.Problem, p.Problem)
		if !p.AsOf.IsZero() && (all.AsOf.IsZero() || p.AsOf.Before(all.AsOf)) {
			all.AsOf = p.AsOf
		}
	}
	if !slices.EqualFunc(parts, m.parts, same) {
		all.Apps = mergedApps(parts)
	}
	m.parts, m.all = parts, all
	return all
}

// mergedApps are the apps of all parts by environment, sorted.
func mergedApps(parts []api.BranchTags) map[string][]api.App {
	var apps map[string][]api.App
	for _, p := range parts {
		for environment, in := range p.Apps {
			if apps == nil {
				apps = make(map[string][]api.App)
			}
			apps[environment] = append(apps[environment], in...)
		}
	}
	for _, in := range apps {
		slices.SortFunc(in, func(a, b api.App) int { return cmp.Compare(a.App, b.App) })
	}
	return apps
}
