package access_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

// refusedBecause wants a refusal of api in prod that says why.
func refusedBecause(t *testing.T, l *access.List, p gitops.Principal, why string) {
	t.Helper()
	_, err := l.Authorize(p, gitops.RightOrder, "api", "prod")
	switch {
	case why == "" && err != nil:
		t.Error(err)
	case why != "" && (gitops.CodeOf(err) != gitops.Forbidden || !strings.Contains(gitops.PublicOf(err), why)):
		t.Errorf("told %v, want %s", err, why)
	}
}

// Each condition on a job, held and not held.
func TestConditionsOnAJob(t *testing.T) {
	sha := strings.Repeat("a", 40)
	file := access.JobWorkflow{Ref: "shop/ci/.github/workflows/deploy.yml@refs/tags/v3"}
	release := []string{".github/workflows/release.yml"}
	for name, c := range map[string]struct {
		rule func(*access.Job)
		job  func(*gitops.Job)
		why  string // "" when it may
	}{
		"as it is":           {nil, nil, ""},
		"another branch":     {nil, func(j *gitops.Job) { j.Ref = "refs/heads/v1" }, `ref "refs/heads/v1" is not among refs/tags/v*`},
		"no ref":             {nil, func(j *gitops.Job) { j.Ref = "" }, `ref "" is not among`},
		"a pattern, a slash": {nil, func(j *gitops.Job) { j.Ref = "refs/tags/v1/x" }, "is not among"},
		"one of two refs":    {func(r *access.Job) { r.Refs = []string{"refs/heads/main", "refs/tags/v1.4.2"} }, nil, ""},
		"unprotected":        {nil, func(j *gitops.Job) { j.RefProtected = false }, `ref "refs/tags/v1.4.2" is not protected`},
		"no gate":            {nil, func(j *gitops.Job) { j.Environment = "" }, `must run in the GitHub environment "prod", not in ""`},
		"another gate":       {nil, func(j *gitops.Job) { j.Environment = "Prod" }, `not in "Prod"`},
		"another event":      {nil, func(j *gitops.Job) { j.Event = "schedule" }, `event "schedule" is not among push`},
		"a pull request":     {nil, func(j *gitops.Job) { j.Event = "pull_request" }, `event "pull_request" is not among push`},
		"the runner":         {func(r *access.Job) { r.RunnerEnvironment = "github-hosted" }, nil, ""},
		"another runner":     {func(r *access.Job) { r.RunnerEnvironment = "self-hosted" }, nil, `runner environment "github-hosted" is not among self-hosted`},
		"the actor":          {func(r *access.Job) { r.ActorIDs = []string{"2", "3"} }, nil, ""},
		"another actor":      {func(r *access.Job) { r.ActorIDs = []string{"2"} }, nil, `actor id "3" is not among 2`},
		"the workflow":       {func(r *access.Job) { r.Workflows = release }, nil, ""},
		"another workflow":   {func(r *access.Job) { r.Workflows = []string{".github/workflows/build.yml"} }, nil, "is not among .github/workflows/build.yml"},
		"a file like it": {func(r *access.Job) { r.Workflows = release },
			func(j *gitops.Job) {
				j.Workflow = "shop/api/.github/workflows/release.yml@refs/heads/x.yml@refs/tags/v1.4.2"
			}, "is not among"},
		"a branch like a ref": {func(r *access.Job) { r.Workflows, r.Refs = release, []string{"refs/heads/*"} },
			func(j *gitops.Job) {
				j.Ref, j.Workflow = "refs/heads/a@b", "shop/api/.github/workflows/release.yml@refs/heads/a@b"
			}, ""},
		"a workflow of another ref": {func(r *access.Job) { r.Workflows = release },
			func(j *gitops.Job) { j.Workflow = "shop/api/.github/workflows/release.yml@refs/heads/evil" }, "is not among"},
		"a workflow of another repository": {func(r *access.Job) { r.Workflows = release },
			func(j *gitops.Job) { j.Workflow = "shop/ci/.github/workflows/release.yml@refs/tags/v1.4.2" }, "is not among"},
		"a workflow without a path": {func(r *access.Job) { r.Workflows = release }, func(j *gitops.Job) { j.Workflow = "" }, "is not among"},
		"the file":                  {func(r *access.Job) { r.JobWorkflows = []access.JobWorkflow{file} }, nil, ""},
		"the file's branch": {func(r *access.Job) { r.JobWorkflows = []access.JobWorkflow{file} },
			func(j *gitops.Job) { j.JobWorkflow = "shop/ci/.github/workflows/deploy.yml@refs/heads/evil" }, "the job's file"},
		"the file's commit": {func(r *access.Job) { r.JobWorkflows = []access.JobWorkflow{{Ref: file.Ref, SHA: sha}} }, nil, ""},
		"another commit": {func(r *access.Job) {
			r.JobWorkflows = []access.JobWorkflow{{Ref: file.Ref, SHA: strings.Repeat("b", 40)}}
		}, nil, "is not among " + file.Ref + " at bbbb"},
		"no commit": {func(r *access.Job) { r.JobWorkflows = []access.JobWorkflow{{Ref: file.Ref, SHA: sha}} },
			func(j *gitops.Job) { j.JobWorkflowSHA = "" }, "the job's file"},
	} {
		t.Run(name, func(t *testing.T) {
			config := shop()
			if c.rule != nil {
				c.rule(config.Rules[2].Who.Job)
			}
			p := job()
			if c.job != nil {
				c.job(p.Job)
			}
			refusedBecause(t, newList(t, config), p, c.why)
		})
	}
}

func TestConditionsOnADispatch(t *testing.T) {
	for name, c := range map[string]struct {
		rule   func(*access.Dispatch)
		sender func(*gitops.DispatchSender)
		why    string
	}{
		"as it is":             {nil, nil, ""},
		"its installation":     {func(r *access.Dispatch) { r.InstallationID = 5 }, nil, ""},
		"another installation": {func(r *access.Dispatch) { r.InstallationID = 6 }, nil, "installation 5 is not 6"},
		"its sender":           {func(r *access.Dispatch) { r.Senders = []string{"bob", "Ann"} }, nil, ""},
		"another sender":       {func(r *access.Dispatch) { r.Senders = []string{"bob"} }, nil, `sender "ann" is not among bob`},
		"no sender":            {func(r *access.Dispatch) { r.Senders = []string{"bob"} }, func(s *gitops.DispatchSender) { s.Sender = "" }, `sender "" is not among`},
		"its sender's number":  {func(r *access.Dispatch) { r.SenderIDs = []int64{2, 3} }, nil, ""},
		"the name, reused":     {func(r *access.Dispatch) { r.Senders, r.SenderIDs = []string{"ann"}, []int64{2} }, nil, `sender id "3" is not among 2`},
		"renamed":              {nil, func(s *gitops.DispatchSender) { s.Repository = "shop/renamed" }, ""},
		"the name of another":  {nil, func(s *gitops.DispatchSender) { s.RepositoryID = 99 }, "no rule of access is for dispatches of the repository shop/api (id 99) (access[1] is for a repository of that name with another id): add one"},
		"of none":              {nil, func(s *gitops.DispatchSender) { *s = gitops.DispatchSender{} }, "(id 0)"},
	} {
		t.Run(name, func(t *testing.T) {
			config := shop()
			config.Rules[1].Environments = []string{"prod"}
			if c.rule != nil {
				c.rule(config.Rules[1].Who.Dispatch)
			}
			p := dispatch()
			if c.sender != nil {
				c.sender(p.Dispatch)
			}
			refusedBecause(t, newList(t, config), p, c.why)
		})
	}
}

func TestConditionsOnAPush(t *testing.T) {
	for name, c := range map[string]struct {
		rule func(*access.Push)
		by   func(*gitops.PushSource)
		why  string
	}{
		"as it is":        {nil, nil, ""},
		"another account": {nil, func(by *gitops.PushSource) { by.Account = "000000000001" }, `account "000000000001" is not among 123456789012`},
		"any account":     {func(r *access.Push) { r.Accounts = nil }, func(by *gitops.PushSource) { by.Account = "000000000001" }, ""},
		"its region":      {func(r *access.Push) { r.Regions = []string{"eu-west-1"} }, nil, ""},
		"another region":  {func(r *access.Push) { r.Regions = []string{"us-east-1"} }, nil, `region "eu-west-1" is not among us-east-1`},
		"its topic":       {func(r *access.Push) { r.Topics = []string{shopTalk} }, nil, ""},
		"another topic":   {func(r *access.Push) { r.Topics = []string{shopTalk} }, func(by *gitops.PushSource) { by.Topic = "x" }, `topic "x" is not among`},
		"another source":  {nil, func(by *gitops.PushSource) { by.Source = "eventbridge" }, "no rule of access is for pushes from eventbridge"},
	} {
		t.Run(name, func(t *testing.T) {
			rule := &access.Push{Source: "sns", Accounts: []string{"123456789012"}}
			if c.rule != nil {
				c.rule(rule)
			}
			by := push().Push
			by.Source, by.Topic = "sns", shopTalk
			if c.by != nil {
				c.by(by)
			}
			l := newList(t, access.Config{
				Environments: []string{"prod"}, Apps: map[string][]string{"api": nil}, Sources: []string{"sns"}, Topics: []string{shopTalk},
				Rules: []access.Rule{{Who: access.Who{Push: rule}, May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"prod"}}},
			})
			refusedBecause(t, l, gitops.Principal{Push: by}, c.why)
		})
	}
}
