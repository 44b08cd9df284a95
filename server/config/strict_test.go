package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
)

// Each value that cannot be right is found, and its field named.
func TestWrongValues(t *testing.T) {
	for _, c := range []struct {
		old, now string // in minimal; an empty old appends
		want     string
	}{
		{"", "listen: '8080'", "listen: must be host:port, such as :8080"},
		{"", "listen: localhost", "listen: must be host:port"},
		{"", "listen: 'localhost:'", "listen: must be host:port"},
		{"", "listen: ':99999'", "listen: must be host:port"},
		{"", "listen: ':http'", "listen: must be host:port"},
		{"", "listen: ':+80'", "listen: must be host:port"},
		{"", "adminListen: '::1:9090'", "adminListen: must be host:port"},
		{"", "adminListen: ':8080'", "adminListen: must not be the same as listen"},
		{"", "probeListen: ':8080'", "probeListen: must not be the same as listen"},
		{"", "probeListen: '127.0.0.1:9090'", "probeListen: must not be the same as adminListen"},
		{"", "probeListen: localhost", "probeListen: must be host:port"},
		{"store: sqlite:///var/lib/tallyman/tallyman.db\n", "", "store: is missing: sqlite:// and the absolute path of a file, or postgres:// and a database"},
		{"sqlite:///var", "sqlite://var", "store: must be sqlite:// and the absolute path"},
		{"sqlite:///var", "/var", "store: must be sqlite:// and the absolute path of a file, or postgres:// and a database"},
		{"sqlite:///var/lib/tallyman/tallyman.db", "mysql://user:s3cret@db/x", "store: must be sqlite:// and the absolute path of a file, or postgres:// and a database"},
		{"store: ", "storePasswordFile: /etc/tallyman/password\nstore: ", "storePasswordFile: is for a store of PostgreSQL"},
		{"", "log: {level: trace}", "log.level: must be one of debug, info, warn, error"},
		{"", "log: {level: INFO}", "log.level: must be one of"},
		{"", "log: {format: logfmt}", "log.format: must be one of json, text"},
		{"", "retention: {keep: 167h}", "retention.keep: must be at least 168h"},
		{"", "retention: {keep: 0}", "retention.keep: is 0: give a value, or leave the field out for its default (line"},
		{"", "lease: 0s", "lease: is 0: give a value"},
		{"", "shutdown: {deadline: 0s}", "shutdown.deadline: is 0"},
		{"", "backup: {directory: /backup, keep: 0}", "backup.keep: is 0"},
		{"", "limits: {refusedPerMinute: 0}", "limits.refusedPerMinute: is 0"},
		{"", "limits: {connections: 0}", "limits.connections: is 0"},
		{"", "limits: {memory: 0MiB}", "limits.memory: is 0"},
		{"", "backup: {every: 12h}", "backup.directory: is missing: without it no backup is made"},
		{"", "backup: {keep: 14}", "backup.directory: is missing"},
		{"", "lease: 2999ms", "lease: must be 3s to 10m"},
		{"", "lease: 11m", "lease: must be 3s to 10m"},
		{"", "backup: {directory: backups}", "backup.directory: must be an absolute path"},
		{"", "backup: {directory: /backup, every: 59s}", "backup.every: must be at least 1m"},
		{"", "backup: {directory: /backup, keep: -1}", "backup.keep: must be 1 to 1000"},
		{"", "limits: {refusedPerMinute: -1}", "limits.refusedPerMinute: must be 1 to 1000000"},
		{"", "limits: {memory: 400}", "limits.memory: must be a number of bytes with its unit, such as 400MiB"},
		{"", "limits: {memory: [400MiB]}", "limits.memory: must be a number of bytes with its unit"},
		{"", "shutdown: {deadline: 999ms}", "shutdown.deadline: must be at least 1s"},
		{"", "shutdown: {deadline: -25s}", "shutdown.deadline: must be at least 1s"},
		{"  url: https://git.example/myshop/manifests.git", "  branch: main", "manifests.url: is missing"},
		{"https://git.example", "git.example:", "manifests.url: must be an https:// or ssh:// address, or one like git@host:path"},
		{"https://git.example", "ftp://git.example", "manifests.url: must be an https:// or ssh:// address, or one like git@host:path"},
		{"https://git.example/", "https:///", "manifests.url: must be an https:// or ssh:// address, or one like git@host:path"},
		{"https://git.example", "https://bot:s3cret@git.example", "manifests.url: must not hold credentials"},
		{"manifests:\n", "manifests:\n  credentials: {tokenFile: x, githubApp: {appID: 1, privateKeyFile: y}}\n", "manifests.credentials: has both a githubApp and a tokenFile"},
		{"manifests:\n", "manifests:\n  subject: \"a\\nTallyman-Update: b\"\n", "manifests.subject: must be one line"},
		{"  github:\n    secretFiles: [/etc/tallyman/webhook-secret]\n", "  github:\n", "sources: must have github, eventbridge or sns"},
		{"sources:\n  github:\n    secretFiles: [/etc/tallyman/webhook-secret]\n", "", "sources: must have github, eventbridge or sns"},
		{"", "api: {tokens: [{file: x}]}", "api.tokens[0].name: is missing"},
		{"", "api: {tokens: [{name: ops, file: x}, {name: Ops, file: y}]}", "api.tokens[0].name: differs from that of token Ops only in case"},
		{"", "api: {tokens: [{name: A B, file: x}]}", "api.tokens[0].name: must be 1 to 100 of"},
		{"", "api: {tokens: [{name: a}]}", "api.tokens[0].file: is missing"},
		{"", "api: {tokens: [{name: a, file: x}, {name: a, file: x}]}", "api.tokens[1].file: is that of another token"},
		{"", "api: {tokens: [{name: a, file: x, expires: 'next year'}]}", "api.tokens[0].expires: must be a date such as 2027-01-31, or a time such as"},
		{"", "api: {tokens: [{name: a, file: x, expires: 2027-01-31}]}", `api.tokens[0].expires: must be text, and without quotes this is a date: write "2027-01-31" (line`},
		{"", "api: {tokens: [{name: a, file: x, expires: 2027-01-31T12:00:00Z}]}", `api.tokens[0].expires: must be text, and without quotes this is a date: write "2027-01-31T12:00:00Z" (line`},
		{"", "file: /charts/{app}.yaml", "file: must be a path from the repository's root"},
		{"", "file: ../{app}.yaml", "file: must be a path from the repository's root"},
		{"", "file: charts/../{app}.yaml", "file: must be a path from the repository's root"},
		{"", "file: ./charts/{app}.yaml", "file: must be a path from the repository's root"},
		{"", "file: charts/{app}/", "file: must be a path from the repository's root"},
		{"", "file: .", "file: must be a path from the repository's root"},
		{"", `file: charts\{app}.yaml`, "file: must be a path from the repository's root"},
		{"", "file: charts/{tag}.yaml", "file: knows only {app} and {env} in braces"},
		{"", "file: 'charts/{app.yaml'", "file: knows only {app} and {env} in braces"},
		{"", "file: .Git/{app}", "file: must not lie in .git"},
		{"", "file: modules/.git/config", "file: must not lie in .git"},
		{"", `file: "charts/\n.yaml"`, "file: must not have control characters"},
		{"", "also: [{file: a}, {file: ../b}]", "also[1].file: must be a path from the repository's root"},
		{"", "also: [{set: helm}]", "also[0].file: is missing"},
		{"", "also: [{file: 'x/{tag}'}]", "also[0].file: knows only {app} and {env} in braces"},
		{"", "also: [{file: x, set: Helm}]", "also[0].set: must be a list, or one of helm"},
		{"", "also: [{file: x, key: .a}]", "also[0].key: is not a field; there are file, set (line"},
		{"", "also: [" + strings.Repeat("{file: x}, ", 21) + "]", "also: has 21 files, and an update may edit 20 more than its first"},
		{"    tags:", "    also: [{file: /x}]\n    tags:", "environments.dev.also[0].file: must be a path from"},
		{"myshop-api: {}", "myshop-api: {also: [{file: /x}]}", "apps.myshop-api.also[0].file: must be a path from"},
		{"    tags:", "    file: /x\n    tags:", "environments.dev.file: must be a path from"},
		{"    tags:", "    coalesce: latest\n    tags:", "environments.dev.coalesce: must be one of none, newest"},
		{"    tags:", "    downgrades: refuse\n    tags:", "environments.dev.downgrades: must be one of supersede, allow"},
		{"    tags:", "    handEdits: keep\n    tags:", "environments.dev.handEdits: must be one of respect, overwrite"},
		{"    tags:", "    afterHold: last\n    tags:", "environments.dev.afterHold: must be one of newest, all"},
		{"    tags:", "    commits: one\n    tags:", "environments.dev.commits: must be one of one-per-update, one-per-batch"},
		{"environments:\n  dev:\n    tags: {match: 'main-[0-9a-f]{7,40}'}\n", "environments: {}\n", "environments: must name at least one environment"},
		{"environments:\n  dev:\n    tags: {match: 'main-[0-9a-f]{7,40}'}\n", "", "environments: must name at least one environment"},
		{"  myshop-api: {}\n", "", "apps: must name at least one app"},
		{"myshop-api: {}", "myshop-api: {file: a//b}", "apps.myshop-api.file: must be a path from"},
		{"myshop-api: {}", "myshop-api: {tags: {}}", "apps.myshop-api.tags: must have match or semver; without the field the app's tags are those that its environments take"},
		{"myshop-api: {}", "myshop-api: {environments: []}", "apps.myshop-api.environments: must name at least one environment; without the field the app is in all of them"},
	} {
		t.Run(c.now, func(t *testing.T) {
			text := minimal + c.now + "\n"
			if c.old != "" {
				if text = strings.Replace(minimal, c.old, c.now, 1); text == minimal {
					t.Fatalf("the configuration has no %q", c.old)
				}
			}
			_, err := config.Parse([]byte(text))
			if got := found(err); len(got) != 1 || !strings.HasPrefix(got[0], c.want) || gitops.CodeOf(err) != gitops.Invalid {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}

// A field that is not one is an error wherever it stands, and so is a value of
// another kind: both with the line.
func TestWrongShapes(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"listn: x", []string{"listn: is not a field; there are listen, adminListen, pprof, probeListen, store, storePasswordFile, lease, retention, backup, log, shutdown, manifests, repositories, registries, argocd, sources, limits, api, access, file, set, also, environments, freezes, holds, notify, discover, apps (line 1)"}},
		{"Listen: x", []string{"Listen: is not a field; there are"}},
		{"<<: {listen: x}", []string{"<<: is not a field; there are"}},
		{"\nlog: {lvl: x}", []string{"log.lvl: is not a field; there are level, format (line 2)"}},
		{"shutdown: {timeout: x}", []string{"shutdown.timeout: is not a field; there are deadline (line 1)"}},
		{"manifests: {repo: x}", []string{"manifests.repo: is not a field; there are url, branch, credentials, caFile, author, signing, subject, batchSubject (line 1)"}},
		{"manifests: {credentials: {token: s3cret}}", []string{"manifests.credentials.token: is not a field; there are githubApp, tokenFile, username, sshKeyFile, knownHostsFile (line 1)"}},
		{"manifests: {credentials: {githubApp: {appID: '12', installationID: 1.5, key: s3cret}}}", []string{
			"manifests.credentials.githubApp.appID: must be a whole number, without quotes (line 1)",
			"manifests.credentials.githubApp.installationID: must be a whole number",
			"manifests.credentials.githubApp.key: is not a field; there are appID, installationID, privateKeyFile, apiURL (line 1)"}},
		{"manifests: {author: {mail: x}}", []string{"manifests.author.mail: is not a field; there are name, email (line 1)"}},
		{"sources: {gitlab: x}", []string{"sources.gitlab: is not a field; there are github, eventbridge, sns (line 1)"}},
		{"sources: {github: {secret: s3cret}}", []string{"sources.github.secret: is not a field; there are secretFiles, eventTypes (line 1)"}},
		{"access: [{who: {dispatch: {repositoryID: '7', sender: x}}}]", []string{
			"access[0].who.dispatch.repositoryID: must be a whole number, without quotes (line 1)",
			"access[0].who.dispatch.sender: is not a field; there are repository, repositoryID, installationID, senders, senderIDs (line 1)"}},
		{"access: [{who: {group: x}}]", []string{"access[0].who.group: is not a field; there are push, dispatch, job, token, poll, revert (line 1)"}},
		{"access: [{can: x}]", []string{"access[0].can: is not a field; there are who, may, apps, environments (line 1)"}},
		{"sources: {sns: {topic: x}}", []string{"sources.sns.topic: is not a field; there are topics (line 1)"}},
		{"sources: {eventbridge: {key: s3cret}}", []string{"sources.eventbridge.key: is not a field; there are auth, header, username, secretFiles (line 1)"}},
		{"environments:\n  dev:\n    branch: x", []string{"environments.dev.branch: is not a field; there are tags, coalesce, commits, downgrades, handEdits, afterHold, write, pullRequest, image, rollout, manifests, file, set, also (line 3)"}},
		{"environments: {dev: {tags: {glob: x}}}", []string{"environments.dev.tags.glob: is not a field; there are match, semver (line 1)"}},
		{"environments: {dev: {set: [{}, {path: x}]}}", []string{"environments.dev.set[1].path: is not a field; there are key, value, create, inside, anchor, follows, replaces (line 1)"}},
		{"apps: {api: {image: x}}", []string{"apps.api.image: is not a field; there are repository, repositories, environments, tags, source, argocd, manifests, file, set, also (line 1)"}},
		{"set:\n  - key: x\n    val: y", []string{"set[0].val: is not a field; there are key, value, create, inside, anchor, follows, replaces (line 3)"}},

		{"listen: a:1\nfile: x\nlisten: b:2", []string{"listen: is given twice (line 3)"}},
		{"environments:\n  dev: {}\n  prod: {}\n  dev: {}", []string{"environments.dev: is given twice (line 4)"}},
		{"apps: {a: {}, b: {file: x, file: y}, a: {}}", []string{"apps.b.file: is given twice (line 1)", "apps.a: is given twice (line 1)"}},

		{"listen: 8080", []string{"listen: must be text: write it in quotes (line 1)"}},
		{"store: true", []string{"store: must be text: write it in quotes (line 1)"}},
		{"file: [a]", []string{"file: must be text, not a list: if it is one text that begins with [, write it in quotes (line 1)"}},
		{"file: {app}", []string{`file: must be text, not a map: if it is one text such as "{tag}", write it in quotes (line 1)`}},
		{"environments: {dev: {tags: {match: [a-z]}}}", []string{"environments.dev.tags.match: must be text, not a list: if it is one text that begins with [, write it in quotes (line 1)"}},
		{"set: [{key: .a, value: {tag}}]", []string{`set[0].value: must be text, not a map: if it is one text such as "{tag}", write it in quotes (line 1)`}},
		{"manifests: {branch: 1.20}", []string{"manifests.branch: must be text: write it in quotes (line 1)"}},
		{"manifests: {subject: !x y}", []string{"manifests.subject: must be text: write it in quotes (line 1)"}},
		{"access: [{who: {push: {accounts: [123456789012]}}}]", []string{"access[0].who.push.accounts[0]: must be text: write it in quotes (line 1)"}},
		{"sources: {github: {secretFiles: /a}}", []string{"sources.github.secretFiles: must be a list (line 1)"}},
		{"sources: {github: [a]}", []string{"sources.github: must be a map with some of: secretFiles, eventTypes (line 1)"}},
		{"sources: github", []string{"sources: must be a map with some of: github, eventbridge, sns (line 1)"}},
		{"environments: [dev]", []string{"environments: must be a map of names (line 1)"}},
		{"environments: {dev: main}", []string{"environments.dev: must be a map with some of: tags, coalesce, commits, downgrades, handEdits, afterHold, write, pullRequest, image, rollout, manifests, file, set, also (line 1)"}},
		{"set: {key: .x}", []string{"set: must be a list (line 1)"}},
		{"set: [.image.tag]", []string{"set[0]: must be a map with some of: key, value, create, inside, anchor, follows, replaces (line 1)"}},
		{"set: [{key: .x, create: maybe}]", []string{"set[0].create: must be true, false or parents (line 1)"}},
		{"shutdown: {deadline: soon}", []string{"shutdown.deadline: must be a duration such as 25s (line 1)"}},
		{"shutdown: {deadline: [25s]}", []string{"shutdown.deadline: must be a duration such as 25s (line 1)"}},
		{"apps: {? [a] : {}}", []string{"apps: has a key that is not plain text (line 1)"}},
		{"environments: {dev: {file: &x y}, *x : {}}", []string{"environments: has a key that is not plain text (line 1)"}},

		{"", []string{"the configuration is empty"}},
		{"- a", []string{"the configuration: must be a map with some of: listen, adminListen"}},
		{"just text", []string{"the configuration: must be a map with some of: listen, adminListen"}},
		{"a: [", []string{"the configuration is not YAML: "}},
		{"a: b\n\tc: d", []string{"the configuration is not YAML: "}},
		{"a: *b", []string{"the configuration is not YAML: "}},
		{minimal + "---\nlisten: ':1'\n", []string{"the configuration has a second document (line "}},
		{minimal + "---\n[", []string{"the configuration is not YAML: "}},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, err := config.Parse([]byte(c.text))
			got := found(err)
			if len(got) != len(c.want) || gitops.CodeOf(err) != gitops.Invalid {
				t.Fatalf("found %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) || strings.Contains(got[i], "s3cret") {
					t.Errorf("found %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

// Whoever corrects a file needs all of its problems at once.
func TestEveryProblemIsReported(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"{}", []string{
			"store: is missing", "manifests.url: is missing", "sources: must have", "environments: must name", "apps: must name",
		}},
		{"listen: 1\nstor: x\nlog: {level: [x]}\nset: all\nset: none\n", []string{
			"listen: must be text", "stor: is not a field", "log.level: must be text", "set: must be a list, or one of", "set: is given twice",
		}},
		{minimal + "listen: x\nadminListen: y\nlog: {level: x, format: y}\nfile: /z\n", []string{
			"listen: must", "adminListen: must", "log.level: must", "log.format: must", "file: must",
		}},
	} {
		_, err := config.Parse([]byte(c.text))
		var got []string
		for i, sentence := range found(err) {
			if i < len(c.want) && strings.HasPrefix(sentence, c.want[i]) {
				sentence = c.want[i]
			}
			got = append(got, sentence)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.text, diff)
		}
	}
}

// Aliases are taken as what they stand for, and a bomb of them stays small.
func TestAliases(t *testing.T) {
	c := parse(t, strings.Replace(minimal, "dev:\n    tags: ", "dev: &dev\n    tags: &tags ", 1)+"  other: {environments: &in [dev]}\n  third: {environments: *in}\n")
	if diff := cmp.Diff([]string{"dev"}, c.Apps["third"].Environments); diff != "" {
		t.Error(diff)
	}
	var bomb strings.Builder
	bomb.WriteString("listen: &a0 [x, x]\n")
	for i := range 40 {
		fmt.Fprintf(&bomb, "x%d: &a%d [*a%d, *a%d, *a%d]\n", i, i+1, i, i, i)
	}
	if _, err := config.Parse([]byte(bomb.String() + "apps: {a: {environments: *a40}}\n")); err == nil || len(found(err)) > 100 {
		t.Errorf("found %d problems", len(found(err)))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte("environments: {dev: {tags: {match: x}, set: [{key: .a, create: yes}]}}\nset: helm\n"))
	f.Add([]byte("a: &a [*a]\n? [b]\n: c\n<<: *a\n---\n"))
	f.Add([]byte("shutdown: {deadline: 9999999h}\nfile: \"\\0\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse(text)
		if err != nil {
			for _, sentence := range found(err) {
				if sentence == "" || sentence == gitops.PublicOf(fmt.Errorf("")) {
					t.Errorf("a problem without words: %v", err)
				}
			}
			return
		}
		if len(c.Environments) == 0 || len(c.Apps) == 0 || c.Listen == "" || c.Manifests.URL == "" || c.Shutdown.Deadline <= 0 {
			t.Errorf("taken without what is required: %+v", c)
		}
		for app := range c.Apps {
			for environment := range c.Environments {
				if target := c.Target(environment, app); target.Files[0].File == "" || target.Files[0].Field == "" {
					t.Errorf("%q in %q goes nowhere", app, environment)
				}
			}
		}
	})
}
