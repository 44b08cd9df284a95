package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/server/config"
)

// repositories is a configuration with more manifest repositories.
func repositories(text string) string {
	return strings.Replace(minimal, "sources:\n", "  credentials: {tokenFile: /run/token}\n  caFile: /run/ca\n  author: {name: A Bot}\n  signing: {sshKeyFile: /run/sign}\n  subject: \"{app}\"\nrepositories:\n"+text+"sources:\n", 1)
}

// What a repository leaves out is as in manifests.
func TestRepositoriesInherit(t *testing.T) {
	inherited := config.Manifests{
		URL: "https://git.example/myshop/manifests.git", Branch: "main", CAFile: "/run/ca", Author: config.Author{Name: "A Bot", Email: "tallyman[bot]@users.noreply.github.com"},
		Credentials: config.Credentials{TokenFile: "/run/token", Username: "x-access-token"}, Signing: config.Signing{SSHKeyFile: "/run/sign"},
		Subject: "{app}", BatchSubject: "chore: {count} updates ({env})",
	}
	with := func(change func(m *config.Manifests)) config.Manifests {
		m := inherited
		change(&m)
		return m
	}
	for text, want := range map[string]config.Manifests{
		"{branch: release}":                        with(func(m *config.Manifests) { m.Branch = "release" }),
		"{url: HTTPS://GIT.example:443/other/pay}": with(func(m *config.Manifests) { m.URL = "HTTPS://GIT.example:443/other/pay" }),
		"{url: https://pay.example/m, credentials: {tokenFile: /run/pay}}": with(func(m *config.Manifests) {
			m.URL, m.Credentials.TokenFile = "https://pay.example/m", "/run/pay"
		}),
		"{url: https://pay.example/m, credentials: {}, signing: {}}": with(func(m *config.Manifests) {
			m.URL, m.Credentials.TokenFile, m.Signing = "https://pay.example/m", "", config.Signing{}
		}),
		"{branch: b, caFile: c, author: {name: N, email: e}, subject: s, batchSubject: t}": with(func(m *config.Manifests) {
			m.Branch, m.CAFile, m.Author, m.Subject, m.BatchSubject = "b", "c", config.Author{Name: "N", Email: "e"}, "s", "t"
		}),
	} {
		c := parse(t, repositories("  pay: "+text+"\n"))
		if diff := cmp.Diff(map[string]config.Manifests{"default": inherited, "pay": want}, c.ManifestRepositories()); diff != "" {
			t.Errorf("%s: -want +got\n%s", text, diff)
		}
		if diff := cmp.Diff([]string{"default", "pay"}, c.ManifestRepositoryNames()); diff != "" {
			t.Error(diff)
		}
	}
}

// A repository of the same server has the App of manifests. An installation is one owner's,
// and the App's bot is the author only where the App is.
func TestRepositoriesInheritTheApp(t *testing.T) {
	c := parse(t, strings.Replace(minimal, "sources:\n", `  credentials: {githubApp: {appID: 1, installationID: 2, privateKeyFile: k}}
repositories:
  pay: {url: https://git.example/MyShop/pay}
  other: {url: https://git.example/other/pay}
  bare: {url: https://git.example/myshop/bare, credentials: {tokenFile: t}}
sources:
`, 1))
	all := c.ManifestRepositories()
	for name, installation := range map[string]int64{"default": 2, "pay": 2, "other": 0} {
		if app := all[name].Credentials.GitHubApp; app == nil || app.AppID != 1 || app.InstallationID != installation {
			t.Errorf("%s has the App %+v", name, app)
		}
		if author := all[name].Author; author != (config.Author{}) {
			t.Errorf("%s has the author %+v", name, author)
		}
	}
	if bare := all["bare"]; bare.Credentials.GitHubApp != nil || bare.Author.Name != "tallyman[bot]" {
		t.Errorf("bare is %+v", bare)
	}
}

func TestWrongRepositories(t *testing.T) {
	for _, c := range []struct {
		repositories string
		want         []string
	}{
		{"{default: {branch: b}}", []string{"repositories.default: is the name of the repository that manifests describes: take another name, or say it in manifests"}},
		{"{pay: {branch: b}, Pay: {branch: c}}", []string{"repositories.pay: differs from repositories.Pay in capitals alone: rename one of them"}},
		{"{-pay: {branch: b}}", []string{"repositories.-pay: must be 1 to 100 of"}},
		{"{pay: {url: https://pay.example/m}}", []string{"repositories.pay.credentials: is missing: those of manifests are for https://git.example and are not sent to https://pay.example. Give this repository its own, or {} to use none"}},
		{"{pay: {url: http://git.example/m}}", []string{"repositories.pay.credentials: is missing: those of manifests are for https://git.example and are not sent to http://git.example."}},
		{"{pay: {url: https://git.example:8443/m}}", []string{"repositories.pay.credentials: is missing: those of manifests are for https://git.example and are not sent to https://git.example:8443."}},
		{"{pay: {url: git@git.example:myshop/pay}}", []string{"repositories.pay.credentials: is missing"}},
		{"{pay: }", []string{"repositories.pay: is branch main of git.example/myshop/manifests, as is manifests: use one name for it, or write another branch"}},
		{"{pay: {url: https://Git.example:443/MyShop/manifests/}}", []string{"repositories.pay: is branch main of git.example/myshop/manifests, as is manifests"}},
		{"{pay: {url: git@git.example:myshop/manifests.git, credentials: {}}}", []string{"repositories.pay: is branch main of git.example/myshop/manifests, as is manifests"}},
		{"{pay: {url: 'ssh://git@git.example:2222/myshop/manifests', credentials: {}}}", []string{"repositories.pay: is branch main of git.example/myshop/manifests, as is manifests"}},
		{"{pay: {url: 'http://git.example:8080/myshop/manifests', credentials: {}}}", []string{"repositories.pay: is branch main of git.example/myshop/manifests, as is manifests"}},
		{"{pay: {url: 'https://git.example./myshop//x/../manifests.git//', credentials: {}}}", []string{"repositories.pay: is branch main of git.example/myshop/manifests, as is manifests"}},
		{"{pay: {url: 'https://git.example/myshop/%6danifests'}}", []string{"repositories.pay: is branch main of git.example/myshop/manifests, as is manifests"}},
		{"{a: {url: 'https://github.com/o/r', credentials: {}}, b: {url: 'ssh://git@ssh.github.com:443/o/r', credentials: {}}}", []string{"repositories.b: is branch main of github.com/o/r, as is repositories.a"}},
		{"{a: {url: 'https://git.example:8443/o/r', credentials: {}}, b: {url: 'https://git.example:9443/o/r', credentials: {}}}", nil}, // two servers
		{"{a: {branch: b}, b: {branch: b}}", []string{"repositories.b: is branch b of git.example/myshop/manifests, as is repositories.a"}},
		{"{pay: {url: ftp://git.example/m, credentials: {}}}", []string{"repositories.pay.url: must be an https:// or ssh:// address"}},
		{"{pay: {url: 'https://bot:s3cret@git.example/m'}}", []string{"repositories.pay.url: must not hold credentials: use repositories.pay.credentials"}},
		{"{pay: {branch: b, credentials: {tokenFile: x, githubApp: {appID: 1, privateKeyFile: y}}}}", []string{"repositories.pay.credentials: has both a githubApp and a tokenFile"}},
		{"{pay: {branch: b, subject: \"a\\nb\"}}", []string{"repositories.pay.subject: must be one line"}},
		{"{pay: {branch: b, batchSubject: \"a\\nb\"}}", []string{"repositories.pay.batchSubject: must be one line"}},
	} {
		text := strings.Replace(minimal, "sources:\n", "  credentials: {tokenFile: /run/token}\nrepositories: "+c.repositories+"\nsources:\n", 1)
		_, err := config.Parse([]byte(text))
		got := found(err)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q", c.repositories, got, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: %q, want %q", c.repositories, got[i], want)
			}
		}
	}
	// What is inherited is reported where it stands.
	_, err := config.Parse([]byte(strings.Replace(minimal, "  url: https://git.example/myshop/manifests.git\n", "  subject: \"a\\nb\"\nrepositories: {pay: {branch: b}}\n", 1)))
	if diff := cmp.Diff([]string{"manifests.url: is missing", "manifests.subject: must be one line"}, found(err)); diff != "" {
		t.Error(diff)
	}
}

// An app's files are in its own repository, else in the environment's, else in default.
func TestManifestsOf(t *testing.T) {
	text := strings.NewReplacer("sources:\n", "repositories: {pay: {branch: pay}, release: {branch: release}}\nsources:\n",
		"  dev:\n", "  prod: {tags: {semver: '>=1.0.0'}, manifests: release}\n  dev:\n",
		"myshop-api: {}", "myshop-api: {}\n  wallet: {manifests: pay}\n  web: {manifests: default}").Replace(minimal)
	c := parse(t, text)
	for target, want := range map[[2]string]string{
		{"dev", "myshop-api"}: "default", {"prod", "myshop-api"}: "release",
		{"dev", "wallet"}: "pay", {"prod", "wallet"}: "pay", {"prod", "web"}: "default",
	} {
		if got := c.ManifestsOf(target[0], target[1]); got != want {
			t.Errorf("%s in %s is in %s, want %s", target[1], target[0], got, want)
		}
	}
	_, err := config.Parse([]byte(strings.NewReplacer("manifests: release", "manifests: releases", "manifests: pay", "manifests: Pay").Replace(text)))
	if diff := cmp.Diff([]string{
		`environments.prod.manifests: "releases" is not in repositories; there are default, pay, release`,
		`apps.wallet.manifests: "Pay" is not in repositories; there are default, pay, release`,
	}, found(err)); diff != "" {
		t.Error(diff)
	}
}
