package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// CheckManifests asks the git server whether the manifest repository may be
// written, tries every edit on the files as they are on the branch, and prints a
// line for each. It asks GitHub about the environments that access demands of jobs,
// too. Nothing is changed. A wrong target is no reason not to start: its
// updates would fail and say so, the others go on. The server need not have been
// started.
func (s *Server) CheckManifests(ctx context.Context, out io.Writer) error {
	g := s.current()
	var problems []error
	var reached []*repository // as their Apps, if they have any
	reports := make(map[string]githubapp.Report)
	for _, r := range g.sorted() {
		report, err := s.checkApp(ctx, out, r)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		reached = append(reached, r)
		reports[r.name] = report
	}
	problems = append(problems, s.checkGates(ctx, out), s.checkProposals(ctx, out, g, reports), s.checkSourceAccess(ctx, out, g))
	views := make(map[string]*manifest.View)
	for _, r := range reached {
		view, err := s.checkRepository(ctx, out, r)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		views[r.name] = view
	}
	problems = append(problems, s.checkDiscovery(ctx, out, g, views))
	known := g.known()
	for _, at := range known.In("") {
		t, _ := known.Target(at.Environment, at.App)
		if views[t.Manifests] == nil {
			continue // which is said of the repository
		}
		for _, f := range t.Files {
			more, err := checkFile(t, f, views[t.Manifests])
			if err != nil {
				problems = append(problems, err)
				continue
			}
			fmt.Fprintf(out, "%s in %s: %s%s can be edited%s%s\n", t.App, t.Environment, f.Path, s.whereIn(" of ", t.Manifests), more, known.ownRule(t.App))
		}
	}
	warnUnnamedPolls(out, g)
	problems = append(problems, s.checkImages(ctx, out, g, views), s.checkRollouts(ctx, out, g))
	return errors.Join(problems...)
}

// whereIn names a manifest repository where there are several.
func (s *Server) whereIn(before, repository string) string {
	if len(s.current().repositories) == 1 {
		return ""
	}
	return before + repository
}

// inRepository says of an error which manifest repository it is of, where there are
// several.
func (s *Server) inRepository(name string, err error) error {
	var known *gitops.Error
	if len(s.current().repositories) == 1 || !errors.As(err, &known) {
		return err
	}
	named := *known
	named.Message = "manifest repository " + name + ": " + named.Message
	return &named
}

// checkRepository asks whether a repository may be written, and reads its branch.
func (s *Server) checkRepository(ctx context.Context, out io.Writer, r *repository) (*manifest.View, error) {
	if err := r.writer.Handshake(ctx); err != nil {
		return nil, s.inRepository(r.name, err)
	}
	fmt.Fprintf(out, "manifest repository%s: branch %s of %s may be written\n", s.whereIn(" ", r.name), r.settings.Branch, r.settings.URL)
	view, err := r.view(ctx, 0)
	return view, s.inRepository(r.name, err)
}

// PrintWarnings prints a line for each thing in the configuration that can be right
// and is hardly meant as it stands.
func (s *Server) PrintWarnings(out io.Writer) {
	for _, w := range s.current().warnings {
		fmt.Fprintf(out, "warning: %s\n", w.Public())
	}
}

// logWarnings logs the same.
func (s *Server) logWarnings() {
	for _, w := range s.current().warnings {
		s.logger.Warn("configuration warning", slog.String("field", w.Field), slog.String("warning", w.Message))
	}
}

// checkApp says as which App a repository is written, if as any.
func (s *Server) checkApp(ctx context.Context, out io.Writer, r *repository) (githubapp.Report, error) {
	if r.app == nil {
		return githubapp.Report{}, nil
	}
	report, err := r.app.Report(ctx)
	if err != nil {
		return report, s.inRepository(r.name, err)
	}
	if report.Contents != "write" {
		return report, s.inRepository(r.name, gitops.Errorf(gitops.Forbidden, "the GitHub App %s may not write the repository's contents: give it the permission Contents: write, and accept that in installation %d",
			report.Identity.Name, report.Installation))
	}
	fmt.Fprintf(out, "GitHub App%s: %s <%s>, installation %d, may write contents\n", s.whereIn(" of ", r.name), report.Identity.Name, report.Identity.Email, report.Installation)
	return report, nil
}

// checkFile makes the edit of one file as an update would, and drops it. Where others
// may follow an anchor it says all that would change.
func checkFile(t *catalog.Target, f catalog.File, view *manifest.View) (more string, err error) {
	file, err := view.ReadFile(f.Path)
	if err != nil {
		return "", problemOf(t, "", err)
	}
	r, err := f.Edit.Set(file, values.Vars{
		Tag:        "tallyman-check",
		Digest:     "sha256:" + strings.Repeat("0", 64),
		Repository: t.Image,
	})
	if err != nil {
		return "", problemOf(t, f.Path+": ", err)
	}
	for _, set := range f.Sets {
		if set.Anchor != "" {
			return ", which changes " + strings.Join(r.Paths, ", "), nil
		}
	}
	return "", nil
}

// ownRule says which tags alone are taken of an app; "" when it is those that its
// environments take.
func (k *known) ownRule(app string) string {
	tags := k.policy.OwnRule(app)
	var rules []string
	if tags.Match != "" {
		rules = append(rules, "match "+tags.Match)
	}
	if tags.Semver != "" {
		rules = append(rules, "semver "+tags.Semver)
	}
	if rules == nil {
		return ""
	}
	return "; of its tags only " + strings.Join(rules, " and ")
}

// problemOf says of an error which target it is of. A sentence that is in it is not its
// cause as well, or whoever runs a check would read it twice.
func problemOf(t *catalog.Target, at string, err error) error {
	cause := err
	if known := new(gitops.Error); errors.As(err, &known) {
		cause = known.Err
	}
	return gitops.Errorf(gitops.Rejected, "%s in %s: %s%s", t.App, t.Environment, at, gitops.PublicOf(err)).WithCause(cause)
}
