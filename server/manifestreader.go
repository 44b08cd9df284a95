package server

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest"
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

func (s *Server) newManifestReader(g *generation) manifestReader {
	targets := make([]branchtags.Target, 0, len(g.targets))
	for at, to := range g.targets {
		files := make([]branchtags.File, len(to))
		for i, f := range to {
			files[i] = branchtags.File{Path: f.File, Edit: to.edit(i)}
		}
		targets = append(targets, branchtags.Target{Environment: at.environment, App: at.app, Files: files})
	}
	view := func(ctx context.Context, maxAge time.Duration) (*manifest.View, error) {
		return s.writer.View(ctx, maxAge)
	}
	target := func(environment, app string) (files []apphistory.File) {
		to := g.targets[target{environment, app}]
		for i, f := range to {
			files = append(files, apphistory.File{Path: f.File, Edit: to.edit(i)})
		}
		return files
	}
	return manifestReader{branchtags.New(targets, view, branchTagsFor, s.files), apphistory.New(target, s.past.File, s.files)}
}
