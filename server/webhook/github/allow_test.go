package github_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
)

func allowing(t *testing.T, rules ...github.Rule) *github.Receiver {
	t.Helper()
	r, err := github.New(func() [][]byte { return [][]byte{[]byte("s")} }, []string{"update-image"}, rules)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// from is a dispatch of api in dev, and where it comes from, as JSON.
func from(repository, installation, sender string) []byte {
	return fmt.Appendf(nil, `{"action": "update-image", "repository": %s, "installation": %s, "sender": %s,
		"client_payload": {"app": "api", "env": "dev", "tag": "main-1a2b3c4"}}`, repository, installation, sender)
}

const (
	ourRepository   = `{"id": 17273051, "full_name": "octo-org/octo-repo", "owner": {"id": 1}}`
	ourInstallation = `{"id": 375706}`
	ann             = `{"login": "Ann", "id": 1}`
)

func TestRules(t *testing.T) {
	rule := github.Rule{Repository: "octo-org/octo-repo", RepositoryID: 17273051, Apps: []string{"api"}, Environments: []string{"dev"}}
	with := func(edit func(*github.Rule)) github.Rule {
		r := rule
		edit(&r)
		return r
	}
	ours := from(ourRepository, ourInstallation, ann)
	for name, c := range map[string]struct {
		rules []github.Rule
		body  []byte
		why   string // "" when it may order
	}{
		"no rules":               {nil, from("null", "null", "null"), ""},
		"its repository":         {[]github.Rule{rule}, ours, ""},
		"any app":                {[]github.Rule{with(func(r *github.Rule) { r.Apps = []string{"*"} })}, ours, ""},
		"its installation":       {[]github.Rule{with(func(r *github.Rule) { r.InstallationID = 375706 })}, ours, ""},
		"its sender":             {[]github.Rule{with(func(r *github.Rule) { r.Senders = []string{"bob", "ann"} })}, ours, ""},
		"the second rule":        {[]github.Rule{with(func(r *github.Rule) { r.Apps = []string{"web"} }), rule}, ours, ""},
		"another app":            {[]github.Rule{with(func(r *github.Rule) { r.Apps = []string{"web"} })}, ours, `sources.github.allow[0]: app "api" is not among web`},
		"another environment":    {[]github.Rule{with(func(r *github.Rule) { r.Environments = []string{"prod"} })}, ours, `environment "dev" is not among prod`},
		"another installation":   {[]github.Rule{with(func(r *github.Rule) { r.InstallationID = 1 })}, ours, "installation 375706 is not 1"},
		"another sender":         {[]github.Rule{with(func(r *github.Rule) { r.Senders = []string{"bob"} })}, ours, `sender "Ann" is not among bob`},
		"a sender without name":  {[]github.Rule{with(func(r *github.Rule) { r.Senders = []string{"bob"} })}, from(ourRepository, ourInstallation, `{}`), `sender "" is not among`},
		"the same name, new id":  {[]github.Rule{rule}, from(`{"id": 99, "full_name": "octo-org/octo-repo"}`, ourInstallation, ann), `no rule of sources.github.allow is for the repository "octo-org/octo-repo" (id 99)`},
		"another name, same id":  {[]github.Rule{rule}, from(`{"id": 17273051, "full_name": "octo-org/renamed"}`, ourInstallation, ann), ""},
		"no repository":          {[]github.Rule{rule}, from("null", ourInstallation, ann), `for the repository "" (id 0)`},
		"a repository in a list": {[]github.Rule{rule}, from("["+ourRepository+"]", ourInstallation, ann), "(id 0)"},
		"an id as text":          {[]github.Rule{rule}, from(`{"id": "17273051"}`, ourInstallation, ann), "(id 0)"},
		"an id as a fraction":    {[]github.Rule{rule}, from(`{"id": 17273051.0}`, ourInstallation, ann), "(id 0)"},
		"an id below":            {[]github.Rule{rule}, from(`{"owner": {"id": 17273051}}`, ourInstallation, ann), "(id 0)"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := allowing(t, c.rules...).Decode(headers(), c.body)
			if err != nil {
				t.Fatal(err)
			}
			if c.why == "" {
				if e.Order == nil || e.Violation != nil {
					t.Errorf("refused: %+v", e)
				}
				return
			}
			// It is kept as rejected, and says which rule.
			if e.Order != nil || e.Violation == nil || e.Violation.Code != gitops.Rejected || e.Violation.Field != "repository" || !strings.Contains(e.Violation.Message, c.why) {
				t.Errorf("order %+v, fault %v; want %q", e.Order, e.Violation, c.why)
			}
		})
	}
}

// What is wrong with an order is told before who may order.
func TestRulesAfterTheForm(t *testing.T) {
	r := allowing(t, github.Rule{Repository: "o/r", RepositoryID: 1, Apps: []string{"*"}, Environments: []string{"dev"}})
	e, err := r.Decode(headers(), []byte(`{"action": "update-image", "client_payload": {"app": 7}}`))
	if err != nil || e.Violation == nil || e.Violation.Field != "client_payload.app" {
		t.Errorf("%+v, %v", e, err)
	}
	// And nobody is refused who orders nothing.
	e, err = r.Decode(headers("X-GitHub-Event", "ping"), []byte(`{}`))
	if err != nil || e.IgnoreReason == "" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestNewRefusesRules(t *testing.T) {
	good := github.Rule{Repository: "o/r", RepositoryID: 1, Apps: []string{"*"}, Environments: []string{"dev"}}
	for field, edit := range map[string]func(*github.Rule){
		"repository":     func(r *github.Rule) { r.Repository = "r" },
		"repositoryID":   func(r *github.Rule) { r.RepositoryID = 0 },
		"installationID": func(r *github.Rule) { r.InstallationID = -1 },
		"senders":        func(r *github.Rule) { r.Senders = []string{"ann", ""} },
		"apps":           func(r *github.Rule) { r.Apps = nil },
		"environments":   func(r *github.Rule) { r.Environments = nil },
	} {
		rule := good
		edit(&rule)
		_, err := github.New(func() [][]byte { return [][]byte{[]byte("s")} }, []string{"x"}, []github.Rule{good, rule})
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != "sources.github.allow[1]."+field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
