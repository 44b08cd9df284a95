package server

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/apphistory"
	"github.com/tallyman-dev/tallyman/server/branchtags"
)

// branchTagsFor is how old the tags of the branch may be that the API shows.
const branchTagsFor = 3 * time.Second

// manifestReader is the API's window on the manifest repository.
type manifestReader struct {
	*branchtags.Cache[*manifest.View]
	*apphistory.Reader
}

// newManifestReader reads for what is known. What was read before, if anything, is not read
// again.
func (s *Server) newManifestReader(k, before *known) manifestReader {
	targets := make([]branchtags.Target, 0, len(k.Targets()))
	for _, to := range k.Targets() {
		targets = append(targets, branchtags.Target{Environment: to.Environment, App: to.App, File: to.Files[0].Path, Edit: to.Files[0].Edit})
	}
	view := func(ctx context.Context, maxAge time.Duration) (*manifest.View, error) {
		return s.writer.View(ctx, maxAge)
	}
	target := func(environment, app string) (string, *values.Edit, bool) {
		to, ok := k.Target(environment, app)
		if !ok {
			return "", nil, false
		}
		return to.Files[0].Path, to.Files[0].Edit, true
	}
	tags := branchtags.New(targets, view, branchTagsFor, s.files)
	if before != nil && before.reader.Cache != nil {
		tags.Keep(before.reader.Cache)
	}
	return manifestReader{tags, apphistory.New(target, s.past.File, s.files)}
}

// liveManifests reads for what is known when it is asked.
type liveManifests struct{ *latest }

// BranchTags implements [api.ManifestReader].
func (l liveManifests) BranchTags(ctx context.Context, written time.Time) api.BranchTags {
	return l.known().reader.BranchTags(ctx, written)
}

// History implements [api.ManifestReader].
func (l liveManifests) History(ctx context.Context, q api.HistoryQuery) (api.History, error) {
	return l.known().reader.History(ctx, q)
}

// Commit implements [api.ManifestReader].
func (l liveManifests) Commit(ctx context.Context, u gitops.Update) (api.Commit, error) {
	return l.known().reader.Commit(ctx, u)
}
