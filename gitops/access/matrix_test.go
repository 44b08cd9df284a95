package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

func TestMatrix(t *testing.T) {
	c := shop()
	c.Rules[ofOps].Environments = []string{"prod"}
	var got []string
	for _, g := range newList(t, c).Matrix() {
		got = append(got, g.Environment+": "+g.String())
	}
	want := []string{
		"dev: access[0]: pushes from eventbridge of account 123456789012 may order all apps, by the secret of sources.eventbridge",
		"dev: access[1]: dispatches of shop/api (id 17) by whoever may write it may order api, by the webhook secret of sources.github",
		"prod: access[2]: jobs of shop/api (id 17) on protected refs/tags/v* in the GitHub environment prod started by push may order api, by an OIDC token of " + github,
		"prod: access[4]: token ops may order, retry, cancel, rollback, hold, stop, override, report web, by a token of api.tokens",
		"staging: access[0]: pushes from eventbridge of account 123456789012 may order all apps, by the secret of sources.eventbridge",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Every condition on who asks is in the line of its rule.
func TestMatrixShowsEveryCondition(t *testing.T) {
	c := shop()
	c.Sources, c.Topics = append(c.Sources, "sns"), []string{shopTalk}
	order := []gitops.Right{gitops.RightOrder}
	c.Rules = append(c.Rules, access.Rule{Who: access.Who{Push: &access.Push{Source: "sns", Accounts: []string{"123456789012"}, Regions: []string{"eu-west-1"}, Topics: []string{shopTalk}}},
		May: order, Apps: []string{"api"}, Environments: []string{"dev"}})
	c.Rules[ofDispatch].Who.Dispatch.Senders, c.Rules[ofDispatch].Who.Dispatch.SenderIDs, c.Rules[ofDispatch].Who.Dispatch.InstallationID = []string{"ann"}, []int64{3}, 5
	j := c.Rules[ofJob].Who.Job
	j.Workflows, j.RunnerEnvironment, j.ActorIDs = []string{".github/workflows/release.yml"}, "self-hosted", []string{"3"}
	j.JobWorkflows = []access.JobWorkflow{{Ref: "shop/ci/.github/workflows/deploy.yml@v3", SHA: strings.Repeat("a", 40)}}
	var text strings.Builder
	for _, g := range newList(t, c).Matrix() {
		text.WriteString(g.String() + "\n")
	}
	for _, want := range []string{
		"pushes from sns of account 123456789012 in eu-west-1 by topic " + shopTalk + " may order api, by Amazon's signature",
		"dispatches of shop/api (id 17) by ann, 3 through installation 5 may order",
		"in the GitHub environment prod of workflow .github/workflows/release.yml in file shop/ci/.github/workflows/deploy.yml@v3 at " + strings.Repeat("a", 40) +
			" started by push on a self-hosted runner of actor 3 may",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

func TestOrderedByName(t *testing.T) {
	l := newList(t, shop())
	for _, c := range []struct {
		app, environment string
		want             bool
	}{
		{"api", "dev", true}, {"api", "prod", true}, {"api", "staging", false}, {"web", "staging", true}, {"other", "dev", false},
	} {
		if got := l.OrderedByName(c.app, c.environment); got != c.want {
			t.Errorf("%s in %s: %t", c.app, c.environment, got)
		}
	}
}

func TestGates(t *testing.T) {
	c := shop()
	c.Rules = append(c.Rules, access.Rule{Who: access.Who{Job: &access.Job{Repository: "shop/web", RepositoryID: "18", OwnerID: "4", Refs: []string{"refs/heads/main"}, Events: []string{"push"}}},
		May: []gitops.Right{gitops.RightOrder}, Apps: []string{"web"}, Environments: []string{"dev"}})
	want := []access.Gate{{Rule: "access[2]", Issuer: github, Repository: "shop/api", RepositoryID: "17", GitHubEnvironment: "prod"}}
	if diff := cmp.Diff(want, newList(t, c).Gates()); diff != "" {
		t.Error(diff)
	}
}

func TestWarnings(t *testing.T) {
	type edit = func(c *access.Config)
	for name, c := range map[string]struct {
		edit edit
		want []string
	}{
		"a careful list": {func(*access.Config) {}, nil},
		"a dispatch in every environment": {func(c *access.Config) { c.Rules[ofDispatch].Environments = []string{"*"} },
			[]string{"access[1]: dispatches of shop/api (id 17) by whoever may write it may order in every environment", "access[1]: dispatches of shop/api (id 17) by whoever may write it may order api in prod without the GitHub environment prod that access[2] demands"}},
		"a dispatch of every app": {func(c *access.Config) { c.Rules[ofDispatch].Apps = []string{"*"} },
			[]string{"access[1]: dispatches of shop/api (id 17) by whoever may write it may order every app"}},
		"a person everywhere": {func(c *access.Config) { c.Rules[ofOps].Environments = nil },
			[]string{"access[4]: token ops may read, order, retry, cancel, rollback, hold, stop, override, report in every environment"}},
		"a reader everywhere": {func(c *access.Config) { c.Rules[ofBoard].Environments = nil }, nil},
		"a push past the gate": {func(c *access.Config) { c.Rules[ofPush].Environments = []string{"prod"} },
			[]string{"access[0]: pushes from eventbridge of account 123456789012 may order api in prod without the GitHub environment prod that access[2] demands: nobody is asked",
				"environments.staging: no rule of access allows anybody to order there"}},
		"a token past the gate": {func(c *access.Config) { c.Rules[ofOps].Apps = nil },
			[]string{"access[4]: token ops may order api in prod without the GitHub environment prod"}},
		"an ungated job beside": {func(c *access.Config) {
			second := *c.Rules[ofJob].Who.Job
			second.GitHubEnvironment = ""
			c.Rules = append(c.Rules, access.Rule{Who: access.Who{Job: &second}, May: []gitops.Right{gitops.RightOrder}, Apps: []string{"*"}, Environments: []string{"*"}})
		}, []string{"access[5]: jobs of shop/api (id 17) on protected refs/tags/v* started by push may order in every environment", "access[5]: jobs of shop/api (id 17) on protected refs/tags/v* started by push may order every app",
			"access[5]: jobs of shop/api (id 17) on protected refs/tags/v* started by push may order api in prod without"}},
		"a job in another GitHub environment beside": {func(c *access.Config) {
			second := *c.Rules[ofJob].Who.Job
			second.GitHubEnvironment = "dev"
			c.Rules = append(c.Rules, access.Rule{Who: access.Who{Job: &second}, May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"prod"}})
		}, []string{"access[2]: jobs of shop/api (id 17) on protected refs/tags/v* in the GitHub environment prod started by push may order api in prod without the GitHub environment dev",
			"access[5]: jobs of shop/api (id 17) on protected refs/tags/v* in the GitHub environment dev started by push may order api in prod without the GitHub environment prod that access[2] demands"}},
		"a gated job of another repository beside": {func(c *access.Config) {
			second := *c.Rules[ofJob].Who.Job
			second.RepositoryID, second.GitHubEnvironment = "18", "production"
			c.Rules = append(c.Rules, access.Rule{Who: access.Who{Job: &second}, May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"prod"}})
		}, nil},
		"a rule for nothing": {func(c *access.Config) {
			c.Apps = map[string][]string{"api": {"dev", "prod"}, "web": nil}
			c.Rules[ofDispatch].Environments = []string{"staging"}
		}, []string{"access[1]: none of its apps is in one of its environments, so it allows nothing"}},
		"any branch": {func(c *access.Config) {
			j := c.Rules[ofJob].Who.Job
			j.GitHubEnvironment, j.RefProtected, j.Refs = "", false, []string{"refs/heads/*"}
		}, []string{"access[2]: whoever may push to shop/api can make a ref that refs/heads/* takes"}},
		"an event of anybody": {func(c *access.Config) { c.Rules[ofJob].Who.Job.Events = []string{"push", "issue_comment"} },
			[]string{"access[2]: the event issue_comment can be caused by people who may not write shop/api"}},
		"logins": {func(c *access.Config) { c.Rules[ofDispatch].Who.Dispatch.Senders = []string{"ann"} },
			[]string{"access[1]: senders are logins, which GitHub gives out again"}},
		"logins with numbers": {func(c *access.Config) {
			c.Rules[ofDispatch].Who.Dispatch.Senders, c.Rules[ofDispatch].Who.Dispatch.SenderIDs = []string{"ann"}, []int64{3}
		}, nil},
		"nobody in prod": {func(c *access.Config) {
			c.Rules[ofJob].Environments, c.Rules[ofOps].Environments = []string{"dev"}, []string{"dev"}
		}, []string{"access[0]: pushes from eventbridge of account 123456789012 may order api in dev without", "access[1]: dispatches", "environments.prod: no rule of access allows anybody to order there"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := shop()
			config.Rules[ofOps].Environments = []string{"dev", "prod"}
			c.edit(&config)
			var got []string
			for _, warning := range newList(t, config).Warnings() {
				got = append(got, warning.Public())
			}
			if len(got) != len(c.want) || !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("warned of %q, want %q", got, c.want)
			}
		})
	}
}
