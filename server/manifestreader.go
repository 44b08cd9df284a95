package server

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/apphistory"
)

// manifestReader is the API's window on the manifest repositories.
type manifestReader struct {
	branchTags
	*apphistory.Reader
}

// newManifestReader reads for what is known, from a generation's repositories. What was
// read before, if anything, is not read again.
func (s *Server) newManifestReader(g *generation, k, before *known) manifestReader {
	target := func(environment, app string) (files []apphistory.File) {
		to, ok := k.Target(environment, app)
		if !ok {
			return nil
		}
		for _, f := range to.Files {
			files = append(files, apphistory.File{Path: f.Path, Edit: f.Edit})
		}
		return files
	}
	file := func(ctx context.Context, environment, app string, q history.Query) (history.History, error) {
		to, _ := k.Target(environment, app) // it was there a moment ago, and what is known does not change
		return g.repositories[to.Manifests].past.File(ctx, q)
	}
	tags := newBranchTags(g.repositories, k, s.manifests.files)
	if before != nil {
		tags.keep(before.reader.branchTags)
	}
	return manifestReader{tags, apphistory.New(target, file, s.manifests.files)}
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
