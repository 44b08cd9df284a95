package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

// minimal is the least that is taken.
const minimal = `store: sqlite:///var/lib/tallyman/tallyman.db
manifests:
  url: https://git.example/myshop/manifests.git
sources:
  github:
    secretFiles: [/etc/tallyman/webhook-secret]
environments:
  dev:
    tags: {match: 'main-[0-9a-f]{7,40}'}
apps:
  myshop-api: {}
`

func parse(t *testing.T, text string) config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// found are the sentences of all that was found wrong.
func found(err error) (sentences []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			sentences = append(sentences, found(e)...)
		}
		return sentences
	}
	if err != nil {
		sentences = append(sentences, gitops.PublicOf(err))
	}
	return sentences
}

func TestDefaults(t *testing.T) {
	want := config.Config{
		Listen: ":8080", AdminListen: "127.0.0.1:9090", ProbeListen: ":8081", Store: "sqlite:///var/lib/tallyman/tallyman.db",
		Log:      config.Log{Level: "info", Format: "json"},
		Limits:   config.Limits{RefusedPerMinute: 300, File: config.FileLimits{Bytes: 1 << 20}},
		Shutdown: config.Shutdown{Deadline: 25 * time.Second}, Retention: kept(2160 * time.Hour), Backup: config.Backup{Every: 24 * time.Hour, Keep: 7}, Lease: 30 * time.Second,
		Manifests: config.Manifests{
			URL: "https://git.example/myshop/manifests.git", Branch: "main",
			Credentials: config.Credentials{Username: "x-access-token"},
			Author:      config.Author{Name: "tallyman[bot]", Email: "tallyman[bot]@users.noreply.github.com"},
			Subject:     "chore: bump {app} to {tag} ({env})", BatchSubject: "chore: {count} updates ({env})",
		},
		Sources: config.Sources{GitHub: &config.GitHub{SecretFiles: []string{"/etc/tallyman/webhook-secret"}, EventTypes: []string{"update-image"}}},
		File:    "charts/{app}/values-{env}.yaml",
		Set:     config.Sets{{Key: ".image.tag", Value: "{tag}"}},
		Environments: map[string]config.Environment{
			"dev": {Tags: config.Tags{Match: "main-[0-9a-f]{7,40}"}, Coalesce: "none", Commits: "one-per-update", Downgrades: "supersede", HandEdits: "respect", AfterHold: "newest", Write: "push", Rollout: config.Rollout{By: "none"}},
		},
		Holds: config.Holds{PinFor: 72 * time.Hour, PinAtMost: 720 * time.Hour},
		Apps:  map[string]config.App{"myshop-api": {}},
	}
	if diff := cmp.Diff(want, parse(t, minimal)); diff != "" {
		t.Error(diff)
	}
	// An empty field is as good as none.
	empty := strings.Replace(minimal, "  github:\n", "  eventbridge: {header:, secretFiles: [x]}\n  github:\n    eventTypes:\n", 1) +
		"listen:\nadminListen: ''\nlog:\nshutdown: {deadline:}\nretention: {keep:}\nfile: ''\nset:\naccess:\n"
	want.Sources.EventBridge = &config.EventBridge{Auth: "apiKey", Header: "X-Tallyman-Key", Username: "tallyman", SecretFiles: []string{"x"}}
	if diff := cmp.Diff(want, parse(t, empty)); diff != "" {
		t.Error(diff)
	}
}

func kept(d time.Duration) config.Retention { return config.Retention{Keep: d} }

// Everything set, to something else than the default.
func TestEveryField(t *testing.T) {
	got := parse(t, `
listen: 127.0.0.1:18080
adminListen: "[::1]:19090"
pprof: true
probeListen: ":18081"
store: sqlite:///srv/t.db
lease: 10s
log: {level: debug, format: text}
shutdown: {deadline: 1m30s}
limits: {trustedProxies: [10.0.0.0/8], refusedPerMinute: 7, memory: 300MiB, connections: 9, connectionsPerAddress: 8, file: {bytes: 2MiB, nodes: 5000}, snapshot: 9MiB}
retention: {keep: 336h}
backup: {directory: /srv/backups, every: 12h, keep: 3}
manifests:
  url: http://localhost:3000/m.git
  branch: release
  credentials: {tokenFile: /run/token, username: oauth2}
  author: {name: A Bot, email: bot@example.com}
  subject: "{env}: {app} {tag} {digest} {repository}"
  batchSubject: "{env}: {count}"
  signing: {sshKeyFile: /run/sign, openPGPKeyFile: /run/pgp}
argocd: [{url: "http://localhost:8080/argo/", tokenFile: /run/argo, caFile: /run/ca, projects: [p, q]}]
sources:
  github:
    secretFiles: [a, b]
    eventTypes: [one, two]
  eventbridge: {auth: basic, header: Authorization, username: bridge, secretFiles: [c]}
  sns: {topics: [t]}
api:
  tokens: [{name: ops, file: d, expires: "2027-01-31"}]
  oidc: {audience: a, issuers: [i], maxAge: 1m, caFile: e}
access:
  - {who: {push: {source: sns, accounts: ["000000000001"], regions: [eu-west-1], topics: [t]}}, may: [order], apps: ["*"], environments: [dev]}
  - {who: {dispatch: {repository: o/r, repositoryID: 17, installationID: 5, senders: [ann], senderIDs: [3]}}, may: [order], apps: [api], environments: ["*"]}
  - who:
      job: {issuer: i, repository: o/r, repositoryID: 17, ownerID: 4, refs: [refs/heads/main], refProtected: true, githubEnvironment: g, workflows: [w],
        jobWorkflows: [{ref: f, sha: s}], events: [push], runnerEnvironment: self-hosted, actorIDs: [3]}
    may: [order, read]
    apps: [api]
    environments: [dev]
  - {who: {token: ops}, may: [cancel]}
  - {who: {revert: {}}, may: [rollback], apps: ["*"], environments: [dev]}
file: apps/{env}/{app}.yaml
also: [{file: 'a/{app}', set: [{key: .a}]}, {file: b}]
set: [{key: .tag}, {key: .digest, value: "{digest}", create: true, inside: .v, anchor: follow, follows: [.a], replaces: [mirror.example/api]},
  {key: .x.y, create: parents}]
environments:
  dev: {tags: {match: x, semver: "1"}, coalesce: newest, commits: one-per-batch, downgrades: allow, handEdits: overwrite, afterHold: all, file: dev.yaml, set: kustomize, also: [{file: c}], rollout: {by: argocd, timeout: 1h, revert: true}}
  prod: {tags: {semver: "2"}, write: pull-request, pullRequest: {merge: auto, labels: [deploy]}, rollout: {by: reports}}
freezes:
  - {name: weekend, environments: [dev], apps: [api], zone: Europe/Berlin, reason: nobody is in, weekly: [{from: Fri 16:00, until: Mon 08:00}]}
  - {name: year-end, zone: UTC, once: [{from: 2026-12-19 18:00, until: "2027-01-04"}]}
holds: {pinFor: 1h, pinAtMost: 24h}
apps:
  api: {repository: registry.example/api, environments: [dev], tags: {match: "y", semver: "2"}, source: shop/api, argocd: {dev: q/ns/api}, file: api.yaml, set: [{key: .x}], also: []}
`)
	want := config.Config{
		Listen: "127.0.0.1:18080", AdminListen: "[::1]:19090", PProf: true, ProbeListen: ":18081", Store: "sqlite:///srv/t.db",
		Log:      config.Log{Level: "debug", Format: "text"},
		Shutdown: config.Shutdown{Deadline: 90 * time.Second}, Retention: kept(336 * time.Hour), Backup: config.Backup{Directory: "/srv/backups", Every: 12 * time.Hour, Keep: 3}, Lease: 10 * time.Second,
		Limits: config.Limits{TrustedProxies: []string{"10.0.0.0/8"}, RefusedPerMinute: 7, Memory: 300 << 20, Connections: 9, ConnectionsPerAddress: 8, File: config.FileLimits{Bytes: 2 << 20, Nodes: 5000}, Snapshot: 9 << 20},
		Manifests: config.Manifests{
			URL: "http://localhost:3000/m.git", Branch: "release",
			Credentials: config.Credentials{TokenFile: "/run/token", Username: "oauth2"},
			Author:      config.Author{Name: "A Bot", Email: "bot@example.com"},
			Subject:     "{env}: {app} {tag} {digest} {repository}", BatchSubject: "{env}: {count}",
			Signing: config.Signing{SSHKeyFile: "/run/sign", OpenPGPKeyFile: "/run/pgp"},
		},
		ArgoCD: []config.ArgoCD{{URL: "http://localhost:8080/argo", TokenFile: "/run/argo", CAFile: "/run/ca", Projects: []string{"p", "q"}}},
		Sources: config.Sources{
			GitHub:      &config.GitHub{SecretFiles: []string{"a", "b"}, EventTypes: []string{"one", "two"}},
			EventBridge: &config.EventBridge{Auth: "basic", Header: "Authorization", Username: "bridge", SecretFiles: []string{"c"}},
			SNS:         &config.SNS{Topics: []string{"t"}},
		},
		API: config.API{
			Tokens: []config.Token{{Name: "ops", File: "d", Expires: "2027-01-31"}},
			OIDC:   &config.OIDC{Audience: "a", Issuers: []string{"i"}, MaxAge: time.Minute, CAFile: "e"},
		},
		Access: []config.Access{
			{Who: config.Who{Push: &config.Push{Source: "sns", Accounts: []string{"000000000001"}, Regions: []string{"eu-west-1"}, Topics: []string{"t"}}},
				May: []string{"order"}, Apps: []string{"*"}, Environments: []string{"dev"}},
			{Who: config.Who{Dispatch: &config.Dispatch{Repository: "o/r", RepositoryID: 17, InstallationID: 5, Senders: []string{"ann"}, SenderIDs: []int64{3}}},
				May: []string{"order"}, Apps: []string{"api"}, Environments: []string{"*"}},
			{Who: config.Who{Job: &config.Job{Issuer: "i", Repository: "o/r", RepositoryID: 17, OwnerID: 4, Refs: []string{"refs/heads/main"}, RefProtected: true,
				GitHubEnvironment: "g", Workflows: []string{"w"}, JobWorkflows: []config.JobWorkflow{{Ref: "f", SHA: "s"}}, Events: []string{"push"},
				RunnerEnvironment: "self-hosted", ActorIDs: []int64{3}}},
				May: []string{"order", "read"}, Apps: []string{"api"}, Environments: []string{"dev"}},
			{Who: config.Who{Token: "ops"}, May: []string{"cancel"}},
			{Who: config.Who{Revert: &config.RevertAccess{}}, May: []string{"rollback"}, Apps: []string{"*"}, Environments: []string{"dev"}},
		},
		File: "apps/{env}/{app}.yaml",
		Also: []config.Also{{File: "a/{app}", Set: config.Sets{{Key: ".a"}}}, {File: "b"}},
		Set: config.Sets{{Key: ".tag"}, {Key: ".digest", Value: "{digest}", Create: config.CreateKey, Inside: ".v", Anchor: "follow", Follows: []string{".a"}, Replaces: []string{"mirror.example/api"}},
			{Key: ".x.y", Create: config.CreateParents}},
		Environments: map[string]config.Environment{"dev": {
			Tags: config.Tags{Match: "x", Semver: "1"}, Coalesce: "newest", Commits: "one-per-batch", Downgrades: "allow", HandEdits: "overwrite", AfterHold: "all", Write: "push", File: "dev.yaml",
			Set:  config.Sets{{Key: `.images[] | select(.name == {app} or .name == {repository} or .newName == {repository}) | .newTag`, Value: "{tag}"}},
			Also: []config.Also{{File: "c"}}, Rollout: config.Rollout{By: "argocd", Timeout: time.Hour, Revert: true},
		}, "prod": {
			Tags: config.Tags{Semver: "2"}, Coalesce: "newest", Commits: "one-per-update", Downgrades: "supersede", HandEdits: "respect", AfterHold: "newest",
			Write: "pull-request", PullRequest: &config.PullRequest{Merge: "auto", Labels: []string{"deploy"}}, Rollout: config.Rollout{By: "reports", Timeout: 15 * time.Minute},
		}},
		Freezes: []config.Freeze{
			{Name: "weekend", Environments: []string{"dev"}, Apps: []string{"api"}, Zone: "Europe/Berlin", Reason: "nobody is in", Weekly: []config.Window{{From: "Fri 16:00", Until: "Mon 08:00"}}},
			{Name: "year-end", Zone: "UTC", Once: []config.Window{{From: "2026-12-19 18:00", Until: "2027-01-04"}}},
		},
		Holds: config.Holds{PinFor: time.Hour, PinAtMost: 24 * time.Hour},
		Apps: map[string]config.App{"api": {
			Repository: "registry.example/api", Environments: []string{"dev"}, Tags: &config.Tags{Match: "y", Semver: "2"}, Source: "shop/api", ArgoCD: map[string]string{"dev": "q/ns/api"}, File: "api.yaml", Set: config.Sets{{Key: ".x"}}, Also: []config.Also{},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A file's name in place of a list is the list of that name, wherever one stands.
func TestPresets(t *testing.T) {
	for _, name := range values.Presets() {
		c := parse(t, minimal+"set: "+name+"\n")
		want, _ := values.Preset(name)
		if diff := cmp.Diff(want, c.Set.Targets()); diff != "" || len(want) == 0 {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	for _, text := range []string{minimal + "set: Helm\n", strings.Replace(minimal, "myshop-api: {}", "myshop-api: {set: yq}", 1)} {
		_, err := config.Parse([]byte(text))
		if got := found(err); len(got) != 1 || !strings.Contains(got[0], "set: must be a list, or one of helm, helm-digest, kustomize, kustomize-digest, image, not ") {
			t.Errorf("found %q", got)
		}
	}
}

// The narrower comes before the wider: the app's own, the environment's, the top
// level's. What is set in one more file is what is set in the first, unless it says so
// itself.
func TestTarget(t *testing.T) {
	c := parse(t, strings.NewReplacer(
		"    tags:", "    file: envs/{env}.yaml\n    set: helm-digest\n    also: [{file: 'west/{app}.yaml'}, {file: 'Chart-{env}.yaml', set: [{key: .appVersion}]}]\n    tags:",
		"apps:\n", "apps:\n  own: {file: 'own/{app}/{env}/{app}.yaml', set: image}\n  half: {set: [], also: []}\n",
	).Replace(minimal)+"  prod: {}\nalso: [{file: 'more/{env}/{app}.yaml', set: kustomize}]\n")
	for _, want := range []struct {
		environment, app string
		files            []config.TargetFile
	}{
		{"qa", "prod", []config.TargetFile{{File: "charts/prod/values-qa.yaml", Field: "set"}, {File: "more/qa/prod.yaml", Field: "also[0].set", Also: "also[0].file"}}},
		{"dev", "prod", []config.TargetFile{{File: "envs/dev.yaml", Field: "environments.dev.set"},
			{File: "west/prod.yaml", Field: "environments.dev.set", Also: "environments.dev.also[0].file"},
			{File: "Chart-dev.yaml", Field: "environments.dev.also[1].set", Also: "environments.dev.also[1].file"}}},
		{"dev", "own", []config.TargetFile{{File: "own/own/dev/own.yaml", Field: "apps.own.set"},
			{File: "west/own.yaml", Field: "apps.own.set", Also: "environments.dev.also[0].file"},
			{File: "Chart-dev.yaml", Field: "environments.dev.also[1].set", Also: "environments.dev.also[1].file"}}},
		{"dev", "half", []config.TargetFile{{File: "envs/dev.yaml", Field: "apps.half.set"}}},
	} {
		got := c.Target(want.environment, want.app)
		sets := map[string]int{"set": 1, "environments.dev.set": 2, "apps.own.set": 1, "apps.half.set": 0, "also[0].set": 1, "environments.dev.also[1].set": 1}
		for i, f := range got.Files {
			if len(f.Set) != sets[f.Field] {
				t.Errorf("%s in %s sets %+v in %s", want.app, want.environment, f.Set, f.File)
			}
			got.Files[i].Set = nil
		}
		if diff := cmp.Diff(want.files, got.Files); diff != "" {
			t.Errorf("%s in %s: %s", want.app, want.environment, diff)
		}
	}
	if got := config.Expand("{app}/{env}/{app}{app}", "{env}", "e"); got != "{env}/e/{env}{env}" { // a name is never a template
		t.Errorf("expanded to %s", got)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tallyman.yaml")
	if err := os.WriteFile(file, []byte("\ufeff"+strings.ReplaceAll(minimal, "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := config.Load(file); err != nil || c.Manifests.Branch != "main" { // as a Windows editor writes it
		t.Errorf("%+v, %v", c, err)
	}
	for _, path := range []string{filepath.Join(dir, "missing.yaml"), dir} {
		_, err := config.Load(path)
		if gitops.CodeOf(err) != gitops.NotFound || !strings.Contains(gitops.PublicOf(err), path+" cannot be read") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
