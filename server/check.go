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
)

// CheckManifests asks the git server whether the manifest repository may be
// written, tries every edit on the files as they are on the branch, and prints a
// line for each. It asks GitHub about the environments that access demands of jobs,
// too. Nothing is changed. A wrong target is no reason not to start: its
// updates would fail and say so, the others go on. The server need not have been
// started.
func (s *Server) CheckManifests(ctx context.Context, out io.Writer) error {
	if s.app != nil {
		if err := s.checkApp(ctx, out); err != nil {
			return err
		}
	}
	gates := s.checkGates(ctx, out)
	if err := s.writer.Handshake(ctx); err != nil {
		return errors.Join(gates, err)
	}
	fmt.Fprintf(out, "manifest repository: branch %s of %s may be written\n", s.current().config.Manifests.Branch, s.current().config.Manifests.URL)
	view, err := s.writer.View(ctx, 0)
	if err != nil {
		return errors.Join(gates, err)
	}
	problems := []error{gates}
	for _, at := range s.current().known().In("") {
		t, _ := s.current().known().Target(at.Environment, at.App)
		for _, f := range t.Files {
			more, err := checkFile(t, f, view)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			fmt.Fprintf(out, "%s in %s: %s can be edited%s\n", t.App, t.Environment, f.Path, more)
		}
	}
	return errors.Join(problems...)
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

// checkApp says as whom the repository is written.
func (s *Server) checkApp(ctx context.Context, out io.Writer) error {
	report, err := s.app.Report(ctx)
	if err != nil {
		return err
	}
	if report.Contents != "write" {
		return gitops.Errorf(gitops.Forbidden, "the GitHub App %s may not write the repository's contents: give it the permission Contents: write, and accept that in installation %d",
			report.Identity.Name, report.Installation)
	}
	fmt.Fprintf(out, "GitHub App: %s <%s>, installation %d, may write contents\n", report.Identity.Name, report.Identity.Email, report.Installation)
	return nil
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

// problemOf says of an error which target it is of. A sentence that is in it is not its
// cause as well, or whoever runs a check would read it twice.
func problemOf(t *catalog.Target, at string, err error) error {
	cause := err
	if known := new(gitops.Error); errors.As(err, &known) {
		cause = known.Err
	}
	return gitops.Errorf(gitops.Rejected, "%s in %s: %s%s", t.App, t.Environment, at, gitops.PublicOf(err)).WithCause(cause)
}
