package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Pull requests need an App to open them as, in every manifest repository that has files of
// the environment or may come to have some, and names that branches can have.
func TestPullRequestsThatCannotBe(t *testing.T) {
	const (
		proposes  = `{semver: ">=1.0.0"}, write: pull-request}`
		bare      = "  worker: {environments: [dev]}\n"
		elsewhere = "repositories:\n  own: {url: 'https://git.example/own.git', credentials: {tokenFile: DIR/token}}\n"
		needsApp  = "environments.prod.write: pull-request needs %s.credentials.githubApp, for files of prod are there and pull requests are opened as a GitHub App: set it, or write: push"
	)
	for name, c := range map[string]struct {
		app  bool // manifests are written as a GitHub App
		edit []string
		want []string
	}{
		"no App":                     {want: []string{fmt.Sprintf(needsApp, "manifests")}},
		"an App":                     {app: true},
		"another repository":         {app: true, edit: []string{bare, bare + "  web: {manifests: own}\n" + elsewhere}, want: []string{fmt.Sprintf(needsApp, "repositories.own")}},
		"one of another environment": {app: true, edit: []string{bare, bare + "  web: {manifests: own, environments: [dev]}\n" + elsewhere}},
		"a branch that names apps":   {app: true, edit: []string{bare, bare + elsewhere + "discover: [{file: 'apps/{app}/{env}.yaml', manifests: own}]\n"}, want: []string{fmt.Sprintf(needsApp, "repositories.own")}},
		"one of dev's":               {app: true, edit: []string{bare, bare + elsewhere + "discover: [{file: 'apps/{app}/{env}.yaml', manifests: own, environments: [dev]}]\n"}},
		"the base is a topic":        {app: true, edit: []string{"manifests:\n", "manifests:\n  branch: tallyman/prod/main\n"}, want: []string{"manifests.branch: tallyman/prod/main cannot be the base of pull requests"}},
		"an app that is a lock":      {app: true, edit: []string{bare, bare + "  web.lock: {}\n"}, want: []string{`environments.prod.write: web.lock cannot be in the name of a branch`}},
		"a lock that is pushed":      {app: true, edit: []string{bare, bare + "  web.lock: {environments: [dev]}\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if c.app {
				s, _ = newAppSite(t)
			}
			s.edit(`{semver: ">=1.0.0"}}`, proposes)
			if c.edit != nil {
				s.edit(c.edit[0], strings.ReplaceAll(c.edit[1], "DIR", s.dir))
			}
			_, err := build(s.config(), s.logger())
			got := sentences(err)
			for i := range min(len(got), len(c.want)) {
				if strings.HasPrefix(got[i], c.want[i]) {
					got[i] = c.want[i]
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A repository that is to be told of updates is told as an App.
func TestSourcesNeedAnApp(t *testing.T) {
	const of = "  worker: {environments: [dev]}\n"
	for _, app := range []bool{false, true} {
		s := newSite(t)
		if app {
			s, _ = newAppSite(t)
		}
		s.edit(of, "  worker: {environments: [dev], source: shop/worker}\ndiscover: [{file: 'apps/{app}/{env}.yaml', source: 'shop/{app}'}]\n")
		_, err := build(s.config(), s.logger())
		var want []string
		if !app {
			for _, field := range []string{"apps.worker", "discover[0]"} {
				want = append(want, field+".source: needs a GitHub App, which tells the repository of updates: set manifests.credentials.githubApp, or remove the field")
			}
		}
		if diff := cmp.Diff(want, sentences(err)); diff != "" {
			t.Errorf("with an App: %t\n%s", app, diff)
		}
	}
}
