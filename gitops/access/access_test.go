package access_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

const (
	github   = "https://token.actions.githubusercontent.com"
	shopTalk = "arn:aws:sns:eu-west-1:123456789012:ecr-events"
)

// shop has a rule for each kind of principal.
func shop() access.Config {
	return access.Config{
		Environments: []string{"dev", "prod", "staging"},
		Apps:         map[string][]string{"api": nil, "web": nil},
		Sources:      []string{"github", "eventbridge"},
		Tokens:       []string{"board", "ops"},
		Issuers:      []string{github},
		Rules: []access.Rule{
			{Who: access.Who{Push: &access.Push{Source: "eventbridge", Accounts: []string{"123456789012"}}},
				May: []gitops.Right{gitops.RightOrder}, Apps: []string{"*"}, Environments: []string{"dev", "staging"}},
			{Who: access.Who{Dispatch: &access.Dispatch{Repository: "shop/api", RepositoryID: 17}},
				May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"dev"}},
			{Who: access.Who{Job: jobRule()},
				May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"prod"}},
			{Who: access.Who{Token: "board"}, May: []gitops.Right{gitops.RightRead}, Environments: []string{"dev", "staging"}},
			{Who: access.Who{Token: "ops"}, May: gitops.Rights(), Apps: []string{"web"}},
		},
	}
}

// jobRule wants a job on a protected tag in the GitHub environment prod.
func jobRule() *access.Job {
	return &access.Job{Repository: "shop/api", RepositoryID: "17", OwnerID: "4", Refs: []string{"refs/tags/v*"}, RefProtected: true,
		GitHubEnvironment: "prod", Events: []string{"push"}}
}

// The principals that the rules of shop are for.
func push() gitops.Principal {
	return gitops.Principal{Push: &gitops.PushSource{Source: "eventbridge", Account: "123456789012", Region: "eu-west-1"}}
}

func dispatch() gitops.Principal {
	return gitops.Principal{Dispatch: &gitops.DispatchSender{Repository: "shop/api", RepositoryID: 17, InstallationID: 5, Sender: "ann", SenderID: 3}}
}

func job() gitops.Principal {
	return gitops.Principal{Job: &gitops.Job{
		Issuer: github, Repository: "shop/api", RepositoryID: "17", OwnerID: "4", Ref: "refs/tags/v1.4.2", RefProtected: true, Environment: "prod",
		RunnerEnvironment: "github-hosted", Event: "push", Workflow: "shop/api/.github/workflows/release.yml@refs/tags/v1.4.2",
		JobWorkflow: "shop/ci/.github/workflows/deploy.yml@refs/tags/v3", JobWorkflowSHA: strings.Repeat("a", 40), Actor: "ann", ActorID: "3",
	}}
}

func newList(t *testing.T, c access.Config) *access.List {
	t.Helper()
	l, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Every principal, right, app and environment: what the table does not have is
// forbidden. Scope says the same of each cell.
func TestEveryCell(t *testing.T) {
	l := newList(t, shop())
	principals := map[string]gitops.Principal{
		"nobody": {}, "push": push(), "dispatch": dispatch(), "job": job(),
		"board": {Token: "board"}, "ops": {Token: "ops"}, "another token": {Token: "opt"},
		"another account":     {Push: &gitops.PushSource{Source: "eventbridge", Account: "000000000001"}},
		"another source":      {Push: &gitops.PushSource{Source: "sns", Account: "123456789012"}},
		"another repository":  {Dispatch: &gitops.DispatchSender{Repository: "shop/api", RepositoryID: 18}},
		"a dispatch of none":  {Dispatch: &gitops.DispatchSender{Sender: "ann"}},
		"a job of none":       {Job: &gitops.Job{Issuer: github, Ref: "refs/tags/v1"}},
		"a job of other hub":  edited(func(j *gitops.Job) { j.Issuer = "https://ghes.example" }),
		"a job of new owner":  edited(func(j *gitops.Job) { j.OwnerID = "5" }),
		"a job of a branch":   edited(func(j *gitops.Job) { j.Ref = "refs/heads/main" }),
		"a job without gate":  edited(func(j *gitops.Job) { j.Environment = "" }),
		"a pull request":      edited(func(j *gitops.Job) { j.Event = "pull_request_target" }),
		"a job of a copycat":  edited(func(j *gitops.Job) { j.RepositoryID = "18" }),
		"a job, unprotected":  edited(func(j *gitops.Job) { j.RefProtected = false }),
		"a token like a push": {Token: "eventbridge"},
	}
	allowed := map[string]string{
		"push order api dev": "access[0]", "push order web dev": "access[0]", "push order api staging": "access[0]", "push order web staging": "access[0]",
		"dispatch order api dev": "access[1]",
		"job order api prod":     "access[2]",
		"board read api dev":     "access[3]", "board read web dev": "access[3]", "board read api staging": "access[3]", "board read web staging": "access[3]",
	}
	for _, right := range gitops.Rights() {
		for _, environment := range []string{"dev", "staging", "prod"} {
			allowed["ops "+string(right)+" web "+environment] = "access[4]"
		}
	}
	met := 0
	for name, p := range principals {
		for _, right := range append(gitops.Rights(), "", "write") {
			scope := l.Scope(p, right)
			for _, app := range []string{"api", "web", "", "*"} {
				for _, environment := range []string{"dev", "staging", "prod", "", "*"} {
					cell := strings.Join([]string{name, string(right), app, environment}, " ")
					rule, err := l.Authorize(p, right, app, environment)
					want, ok := allowed[cell]
					if wild := app == "" || app == "*" || environment == "" || environment == "*"; wild && rule != "" {
						continue // a rule for all apps or environments is for names that are not configured, too
					}
					if rule != want || (err == nil) != ok || err != nil && gitops.CodeOf(err) != gitops.Forbidden {
						t.Errorf("%s: %q, %v, want %q", cell, rule, err, want)
					}
					if scope.Allows(app, environment) != (err == nil) {
						t.Errorf("%s: the scope says the opposite of %v", cell, err)
					}
					if ok {
						met++
					}
				}
			}
		}
	}
	if met != len(allowed) {
		t.Errorf("%d cells of %d were met", met, len(allowed))
	}
}

func edited(edit func(*gitops.Job)) gitops.Principal {
	p := job()
	edit(p.Job)
	return p
}

func TestScope(t *testing.T) {
	c := shop()
	c.Rules[4].Apps = nil // ops, everywhere
	l := newList(t, c)
	for _, want := range []struct {
		principal  gitops.Principal
		right      gitops.Right
		empty, all bool
	}{
		{gitops.Principal{Token: "ops"}, gitops.RightRead, false, true},
		{gitops.Principal{Token: "board"}, gitops.RightRead, false, false},
		{gitops.Principal{Token: "board"}, gitops.RightOrder, true, false},
		{job(), gitops.RightOrder, false, false},
		{job(), gitops.RightRead, true, false},
		{edited(func(j *gitops.Job) { j.Environment = "dev" }), gitops.RightOrder, true, false},
		{gitops.Principal{}, gitops.RightRead, true, false},
	} {
		s := l.Scope(want.principal, want.right)
		if s.Empty() != want.empty || s.All() != want.all {
			t.Errorf("%s, %s: empty %t, all %t", access.Describe(want.principal), want.right, s.Empty(), s.All())
		}
	}
	want := []access.Area{{"dev", ""}, {"staging", ""}}
	if diff := cmp.Diff(want, l.Scope(push(), gitops.RightOrder).Areas()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]access.Area{{"prod", "api"}}, l.Scope(job(), gitops.RightOrder).Areas()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]access.Area{{}}, l.Scope(gitops.Principal{Token: "ops"}, gitops.RightRead).Areas()); diff != "" {
		t.Error(diff)
	}
	if (access.Scope{}).Allows("api", "dev") || (access.Scope{}).Areas() != nil {
		t.Error("the zero scope allows something")
	}
}

// A decision costs nothing that adds up to anything beside a delivery's fsync.
func BenchmarkAuthorize(b *testing.B) {
	c := shop()
	for range 2000 {
		c.Rules = append(c.Rules, access.Rule{Who: access.Who{Dispatch: &access.Dispatch{Repository: "o/r", RepositoryID: int64(1000 + len(c.Rules))}},
			May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"dev"}})
	}
	l, err := access.New(c)
	if err != nil {
		b.Fatal(err)
	}
	p := dispatch()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Authorize(p, gitops.RightOrder, "api", "dev"); err != nil {
			b.Fatal(err)
		}
	}
}

// Who may do something to every app, or everywhere, is allowed it by a rule that names
// none: a list of all that there are today is not every one.
func TestEveryAppAndEnvironment(t *testing.T) {
	c := shop()
	c.Rules[ofOps].Apps, c.Rules[ofOps].Environments = nil, []string{"dev", "prod"}
	c.Rules[ofBoard].May, c.Rules[ofBoard].Apps, c.Rules[ofBoard].Environments = []gitops.Right{gitops.RightStop}, []string{"api", "web"}, nil
	l := newList(t, c)
	for _, q := range []struct{ token, app, environment, refused string }{
		{"ops", "", "prod", ""},
		{"ops", "", "", "token ops may not stop every app in every environment: the nearest rule, access[4], does not hold: it is for dev, prod and not for every environment"},
		{"ops", "", "staging", `token ops may not stop every app in staging: the nearest rule, access[4], does not hold: environment "staging" is not among dev, prod`},
		{"board", "api", "", ""},
		{"board", "", "dev", "token board may not stop every app in dev: the nearest rule, access[3], does not hold: it is for api, web and not for every app"},
	} {
		_, err := l.Authorize(gitops.Principal{Token: q.token}, gitops.RightStop, q.app, q.environment)
		if (err == nil) != (q.refused == "") || err != nil && !strings.HasPrefix(gitops.PublicOf(err), q.refused) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// Of rules that lack nothing but the right the one that names the environment is the
// nearest: that is where the right would be added, and not in one that is for everything.
func TestTheNearestRuleNamesMost(t *testing.T) {
	c := shop()
	oncall := access.Who{Token: "ops"}
	c.Rules[ofOps] = access.Rule{Who: oncall, May: []gitops.Right{gitops.RightRead}}
	c.Rules = append(c.Rules, access.Rule{Who: oncall, May: []gitops.Right{gitops.RightStop}, Environments: []string{"prod"}})
	_, err := newList(t, c).Authorize(gitops.Principal{Token: "ops"}, gitops.RightOverride, "api", "prod")
	if want := `token ops may not override api in prod: the nearest rule, access[5], does not hold: right "override" is not among stop`; err == nil || !strings.HasPrefix(gitops.PublicOf(err), want) {
		t.Error(err)
	}
}
