package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/discovery"
)

// discoverOnce looks at every branch that names apps, once, for a server that was not
// started. What can be looked at is known then; the error says of the rest why not.
func (s *Server) discoverOnce(ctx context.Context, g *generation) error {
	looks := slices.Clone(g.known().Looks())
	if len(looks) == 0 {
		return nil
	}
	var problems []error
	for i, look := range looks {
		branch := discovery.Branch{View: g.repositories[look.Manifests].writer.View, Guard: s.manifests.files}
		sight, err := branch.Look(ctx, look.Rules)
		if err != nil {
			problems = append(problems, s.inRepository(look.Manifests, err))
			continue
		}
		looks[i].Result, looks[i].Commit, looks[i].Kept = sight.Result, sight.Commit, false
	}
	known, err := newKnown(catalog.Input{Config: g.config, Looks: looks, Within: g.within, Before: g.catalog(), Memo: g.memo()})
	if err == nil {
		g.now.Store(known)
	}
	return errors.Join(append(problems, err)...)
}

// checkDiscovery prints how many apps the branches name, and which environments that
// nobody configured, and reads the files of the apps. The error is what is wrong with apps.
func (s *Server) checkDiscovery(ctx context.Context, out io.Writer, g *generation, views map[string]*manifest.View) error {
	if len(g.known().Looks()) == 0 {
		return nil
	}
	problems := []error{s.discoverOnce(ctx, g)}
	for _, look := range g.known().Looks() {
		if look.Result == nil || views[look.Manifests] == nil {
			continue // which is said already
		}
		s.printFound(out, look, g.known())
		if more := look.Result.More; more > 0 {
			problems = append(problems, gitops.Errorf(gitops.Rejected, "%d more problems on the branch%s are not listed", more, s.whereIn(" of ", look.Manifests)))
		}
		view, err := g.repositories[look.Manifests].view(ctx, time.Minute) // now with the apps' files
		if err != nil {
			problems = append(problems, s.inRepository(look.Manifests, err))
		}
		views[look.Manifests] = view
	}
	for _, p := range g.known().Problems() {
		problems = append(problems, gitops.Errorf(gitops.Rejected, "%s", p.Text()))
	}
	return errors.Join(problems...)
}

// printFound prints what the branch of one repository names.
func (s *Server) printFound(out io.Writer, look catalog.Look, known *known) {
	apps, targets, problems := make(map[string]bool), 0, 0
	for _, t := range known.Targets() {
		if t.Manifests == look.Manifests && t.Origin != "" {
			apps[t.App] = true
			targets++
		}
	}
	for _, p := range known.Problems() {
		if p.Manifests == look.Manifests {
			problems++
		}
	}
	fmt.Fprintf(out, "discovered%s: %s in %s, %s (commit %s)\n", s.whereIn(" in ", look.Manifests),
		counted(len(apps), "app"), counted(targets, "place"), counted(problems, "problem"), look.Commit)
	for _, u := range look.Result.Unknown {
		fmt.Fprintf(out, "not discovered: environment %q, which is named by %s and not configured: add it to environments, or leave out what names it by exclude\n", gitops.Clip(u.Environment, 100), counted(u.Files, "file"))
	}
}

// counted is a number of things: "1 file", "2 files".
func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
