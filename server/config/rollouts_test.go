package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/server/config"
)

const instance = "argocd: [{url: 'https://argocd.example/', tokenFile: /t, projects: [myshop, team-a]}]\n"

// followed is minimal with an Argo CD, and with a rollout and an app of these fields.
func followed(rollout, app string) string {
	text := inDev("rollout: " + rollout)
	if app != "" {
		text += "  odd: " + app + "\n"
	}
	return text + instance
}

// Who says whether an update runs follows from whether an Argo CD is configured.
func TestRolloutDefaults(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want config.Rollout
	}{
		"nothing":            {minimal, config.Rollout{By: "none"}},
		"argocd":             {minimal + instance, config.Rollout{By: "argocd", Timeout: 15 * time.Minute}},
		"argocd, and a word": {followed("{timeout: 30m, revert: true}", ""), config.Rollout{By: "argocd", Timeout: 30 * time.Minute, Revert: true}},
		"not here":           {followed("{by: none}", ""), config.Rollout{By: "none"}},
		"reports":            {inDev("rollout: {by: reports}"), config.Rollout{By: "reports", Timeout: 15 * time.Minute}},
		"reports beside it":  {followed("{by: reports, timeout: 24h}", ""), config.Rollout{By: "reports", Timeout: 24 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, c.text).Environments["dev"].Rollout
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if got.Followed() != (c.want.By != "none") {
				t.Errorf("%+v is followed: %t", got, got.Followed())
			}
		})
	}
	if url := parse(t, minimal+instance).ArgoCD[0].URL; url != "https://argocd.example" {
		t.Errorf("the address is %q", url)
	}
}

// An app may name what deploys it, as Argo CD's RBAC does.
func TestApplicationsAreNamed(t *testing.T) {
	for text, want := range map[string]config.Application{
		"team-a/odd-dev":        {Project: "team-a", Name: "odd-dev"},
		"team-a/apps/odd.v2":    {Project: "team-a", Namespace: "apps", Name: "odd.v2"},
		"myshop/myshop/odd-dev": {Project: "myshop", Namespace: "myshop", Name: "odd-dev"},
	} {
		c := parse(t, followed("{}", "{argocd: {dev: "+text+"}}"))
		if got := c.ApplicationOf("dev", "odd"); got != want || got.String() != text {
			t.Errorf("%s is %+v, %s", text, got, got)
		}
		if got := c.ApplicationOf("dev", "myshop-api"); got != (config.Application{}) || got.String() != "" {
			t.Errorf("an app that names none has %+v", got)
		}
	}
}

// What cannot be is refused, and the error names the way out.
func TestRolloutsThatAreRefused(t *testing.T) {
	argocd := func(list string) string { return minimal + "argocd: " + list + "\n" }
	one := func(url string) string {
		return argocd("[{url: '" + url + "', tokenFile: /t, projects: [myshop]}]")
	}
	for name, c := range map[string]struct{ text, want string }{
		"no address":           {argocd("[{tokenFile: /t, projects: [a]}]"), "argocd[0].url: is missing: the address of Argo CD's API server, such as https://argocd.example.com"},
		"a host":               {one("argocd.example"), "argocd[0].url: must be an address such as https://argocd.example.com"},
		"another scheme":       {one("grpc://argocd.example"), "argocd[0].url: must be an address such as https://argocd.example.com"},
		"no host":              {one("https:///api"), "argocd[0].url: must be an address such as"},
		"a port alone":         {one("https://:443"), "argocd[0].url: must be an address such as"},
		"unencrypted":          {one("http://argocd.example"), `argocd[0].url: must be https, not "http://argocd.example": the token would pass the network unencrypted; http is for this machine alone`},
		"a password":           {one("https://ann:s3cret@argocd.example"), "argocd[0].url: must not hold a user or a password: the token is in tokenFile"},
		"a query":              {one("https://argocd.example?x=1"), `argocd[0].url: must end before ? and #, not "https://argocd.example?x=1"`},
		"an empty query":       {one("https://argocd.example?"), "argocd[0].url: must end before ? and #"},
		"a fragment":           {one("https://argocd.example#x"), "argocd[0].url: must end before ? and #"},
		"a token":              {argocd("[{url: 'https://argocd.example', tokenFile: eyJs3cret.e30.x, projects: [a]}]"), "argocd[0].tokenFile: must be the path of a file that holds the token, and not the token itself"},
		"no token":             {argocd("[{url: 'https://argocd.example', projects: [a]}]"), "argocd[0].tokenFile: is missing: a file with the token of an account or a project role that may get applications"},
		"no project":           {argocd("[{url: 'https://argocd.example', tokenFile: /t}]"), "argocd[0].projects: is missing: name the AppProjects whose Applications deploy what is written, such as [myshop]"},
		"an empty list":        {argocd("[{url: 'https://argocd.example', tokenFile: /t, projects: []}]"), "argocd[0].projects: is missing"},
		"every project":        {argocd("[{url: 'https://argocd.example', tokenFile: /t, projects: ['*']}]"), `argocd[0].projects[0]: must be the name of an AppProject, of a-z 0-9 . and -, not "*": each is named, and there are no patterns`},
		"a project twice":      {argocd("[{url: 'https://argocd.example', tokenFile: /t, projects: [a, b, a]}]"), "argocd[0].projects[2]: a is there already, as argocd[0].projects[0]: remove one of them"},
		"a project of another": {argocd("[{url: 'https://argocd.example', tokenFile: /t, projects: [a]}, {url: 'https://argocd.example/', tokenFile: /u, projects: [b, a]}]"), "argocd[1].projects: a of https://argocd.example is in argocd[0], too: remove it from one of them"},
		"another field":        {argocd("[{url: 'https://argocd.example', token: x}]"), "argocd[0].token: is not a field; there are url, tokenFile, caFile, projects (line 12)"},

		"another way":          {inDev("rollout: {by: flux}"), `environments.dev.rollout.by: must be one of argocd, reports, none, not "flux"`},
		"no one to ask":        {inDev("rollout: {by: argocd}"), "environments.dev.rollout.by: is argocd, and no Argo CD is configured: name it in argocd, at the top level, or set by: reports or by: none"},
		"a timeout of nothing": {inDev("rollout: {timeout: 5m}"), "environments.dev.rollout.timeout: is for rollouts that are followed, and by is none: configure argocd at the top level, set by: reports, or remove the field"},
		"a revert of nothing":  {inDev("rollout: {revert: true}"), "environments.dev.rollout.revert: is for rollouts that are followed, and by is none: configure argocd at the top level, set by: reports, or remove the field"},
		"too short":            {followed("{timeout: 59s}", ""), "environments.dev.rollout.timeout: must be 1m to 24h, not 59s: it is how long an update has to run after it was written"},
		"too long":             {followed("{timeout: 24h1s}", ""), "environments.dev.rollout.timeout: must be 1m to 24h, not 24h0m1s"},
		"no time":              {followed("{timeout: 0s}", ""), "environments.dev.rollout.timeout: is 0: give a value, or leave the field out for its default"},
		"a word for revert":    {followed("{revert: always}", ""), "environments.dev.rollout.revert: must be true or false"},

		"an environment that is none": {followed("{}", "{argocd: {qa: team-a/odd}}"), `apps.odd.argocd.qa: no environment "qa" is configured; there are dev`},
		"no environment":              {followed("{}", "{argocd: {}}"), "apps.odd.argocd: must name an Application for at least one environment; without the field they are found by the app's files"},
		"no name":                     {followed("{}", "{argocd: {dev: }}"), `apps.odd.argocd.dev: must be PROJECT/APPLICATION, or PROJECT/NAMESPACE/APPLICATION for one that is not in Argo CD's own namespace, not ""`},
		"a name alone":                {followed("{}", "{argocd: {dev: odd-dev}}"), `apps.odd.argocd.dev: must be PROJECT/APPLICATION, or PROJECT/NAMESPACE/APPLICATION for one that is not in Argo CD's own namespace, not "odd-dev"`},
		"four names":                  {followed("{}", "{argocd: {dev: a/b/c/d}}"), "apps.odd.argocd.dev: must be PROJECT/APPLICATION"},
		"an empty name":               {followed("{}", "{argocd: {dev: team-a//odd}}"), "apps.odd.argocd.dev: must be PROJECT/APPLICATION"},
		"capitals":                    {followed("{}", "{argocd: {dev: team-a/Odd}}"), "apps.odd.argocd.dev: must be PROJECT/APPLICATION"},
		"a project that is not asked": {followed("{}", "{argocd: {dev: other/odd}}"), "apps.odd.argocd.dev: is in the project other, which no entry of argocd names: add it to projects of the instance that has it"},
		"where reports say it":        {followed("{by: reports}", "{argocd: {dev: team-a/odd}}"), "apps.odd.argocd.dev: names an Application, and Argo CD is not asked in dev: set environments.dev.rollout.by: argocd, or remove this"},
		"where the app is not":        {strings.Replace(followed("{}", "{environments: [qa], argocd: {dev: team-a/odd}}"), "  dev:\n", "  qa: {tags: {match: x}}\n  dev:\n", 1), "apps.odd.argocd.dev: the app is not in dev: add it to environments of the app, or remove this"},
	} {
		t.Run(name, func(t *testing.T) { wantOneProblem(t, c.text, c.want) })
	}
	parse(t, one("http://127.0.0.1:8080/argo"))
}
