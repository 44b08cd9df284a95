package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/catalog"
)

// sentences are those of every error that was joined.
func sentences(err error) (all []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, sentences(e)...)
		}
		return all
	}
	if err != nil {
		all = append(all, gitops.PublicOf(err))
	}
	return all
}

// An image that would mean more updates than a delivery may have is found before
// its first push.
func TestAnImageOfTooManyUpdates(t *testing.T) {
	s := newSite(t)
	for i := range 2500 {
		s.edit("\napps:\n", fmt.Sprintf("\napps:\n  a%d: {repository: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api}\n", i))
	}
	if _, err := s.newServer(); !cmp.Equal(sentences(err), []string{"apps: one image of 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api would mean 5002 updates, and a delivery may have 5000: give its apps fewer environments"}) {
		t.Errorf("%v", err)
	}
	s.edit("  api: {repository", "  api: {environments: [dev], repository")
	s.edit("  a0: {repository", "  a0: {environments: [dev], repository")
	server, err := s.newServer()
	s.must(err)
	s.must(server.Stop(t.Context()))
}

// What a configuration gets wrong is found before anything is opened, and the
// field is named as the file spells it.
func TestNewNamesTheField(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(s *site)
		want []string // beginnings
	}{
		{"a rule that takes everything", func(s *site) { s.edit(`{semver: ">=1.0.0"}`, "{}") },
			[]string{"environments.prod.tags: must have match or semver"}},
		{"a match that is not one", func(s *site) { s.edit("main-[0-9a-f]{7,40}", "main-(") },
			[]string{"environments.dev.tags.match: is not a regular expression"}},
		{"a version that is not one", func(s *site) { s.edit(">=1.0.0", "latest") },
			[]string{"environments.prod.tags.semver: is not a version constraint"}},
		{"an environment's name", func(s *site) { s.edit("  dev: {", "  Dev!: {") },
			[]string{"environments.Dev!: must be 1 to 100 of", `apps.worker.environments[0]: "dev" is not among`}},
		{"an app's name", func(s *site) { s.edit("  worker: {", "  ../worker: {") },
			[]string{"apps.../worker: must be 1 to 100 of"}},
		{"a repository with its tag", func(s *site) { s.edit("shop/api}", "shop/api:1}") },
			[]string{"apps.api.repository: must be an image name without tag"}},
		{"an environment twice", func(s *site) { s.edit("environments: [dev]}", "environments: [dev, dev]}") },
			[]string{`apps.worker.environments[1]: "dev" is there twice; remove one`}},
		{"an environment that is not there", func(s *site) { s.edit("environments: [dev]}", "environments: [dev, qa]}") },
			[]string{`apps.worker.environments[1]: "qa" is not among the configured environments (dev, prod)`}},
		{"no event type", func(s *site) { s.edit("github: {", "github: {eventTypes: [], ") },
			[]string{"sources.github.eventTypes: must name at least one event type"}},
		{"no secret for GitHub", func(s *site) { s.edit("[DIR/old, DIR/new]", "[]") },
			[]string{"sources.github.secretFiles: must name at least one file"}},
		{"no secret for EventBridge", func(s *site) { s.edit("secretFiles: [DIR/bridge]", "") },
			[]string{"sources.eventbridge.secretFiles: must name at least one file"}},
		{"a header that is not one", func(s *site) { s.edit("eventbridge: {", `eventbridge: {header: "My Key", `) },
			[]string{"sources.eventbridge.header: must be the name of an HTTP header"}},
		{"an account that is not one", func(s *site) { s.edit(`"123456789012"]`, `"1234"]`) },
			[]string{`access[1].who.push.accounts[0]: "1234" must be the 12 digits`}},
		{"a file that is not there", func(s *site) { s.edit("DIR/new", "DIR/missing") },
			[]string{"sources.github.secretFiles[1]: DIR/missing cannot be read"}},
		{"a file that is empty", func(s *site) {
			s.must(os.WriteFile(filepath.Join(s.dir, "new"), []byte("\r\n\n"), 0o600))
		}, []string{"sources.github.secretFiles[1]: DIR/new is empty"}},
		{"a secret that no header carries", func(s *site) {
			s.must(os.WriteFile(filepath.Join(s.dir, "bridge"), []byte("tab\tand line\nbreak"), 0o600))
		}, []string{"sources.eventbridge.secretFiles[0]: DIR/bridge holds a secret that no header can carry"}},
		{"a key that computes", func(s *site) { s.yaml += "set: [{key: '.image.tag = \"x\"'}]\n" },
			[]string{"set[0].key: must only select"}},
		{"nothing to set", func(s *site) { s.yaml += "set: []\n" },
			[]string{"set: there must be a key to set"}},
		{"an environment's value", func(s *site) { s.edit(`  dev: {`, `  dev: {set: [{key: .image.tag, value: "{branch}"}], `) },
			[]string{"environments.dev.set[0].value: knows {tag}, {digest}, {digestHex} and {repository}"}},
		{"an app's second key", func(s *site) { s.edit(`worker: {`, `worker: {set: [{key: .a}, {key: .a}], `) },
			[]string{"apps.worker.set[1].key: is the same as that of [0]"}},
		{"creating what has no name", func(s *site) { s.edit(`worker: {`, `worker: {set: [{key: ".a[0]", create: true}], `) },
			[]string{"apps.worker.set[0].create: needs a key that ends in a plain name"}},
		{"a signing key that is not one", func(s *site) { s.edit("manifests:\n", "manifests:\n  signing: {sshKeyFile: DIR/token}\n") },
			[]string{"manifests.signing.sshKeyFile: holds no private key that can sign"}},
		{"a batch's subject", func(s *site) { s.edit("manifests:\n", "manifests:\n  batchSubject: 'bump {app}'\n") },
			[]string{"manifests.batchSubject: may name only {count}, {env} in braces"}},
		{"a branch that none can be", func(s *site) { s.edit("manifests:\n", "manifests:\n  branch: refs/../main\n") },
			[]string{"manifests.branch: is not a name that a branch can have"}},
		{"an author without a name", func(s *site) { s.edit("manifests:\n", "manifests:\n  author: {name: 'A <b>'}\n") },
			[]string{"manifests.author.name: is missing, or has a character"}},
		{"an author without an address", func(s *site) { s.edit("manifests:\n", "manifests:\n  author: {email: 'a b'}\n") },
			[]string{"manifests.author.email: is missing, or has a character"}},
		{"a subject that knows more", func(s *site) { s.edit("manifests:\n", "manifests:\n  subject: 'bump {name}'\n") },
			[]string{"manifests.subject: may name only {app}"}},
		{"credentials in the open", func(s *site) { s.edit("http://127.0.0.1", "http://git.example") },
			[]string{"manifests.url: must begin with https://: over http anybody"}},
		{"a URL with a query", func(s *site) { s.edit("manifests.git", "manifests.git?x=1") },
			[]string{"manifests.url: must not have a query"}},
		{"one file for two environments", func(s *site) { s.yaml += "file: charts/{app}/values.yaml\n" },
			[]string{"set: updates of api in dev and of api in prod would both set .image.tag in charts/api/values.yaml"}},
		{"one key in two spellings", func(s *site) {
			s.edit(`  prod: {`, `  prod: {set: [{key: '.image["tag"]'}], `)
			s.yaml += "file: charts/{app}/values.yaml\n"
		}, []string{"environments.prod.set: updates of api in dev and of api in prod would both set .image[\"tag\"] in charts/api/values.yaml"}},
		{"an anchor that others may use", func(s *site) {
			s.edit(`  dev: {`, `  dev: {set: [{key: .dev, anchor: follow}], `)
			s.yaml += "file: charts/{app}/values.yaml\n"
		}, []string{"environments.dev.set[0].follows: is required with anchor: follow in charts/api/values.yaml"}},
		{"an anchor that nobody knows", func(s *site) { s.edit(`worker: {`, `worker: {set: [{key: .a, anchor: keep}], `) },
			[]string{"apps.worker.set[0].anchor: must be follow or left out"}},
		{"inside of what computes", func(s *site) { s.edit(`worker: {`, `worker: {set: [{key: .a, inside: ".a = 1"}], `) },
			[]string{"apps.worker.set[0].inside: must only select"}},
		{"several at once", func(s *site) {
			s.edit("manifests:\n", "manifests:\n  branch: a..b\n")
			s.edit("main-[0-9a-f]{7,40}", "main-(")
			s.edit("DIR/new", "DIR/missing")
			s.edit("secretFiles: [DIR/bridge]", "")
			s.edit(`worker: {`, `worker: {set: [{key: ""}], `)
			s.yaml += "set: [{key: .image.tag, value: fixed}]\n"
		}, []string{
			"environments.dev.tags.match: is not", "apps.worker.set[0].key: is missing", "set[0].value: must name {tag}",
			"sources.github.secretFiles[1]: DIR/missing cannot", "sources.eventbridge.secretFiles: must",
			"manifests.branch: ",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.yaml = strings.ReplaceAll(s.yaml, s.dir, "DIR")
			c.edit(s)
			s.yaml = strings.ReplaceAll(s.yaml, "DIR", s.dir)
			server, err := s.newServer()
			if server != nil || err == nil {
				t.Fatal("it is taken")
			}
			got := sentences(err)
			if len(got) != len(c.want) {
				t.Fatalf("found %q, want %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], strings.ReplaceAll(want, "DIR", s.dir)) {
					t.Errorf("found %q, want %q", got[i], want)
				}
			}
			if gitops.CodeOf(err) != gitops.Invalid {
				t.Errorf("the code is %s", gitops.CodeOf(err))
			}
			nothingRuns(t)
		})
	}
}

// An app's own file and keys come before its environment's, and those before the
// top level's.
func TestTargets(t *testing.T) {
	s := newSite(t)
	s.edit("  dev: {", "  dev: {file: 'dev/{app}.yaml', ")
	s.edit("  worker: {", "  worker: {file: 'workers/{env}/{app}/values.yaml', ")
	parts, err := build(s.config(), s.logger())
	s.must(err)
	got := map[catalog.At]string{}
	for _, to := range parts.first.Targets() {
		got[to.At] = to.Files[0].Path
	}
	want := map[catalog.At]string{
		{Environment: "dev", App: "api"}: "dev/api.yaml", {Environment: "prod", App: "api"}: "charts/api/values-prod.yaml", {Environment: "dev", App: "worker"}: "workers/dev/worker/values.yaml",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is set in the same way is compiled once, and an app whose key names it is
// not taken for another.
func TestTargetsShareTheirEdits(t *testing.T) {
	s := newSite(t)
	s.edit("  prod: {", "  prod: {set: [{key: '.apps[{app}].tag'}], ")
	s.edit("  worker: {environments: [dev]", "  worker: {environments: [dev, prod]")
	parts, err := build(s.config(), s.logger())
	s.must(err)
	edit := func(environment, app string) *values.Edit {
		to, _ := parts.first.Target(environment, app)
		return to.Files[0].Edit
	}
	if edit("dev", "api") != edit("dev", "worker") {
		t.Error("the same edit is there twice")
	}
	if edit("prod", "api") == edit("prod", "worker") || edit("prod", "api") == edit("dev", "api") {
		t.Error("different edits are the same")
	}
}

// Everything that can be said of a set reaches the edit. One key in the file and the
// same one inside of a block are two.
func TestTargetsHaveAllThatIsSaid(t *testing.T) {
	s := newSite(t)
	s.edit("  dev: {", "  dev: {file: shared.yaml, ")
	s.edit("  prod: {", "  prod: {file: shared.yaml, ")
	s.yaml += `set:
  - {key: ".{app}.tag", create: parents, inside: ".{env}"}
`
	s.yaml = strings.ReplaceAll(s.yaml, "{env}", "values")
	s.edit("  prod: {", `  prod: {set: [{key: ".{app}.tag", anchor: follow, follows: [.anchor, .other.tag]}, {key: .image, value: "{repository}:{tag}", replaces: ["mirror.example/{app}"]}], `)
	parts, err := build(s.config(), s.logger())
	s.must(err)
	const file = "values: |\n  x: 1\nanchor: &a v1\napi:\n  tag: *a\nother:\n  tag: *a\nimage: mirror.example/api:v1\n"
	vars := values.Vars{Tag: "v2", Repository: "registry.example/api"}
	for environment, want := range map[string]string{
		"dev":  strings.Replace(file, "x: 1\n", "x: 1\n  api:\n    tag: v2\n", 1),
		"prod": strings.NewReplacer("&a v1", "&a v2", "mirror.example/api:v1", "registry.example/api:v2").Replace(file),
	} {
		to, _ := parts.first.Target(environment, "api")
		out, _, err := to.Files[0].Edit.Apply([]byte(file), vars)
		if err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s", environment, err, out)
		}
	}
}
