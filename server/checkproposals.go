package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// checkProposals asks GitHub for each environment with pull requests whether they can be
// opened, kept up to date and merged, and prints a line for each, and warnings. The reports are
// by manifest repository; where one is missing, checkApp has already said why.
func (s *Server) checkProposals(ctx context.Context, out io.Writer, g *generation, reports map[string]githubapp.Report) error {
	var problems []error
	for _, p := range g.proposing() {
		report, reached := reports[p.manifests]
		if !reached {
			continue
		}
		r, env := g.repositories[p.manifests], g.config.Environments[p.environment]
		facts := proposalFacts{
			Environment: p.environment, Branch: r.settings.Branch, Topics: proposals.Branch(p.environment, "*"), Auto: env.MergesItself(),
			Signed: r.settings.Signing.SSHKeyFile != "" || r.settings.Signing.OpenPGPKeyFile != "",
			App:    report.Identity.Name, PullRequests: report.PullRequests, ApproveAt: report.Page, Events: report.Events,
		}
		if facts.PullRequests == "write" {
			var err error
			if facts.Rules, err = r.forge.Rules(ctx, proposals.Branch(p.environment, g.anyApp(p))); err != nil {
				problems = append(problems, s.inRepository(p.manifests, err))
				continue
			}
		}
		problems = append(problems, s.printAdvice(out, r, facts))
	}
	return errors.Join(problems...)
}

// printAdvice prints what was found out of one environment, and returns what is wrong.
func (s *Server) printAdvice(out io.Writer, r *repository, facts proposalFacts) error {
	advice := facts.judge()
	if len(advice.wrong) == 0 {
		by := "a person merges"
		if facts.Auto {
			by = "GitHub merges"
		}
		fmt.Fprintf(out, "%s: pull requests into %s%s may be opened, and %s them\n", facts.Environment, facts.Branch, s.whereIn(" of ", r.name), by)
	}
	for _, warning := range advice.warnings {
		fmt.Fprintf(out, "warning: environments.%s.write%s: %s\n", facts.Environment, s.whereIn(" in ", r.name), warning)
	}
	code := gitops.Rejected
	if facts.PullRequests != "write" {
		code = gitops.Forbidden
	}
	var problems []error
	for _, wrong := range advice.wrong {
		problems = append(problems, s.inRepository(r.name, gitops.Errorf(code, "environment %s: %s", facts.Environment, wrong)))
	}
	return errors.Join(problems...)
}

// anyApp is an app that has its files there, for the name of a topic branch.
func (g *generation) anyApp(p proposing) string {
	for _, t := range g.known().Targets() {
		if t.Environment == p.environment && t.Manifests == p.manifests {
			return t.App
		}
	}
	return "app"
}
