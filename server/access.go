package server

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

// buildAccess makes the list of who may do what, and holds it against what is
// configured.
func buildAccess(c config.Config, looks []catalog.Look) (*access.List, error) {
	list := access.Config{Environments: slices.Sorted(maps.Keys(c.Environments)), Apps: make(map[string][]string, len(c.Apps))}
	for name, app := range c.Apps {
		list.Apps[name] = app.Environments
	}
	if len(looks) > 0 {
		list.MayKnow = func(app string) bool { return mayKnow(looks, app) }
	}
	if c.Sources.GitHub != nil {
		list.Sources = append(list.Sources, "github")
	}
	if c.Sources.EventBridge != nil {
		list.Sources = append(list.Sources, "eventbridge")
	}
	if c.Sources.SNS != nil {
		list.Sources, list.Topics = append(list.Sources, "sns"), c.Sources.SNS.Topics
	}
	for _, token := range c.API.Tokens {
		list.Tokens = append(list.Tokens, token.Name)
	}
	if c.API.OIDC != nil {
		list.Issuers = c.API.OIDC.Issuers
	}
	list.Polled, list.Reverted = polled(c), reverted(c)
	for _, rule := range c.Access {
		list.Rules = append(list.Rules, accessRule(rule))
	}
	return access.New(list)
}

// polled are the registries of the configured apps that are polled, by environment.
func polled(c config.Config) map[string][]string {
	found := make(map[string][]string)
	for environment, e := range c.Environments {
		if e.Image == nil || e.Image.Poll == 0 {
			continue
		}
		hosts := make(map[string]bool)
		for _, app := range c.Apps {
			repository := cmp.Or(app.Repositories[environment], app.Repository)
			if repository != "" && (app.Environments == nil || slices.Contains(app.Environments, environment)) {
				hosts[policy.HostOf(repository)] = true
			}
		}
		found[environment] = slices.Sorted(maps.Keys(hosts))
	}
	return found
}

// reverted are the environments in which tallyman goes back from what does not run.
func reverted(c config.Config) (environments []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Environments)) {
		if c.Environments[name].Rollout.Revert {
			environments = append(environments, name)
		}
	}
	return environments
}

// accessRule is a rule of the configuration as the list has it.
func accessRule(c config.Access) access.Rule {
	rule := access.Rule{Apps: c.Apps, Environments: c.Environments, Who: access.Who{Token: c.Who.Token, Revert: c.Who.Revert != nil}}
	for _, right := range c.May {
		rule.May = append(rule.May, gitops.Right(right))
	}
	if w := c.Who.Push; w != nil {
		push := access.Push(*w)
		rule.Who.Push = &push
	}
	if w := c.Who.Poll; w != nil {
		rule.Who.Poll = &access.Poll{}
		for _, host := range w.Registries {
			if !strings.Contains(host, "/") { // else it is no host, and the error quotes it as it was written
				host = policy.HostOf(host + "/any")
			}
			rule.Who.Poll.Registries = append(rule.Who.Poll.Registries, host)
		}
	}
	if w := c.Who.Dispatch; w != nil {
		dispatch := access.Dispatch(*w)
		rule.Who.Dispatch = &dispatch
	}
	if w := c.Who.Job; w != nil {
		rule.Who.Job = &access.Job{
			Issuer: w.Issuer, Repository: w.Repository, RepositoryID: number(w.RepositoryID), OwnerID: number(w.OwnerID),
			Refs: w.Refs, RefProtected: w.RefProtected, GitHubEnvironment: w.GitHubEnvironment, Workflows: w.Workflows,
			Events: w.Events, RunnerEnvironment: w.RunnerEnvironment,
		}
		for _, file := range w.JobWorkflows {
			rule.Who.Job.JobWorkflows = append(rule.Who.Job.JobWorkflows, access.JobWorkflow(file))
		}
		for _, id := range w.ActorIDs {
			rule.Who.Job.ActorIDs = append(rule.Who.Job.ActorIDs, number(id))
		}
	}
	return rule
}

// number is how GitHub writes an id in its claims.
func number(id int64) string { return strconv.FormatInt(id, 10) }

// PrintAccess prints who may write in each environment, by which credential and
// rule.
func (s *Server) PrintAccess(out io.Writer) { printAccess(out, s.current().access) }

func printAccess(out io.Writer, list *access.List) {
	environment := ""
	for _, grant := range list.Matrix() {
		if grant.Environment != environment {
			environment = grant.Environment
			fmt.Fprintf(out, "access in %s:\n", environment)
		}
		fmt.Fprintf(out, "  %s\n", grant)
	}
}

// logAccess logs the same, a line for each environment.
func (s *Server) logAccess() {
	grants := make(map[string][]string)
	for _, grant := range s.current().access.Matrix() {
		grants[grant.Environment] = append(grants[grant.Environment], grant.String())
	}
	for _, environment := range s.environments() {
		s.logger.Info("access", slog.String("environment", environment), slog.Any("grants", grants[environment]))
	}
}
