package access_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

// problems are the sentences of everything that New reports.
func problems(t *testing.T, c access.Config) (all []string) {
	t.Helper()
	l, err := access.New(c)
	if (l == nil) != (err != nil) {
		t.Fatalf("New gives %v and %v", l, err)
	}
	var joined interface{ Unwrap() []error }
	if err == nil {
		return nil
	}
	if !errors.As(err, &joined) {
		t.Fatal(err)
	}
	for _, problem := range joined.Unwrap() {
		if gitops.CodeOf(problem) != gitops.Invalid {
			t.Errorf("the code is %s", gitops.CodeOf(problem))
		}
		all = append(all, gitops.PublicOf(problem))
	}
	return all
}

// The rules of shop, by kind.
const (
	ofPush = iota
	ofDispatch
	ofJob
	ofBoard
	ofOps
)

func TestRulesThatCannotBe(t *testing.T) {
	onJob := func(edit func(*access.Job)) func(*access.Config) {
		return func(c *access.Config) { edit(c.Rules[ofJob].Who.Job) }
	}
	onDispatch := func(edit func(*access.Dispatch)) func(*access.Config) {
		return func(c *access.Config) { edit(c.Rules[ofDispatch].Who.Dispatch) }
	}
	onPush := func(edit func(*access.Push)) func(*access.Config) {
		return func(c *access.Config) { edit(c.Rules[ofPush].Who.Push) }
	}
	onRule := func(i int, edit func(*access.Rule)) func(*access.Config) {
		return func(c *access.Config) { edit(&c.Rules[i]) }
	}
	for want, edit := range map[string]func(*access.Config){
		"access[3].who: must be exactly one of push, dispatch, job, token, poll and revert": onRule(ofBoard, func(r *access.Rule) { r.Who.Push = &access.Push{Source: "eventbridge"} }),
		`access[3].who.token: "board" is not configured in api.tokens`:                      func(c *access.Config) { c.Tokens = []string{"ops"} },

		"access[0].may: must name at least one right: a push can have order":                                   onRule(ofPush, func(r *access.Rule) { r.May = nil }),
		`access[0].may[1]: "read" is not a right that a push can have: it can have order`:                      onRule(ofPush, func(r *access.Rule) { r.May = append(r.May, gitops.RightRead) }),
		`access[1].may[0]: "retry" is not a right that a dispatch can have`:                                    onRule(ofDispatch, func(r *access.Rule) { r.May = []gitops.Right{gitops.RightRetry} }),
		`access[2].may[0]: "cancel" is not a right that a job can have: it can have read, order`:               onRule(ofJob, func(r *access.Rule) { r.May = []gitops.Right{gitops.RightCancel} }),
		`access[1].may[0]: "rollback" is not a right that a dispatch can have`:                                 onRule(ofDispatch, func(r *access.Rule) { r.May = []gitops.Right{gitops.RightRollback} }),
		`access[2].may[0]: "stop" is not a right that a job can have: it can have read, order`:                 onRule(ofJob, func(r *access.Rule) { r.May = []gitops.Right{gitops.RightStop} }),
		`access[4].may[0]: "write" is not a right that a token can have: it can have read, order, retry, canc`: onRule(ofOps, func(r *access.Rule) { r.May = []gitops.Right{"write"} }),

		`access[0].apps: is missing: name each app, or "*" for all`:                         onRule(ofPush, func(r *access.Rule) { r.Apps = nil }),
		`access[1].environments: is missing: name each environment, or "*" for all`:         onRule(ofDispatch, func(r *access.Rule) { r.Environments = nil }),
		`access[4].apps: must name at least one app, or "*" for all`:                        onRule(ofOps, func(r *access.Rule) { r.Apps = []string{} }),
		`access[2].environments: must name at least one environment, or "*"`:                onRule(ofJob, func(r *access.Rule) { r.Environments = []string{} }),
		`access[1].apps: has "*" beside names: it is all of them, so it must`:               onRule(ofDispatch, func(r *access.Rule) { r.Apps = []string{"api", "*"} }),
		`access[1].apps[1]: no app "shop" is configured`:                                    onRule(ofDispatch, func(r *access.Rule) { r.Apps = []string{"api", "shop"} }),
		`access[1].apps[0]: no app "API" is configured: capitals count, and there is "api"`: onRule(ofDispatch, func(r *access.Rule) { r.Apps = []string{"API"} }),
		`access[3].environments[0]: no environment "qa" is configured`:                      onRule(ofBoard, func(r *access.Rule) { r.Environments = []string{"qa"} }),
		`access[0].who.push.accounts[0]: "1234" must be the 12 digits`:                      onPush(func(p *access.Push) { p.Accounts = []string{"1234"} }),
		"access[0].who.push.accounts: is empty: name at least one":                          onPush(func(p *access.Push) { p.Accounts = []string{} }),
		`access[0].who.push.regions[0]: "Ireland" must be an AWS region`:                    onPush(func(p *access.Push) { p.Regions = []string{"Ireland"} }),
		"access[0].who.push.topics: are of sns: eventbridge has none":                       onPush(func(p *access.Push) { p.Topics = []string{shopTalk} }),
		"access[1].who.dispatch.repository: must be owner/name":                             onDispatch(func(d *access.Dispatch) { d.Repository = "shop/" }),
		"access[1].who.dispatch.repositoryID: must be the repository's number":              onDispatch(func(d *access.Dispatch) { d.RepositoryID = 0 }),
		"access[1].who.dispatch.installationID: must be a number above 0":                   onDispatch(func(d *access.Dispatch) { d.InstallationID = -1 }),
		"access[1].who.dispatch.senders: is empty":                                          onDispatch(func(d *access.Dispatch) { d.Senders = []string{} }),
		"access[1].who.dispatch.senders[1]":                                                 onDispatch(func(d *access.Dispatch) { d.Senders = []string{"ann", ""} }),
		"access[1].who.dispatch.senderIDs: is empty":                                        onDispatch(func(d *access.Dispatch) { d.SenderIDs = []int64{} }),
		"access[1].who.dispatch.senderIDs[0]: must be a user's number":                      onDispatch(func(d *access.Dispatch) { d.SenderIDs = []int64{0} }),
		"access[2].who.job.repository: must be owner/name":                                  onJob(func(j *access.Job) { j.Repository = "a/b/c" }),
		"access[2].who.job.repositoryID: must be the repository's number":                   onJob(func(j *access.Job) { j.RepositoryID = "shop" }),
		"access[2].who.job.ownerID: must be the owner's number":                             onJob(func(j *access.Job) { j.OwnerID = "0" }),
		"access[2].who.job.refs: is missing: name the branches and tags":                    onJob(func(j *access.Job) { j.Refs = nil }),
		`access[2].who.job.refs[0]: "main" must be a pattern`:                               onJob(func(j *access.Job) { j.Refs = []string{"main"} }),
		`access[2].who.job.refs[0]: "refs/heads/**" has **, which means no more`:            onJob(func(j *access.Job) { j.Refs = []string{"refs/heads/**"} }),
		"access[2].who.job.events: has workflow_call, which no job has":                     onJob(func(j *access.Job) { j.Events = []string{"workflow_call"} }),
		`access[2].who.job.refs[0]: "*" must be a pattern`:                                  onJob(func(j *access.Job) { j.Refs = []string{"*"} }),
		`access[2].who.job.refs[0]: "refs/heads/[" must be a pattern`:                       onJob(func(j *access.Job) { j.Refs = []string{"refs/heads/["} }),
		`access[2].who.job.refs[0]: "refs/pull/1/merge" must be`:                            onJob(func(j *access.Job) { j.Refs = []string{"refs/pull/1/merge"} }),
		`access[2].who.job.workflows[0]: "build" must be .github/workflows/FILE`:            onJob(func(j *access.Job) { j.Workflows = []string{"build"} }),
		`access[2].who.job.workflows[0]: "o/r/.github/workflows/b.yml@v1" must be`:          onJob(func(j *access.Job) { j.Workflows = []string{"o/r/.github/workflows/b.yml@v1"} }),
		"access[2].who.job.workflows: is empty":                                             onJob(func(j *access.Job) { j.Workflows = []string{} }),
		"access[2].who.job.jobWorkflows: is empty":                                          onJob(func(j *access.Job) { j.JobWorkflows = []access.JobWorkflow{} }),
		`access[2].who.job.jobWorkflows[0].ref: ".github/workflows/b.yml" must be`:          onJob(func(j *access.Job) { j.JobWorkflows = []access.JobWorkflow{{Ref: ".github/workflows/b.yml"}} }),
		"access[2].who.job.jobWorkflows[0].sha: must be the 40 hexadecimal digits": onJob(func(j *access.Job) {
			j.JobWorkflows = []access.JobWorkflow{{Ref: "o/r/.github/workflows/b.yml@v1", SHA: "c0ffee"}}
		}),
		"access[2].who.job.events: must name at least one event":                      onJob(func(j *access.Job) { j.Events = nil }),
		`access[2].who.job.events[1]: "pull_request_target" must be an event such as`: onJob(func(j *access.Job) { j.Events = []string{"push", "pull_request_target"} }),
		`access[2].who.job.events[0]: "" must be an event`:                            onJob(func(j *access.Job) { j.Events = []string{""} }),
		"access[2].who.job.runnerEnvironment: must be github-hosted or self-hosted":   onJob(func(j *access.Job) { j.RunnerEnvironment = "mine" }),
		`access[2].who.job.actorIDs[0]: "ann" must be a user's number`:                onJob(func(j *access.Job) { j.ActorIDs = []string{"ann"} }),
	} {
		t.Run(want, func(t *testing.T) {
			c := shop()
			edit(&c)
			if got := problems(t, c); len(got) != 1 || !strings.HasPrefix(got[0], want) {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
}

// A sender that is configured and that no rule names, and a rule for a sender that is
// not configured, are mistakes of one of the two.
func TestSendersAndRulesMeet(t *testing.T) {
	without := func(i int) func(*access.Config) {
		return func(c *access.Config) { c.Rules = slices.Delete(c.Rules, i, i+1) }
	}
	for want, edit := range map[string]func(*access.Config){
		"sources.eventbridge: no rule of access names pushes from eventbridge":   without(ofPush),
		"sources.github: no rule of access names dispatches of a repository":     without(ofDispatch),
		"api.oidc.issuers[0]: no rule of access names jobs of this issuer":       without(ofJob),
		"api.tokens[0]: no rule of access names token board":                     without(ofBoard),
		"access[0].who.push.source: sources.eventbridge is not configured":       func(c *access.Config) { c.Sources = []string{"github"} },
		"access[1].who.dispatch: sources.github is not configured":               func(c *access.Config) { c.Sources = []string{"eventbridge"} },
		"access[2].who.job: api.oidc is not configured, so no job":               func(c *access.Config) { c.Issuers = nil },
		"sources.sns: no rule of access names pushes from sns":                   func(c *access.Config) { c.Sources = append(c.Sources, "sns") },
		"access[0].who.push.source: must be eventbridge or sns|sources.eventbri": func(c *access.Config) { c.Rules[ofPush].Who.Push.Source = "github" },
		"access[2].who.job.issuer: is not one of api.oidc.issuers|api.oidc.issuers[0]: no rule": func(c *access.Config) {
			c.Rules[ofJob].Who.Job.Issuer = "https://ghes.example"
		},
		"access[2].who.job.issuer: is missing: there are several issuers|api.oidc.issuers[0]: no rule|api.oidc.issuers[1]: no rule": func(c *access.Config) {
			c.Issuers = append(c.Issuers, "https://ghes.example")
		},
		"sources.sns.topics[1]: no rule of access names this topic": func(c *access.Config) {
			c.Sources, c.Topics = append(c.Sources, "sns"), []string{shopTalk, shopTalk + "-2"}
			rule := c.Rules[ofPush]
			rule.Who.Push = &access.Push{Source: "sns", Topics: []string{shopTalk}}
			c.Rules = append(c.Rules, rule)
		},
		"access[5].who.push.topics[0]: \"x\" must be one of sources.sns.topics|sources.sns.topics[0]: no rule": func(c *access.Config) {
			c.Sources, c.Topics = append(c.Sources, "sns"), []string{shopTalk}
			rule := c.Rules[ofPush]
			rule.Who.Push = &access.Push{Source: "sns", Topics: []string{"x"}}
			c.Rules = append(c.Rules, rule)
		},
	} {
		c := shop()
		edit(&c)
		got, all := problems(t, c), strings.Split(want, "|")
		if len(got) != len(all) || !slices.EqualFunc(got, all, strings.HasPrefix) {
			t.Errorf("found %q, want %q", got, all)
		}
	}
	c := shop()
	c.Rules[ofJob].Who.Job.Refs, c.Rules[ofPush].May = nil, nil
	if got := problems(t, c); len(got) != 2 {
		t.Errorf("of two problems it is told %q", got)
	}
}

// Regions of every partition can be named.
func TestRegions(t *testing.T) {
	c := shop()
	c.Rules[ofPush].Who.Push.Regions = []string{"eu-west-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1", "cn-north-1"}
	newList(t, c)
	for _, region := range []string{"Frankfurt", "eu-west", "us-moon-east-1", "eusc-east-1"} {
		c.Rules[ofPush].Who.Push.Regions = []string{region}
		if got := problems(t, c); len(got) != 1 || !strings.HasPrefix(got[0], "access[0].who.push.regions[0]: ") {
			t.Errorf("%s: found %q", region, got)
		}
	}
}

// A token that has no scope reaches everything, one with "*" as well.
func TestAllOfThem(t *testing.T) {
	for _, scope := range [][]string{nil, {"*"}} {
		c := shop()
		c.Rules[ofOps].Apps, c.Rules[ofOps].Environments = scope, scope
		l := newList(t, c)
		for _, app := range []string{"api", "web", "removed"} {
			if _, err := l.Authorize(gitops.Principal{Token: "ops"}, gitops.RightRead, app, "prod"); err != nil {
				t.Errorf("%q: %v", scope, err)
			}
		}
	}
}

// A refusal names who asked, for what, the nearest rule and what of it does not hold,
// on one line that is not longer than an answer should be.
func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 5000)
	c := shop()
	c.Rules = append(c.Rules, access.Rule{Who: access.Who{Dispatch: &access.Dispatch{Repository: "shop/api", RepositoryID: 17, Senders: []string{"bob"}}},
		May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"prod"}})
	l := newList(t, c)
	for want, q := range map[string]struct {
		principal        gitops.Principal
		app, environment string
	}{
		"dispatch of shop/api (id 17) by ann (id 3) may not order web in dev: the nearest rule, access[1], does not hold: " +
			`app "web" is not among api (change that rule, or add one to access in the configuration)`: {dispatch(), "web", "dev"},
		"dispatch of shop/api (id 17) by ann (id 3) may not order api in prod: the nearest rule, access[5], does not hold: " +
			`sender "ann" is not among bob (change that rule, or add one to access in the configuration)`: {dispatch(), "api", "prod"},
		"token opt may not order api in dev: no rule of access is for token opt: add one to the configuration": {gitops.Principal{Token: "opt"}, "api", "dev"},
		"nobody may not order api in dev: no rule of access is for nobody: add one to the configuration":       {gitops.Principal{}, "api", "dev"},
		"job of shop/api on refs/heads/x may not order web in dev: the nearest rule, access[2], does not hold: " +
			`environment "dev" is not among prod, and app "web" is not among api, and ref "refs/heads/x" is not among refs/tags/v* (change that rule, or add one to access in the configuration)`: {
			edited(func(j *gitops.Job) { j.Ref = "refs/heads/x" }), "web", "dev"},
	} {
		_, err := l.Authorize(q.principal, gitops.RightOrder, q.app, q.environment)
		if diff := cmp.Diff(want, gitops.PublicOf(err)); diff != "" {
			t.Error(diff)
		}
	}
	err := l.AuthorizeAnywhere(edited(func(j *gitops.Job) { j.RefProtected = false }), gitops.RightOrder)
	if want := "job of shop/api on refs/tags/v1.4.2 may not order anything: the nearest rule, access[2], does not hold: " +
		`ref "refs/tags/v1.4.2" is not protected: give it a branch protection or a ruleset (change that rule, or add one to access in the configuration)`; gitops.PublicOf(err) != want {
		t.Errorf("told %v, want %s", err, want)
	}
	hostile := edited(func(j *gitops.Job) {
		j.Ref, j.Repository, j.Environment, j.Event = "a\nb"+long, long, long+"\x00", "\xff"
	})
	for _, right := range gitops.Rights() {
		_, err := l.Authorize(hostile, right, long, long)
		if text := gitops.PublicOf(err); len(text) > 2000 || strings.ContainsAny(text, "\n\x00") || !utf8.ValidString(text) {
			t.Errorf("%d bytes: %.300q", len(text), text)
		}
	}
}

// Of many names the first are shown.
func TestLongLists(t *testing.T) {
	c := shop()
	c.Rules[ofDispatch].Apps = nil
	for i := range 20 {
		app := fmt.Sprintf("app-%02d", i)
		c.Apps[app] = nil
		c.Rules[ofDispatch].Apps = append(c.Rules[ofDispatch].Apps, app)
	}
	_, err := newList(t, c).Authorize(dispatch(), gitops.RightOrder, "api", "dev")
	if want := "app-06, app-07, 12 more"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("told %v", err)
	}
}
