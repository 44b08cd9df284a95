package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/feedback"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// source is a repository that is told of updates.
type source struct {
	feedback.Source
	apps []string // whose images are built from it
}

// checkSourceAccess asks GitHub whether an App may tell each source of updates, and prints how
// many it may. Nothing is made there. Where GitHub does not answer it is asked for no other,
// and that is said once.
func (s *Server) checkSourceAccess(ctx context.Context, out io.Writer, g *generation) error {
	sources := sourcesOf(g)
	problems := make([]error, len(sources))
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	turns := make(chan struct{}, checksAtOnce)
	var each sync.WaitGroup
	for i, of := range sources {
		turns <- struct{}{}
		each.Go(func() {
			defer func() { <-turns }()
			if ctx.Err() != nil {
				return
			}
			err := deployers{s, of.Manifests}.as(func(to *githubapp.Deployer) error { return to.Permitted(ctx, of.Repository) })
			switch gitops.CodeOf(err) {
			case gitops.Unavailable, gitops.RateLimited, gitops.Unauthorized:
				giveUp(err) // the first of them counts
			}
			if err != nil {
				problems[i] = gitops.Errorf(gitops.CodeOf(err), "source of %s: %s", strings.Join(of.apps, ", "), gitops.PublicOf(err)).WithCause(err)
			}
		})
	}
	each.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	wrong := slices.DeleteFunc(problems, func(err error) bool { return err == nil })
	if n := len(sources) - len(wrong); n > 0 {
		fmt.Fprintf(out, "sources: GitHub may be told of updates in %d of %d sources\n", n, len(sources))
	}
	return errors.Join(wrong...)
}

// sourcesOf are the sources, sorted. GitHub does not tell capitals apart.
func sourcesOf(g *generation) []*source {
	named := make(map[feedback.Source]*source)
	var all []*source
	for _, t := range g.known().Targets() {
		if t.Source == "" {
			continue
		}
		key := feedback.Source{Repository: strings.ToLower(t.Source), Manifests: t.Manifests}
		if named[key] == nil {
			named[key] = &source{Source: feedback.Source{Repository: t.Source, Manifests: t.Manifests}}
			all = append(all, named[key])
		}
		if of := named[key]; !slices.Contains(of.apps, t.App) {
			of.apps = append(of.apps, t.App)
		}
	}
	slices.SortFunc(all, func(a, b *source) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Manifests, b.Manifests))
	})
	return all
}
