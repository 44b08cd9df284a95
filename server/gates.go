package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// checkGates asks GitHub whether the environments exist that the rules of access
// demand of jobs, and prints what stands before the jobs in each. One that does not
// exist is an error: GitHub makes it, without any rule, for the first job that names
// it.
func (s *Server) checkGates(ctx context.Context, out io.Writer) error {
	var problems []error
	for _, gate := range s.current().access.Gates() {
		problems = append(problems, s.checkGate(ctx, out, gate))
	}
	return errors.Join(problems...)
}

func (s *Server) checkGate(ctx context.Context, out io.Writer, gate access.Gate) error {
	name := fmt.Sprintf("GitHub environment %s of %s", gate.GitHubEnvironment, gate.Repository)
	unknown := func(why string) {
		fmt.Fprintf(out, "warning: %s: not known whether the %s exists and has required reviewers: %s\n", gate.Rule, name, why)
	}
	app, why := s.appFor(gate.Issuer)
	if app == nil {
		unknown(why)
		return nil
	}
	found, err := app.Environment(ctx, gate.Repository, gate.GitHubEnvironment)
	switch code := gitops.CodeOf(err); {
	case code == gitops.Forbidden, code == gitops.NotFound:
		unknown(gitops.PublicOf(err))
		return nil
	case err != nil:
		return err
	case strconv.FormatInt(found.RepositoryID, 10) != gate.RepositoryID:
		return &gitops.Error{Code: gitops.Rejected, Field: gate.Rule + ".who.job.repositoryID",
			Message: fmt.Sprintf("GitHub's number of %s is %d", gate.Repository, found.RepositoryID)}
	case !found.Exists:
		return &gitops.Error{Code: gitops.Rejected, Field: gate.Rule + ".who.job.githubEnvironment",
			Message: "there is no " + name + ": GitHub makes one without any rule when a job first names it; make it with required reviewers"}
	}
	printGate(out, gate.Rule, name, found)
	return nil
}

// appFor is an App that can look at the environments of an issuer's jobs; nil where there
// is none, and why.
func (s *Server) appFor(issuer string) (app *githubapp.App, why string) {
	why = "only a GitHub App can look (manifests.credentials.githubApp)"
	for _, r := range s.current().sorted() {
		switch {
		case r.app == nil:
		case r.app.Issues(issuer):
			return r.app, ""
		default:
			why = "its jobs are of another GitHub than the App"
		}
	}
	return nil, why
}

// printGate prints what stands before the jobs in an environment.
func printGate(out io.Writer, rule, name string, found githubapp.Environment) {
	fmt.Fprintf(out, "%s: %d required reviewers\n", name, found.Reviewers)
	warn := func(text string) { fmt.Fprintf(out, "warning: %s: the %s %s\n", rule, name, text) }
	switch {
	case found.Reviewers == 0 && found.Private:
		warn("has no required reviewers, so its jobs order unasked; the repository is not public, where required reviewers need GitHub Enterprise")
	case found.Reviewers == 0:
		warn("has no required reviewers, so its jobs order unasked")
	case found.SelfReview:
		warn("lets whoever started a run approve it: turn on \"Prevent self-review\"")
	}
	if found.Reviewers > 0 && found.AdminsBypass {
		warn("can be passed by the repository's administrators without a review")
	}
}
