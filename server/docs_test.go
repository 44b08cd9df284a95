package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

func reference(t *testing.T) string { return document(t, "configuration.md") }

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// codeText is what stands as code in a text.
var codeText = regexp.MustCompile("`([^`]+)`")

// The table of tag rules says of each tag what the program says.
func TestReferenceTagRules(t *testing.T) {
	_, section, _ := strings.Cut(reference(t), "\n## Tag rules\n")
	section, _, _ = strings.Cut(section, "\n### ")
	rules := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[1], ": ") {
			continue
		}
		rules++
		var rule []string
		for _, m := range codeText.FindAllStringSubmatch(cells[1], -1) {
			rule = append(rule, m[1])
		}
		takes := planner(t, strings.Join(rule, ", "))
		for i, want := range map[int]bool{2: true, 3: false} {
			for _, m := range codeText.FindAllStringSubmatch(cells[i], -1) {
				if takes(m[1]) != want {
					t.Errorf("%s: tag %s is taken: %t", rule, m[1], !want)
				}
			}
		}
	}
	if rules < 5 {
		t.Errorf("only %d rules are tried", rules)
	}
	// What the text below the table says.
	if takes := planner(t, "match: '[0-9.]+'"); !takes("20240102") || !takes("1234567") {
		t.Error("match is more careful with digits than the text says")
	}
	if takes := planner(t, `semver: "1.20"`); !takes("1.20.7") || takes("1.21.0") {
		t.Error("1.20 does not mean 1.20.x")
	}
	if takes := planner(t, "match: '.*'"); takes("latest") {
		t.Error("latest is taken")
	}
}

// planner tells which tags an environment with the rule takes.
func planner(t *testing.T, rule string) (takes func(tag string) bool) {
	t.Helper()
	s := newSite(t)
	s.edit("dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}", "dev: {tags: {"+rule+"}}")
	p, err := policyOf(s.config())
	s.must(err)
	return func(tag string) bool { return accepts(p, tag) }
}

// policyOf plans for the apps of a configuration.
func policyOf(c config.Config) (*policy.Policy, error) {
	apps, err := newKnown(catalog.Input{Config: c})
	return apps.policy, err
}

func accepts(p *policy.Policy, tag string) bool {
	d, _ := p.Plan(gitops.Event{Orders: []gitops.Order{{App: "api", Environment: "dev", Tag: tag}}})
	return d.Outcome == gitops.OutcomeAccepted
}

// reaching names every sender that a configuration has and that its rules do not.
func reaching(c config.Config) config.Config {
	everything := config.Access{May: []string{"order"}, Apps: []string{"*"}, Environments: []string{"*"}}
	name := func(who config.Who) {
		everything.Who = who
		c.Access = append(c.Access, everything)
	}
	if c.Sources.GitHub != nil {
		name(config.Who{Dispatch: &config.Dispatch{Repository: "o/r", RepositoryID: 1}})
	}
	if c.Sources.EventBridge != nil {
		name(config.Who{Push: &config.Push{Source: "eventbridge"}})
	}
	if c.Sources.SNS != nil {
		name(config.Who{Push: &config.Push{Source: "sns"}})
	}
	return c
}

// The rules and keys of every example compile; their secrets are not here.
func TestReferenceExamplesCompile(t *testing.T) {
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(reference(t)+document(t, "security.md")+document(t, "holds.md")+document(t, "follow-through.md")+document(t, "notifications.md"), -1)
	for _, m := range examples {
		text := m[1]
		for _, must := range []string{"store: sqlite:///t.db", "manifests: {url: 'https://git.example/m.git'}", "sources: {github: {secretFiles: [x]}}",
			"environments: {dev: {tags: {match: x}}, prod: {tags: {match: x}}}", "argocd: [{url: 'https://argocd.example', tokenFile: x, projects: [myshop, team-a]}]", "apps: {api: {repository: registry.example/api}}"} {
			if name, _, _ := strings.Cut(must, ":"); !strings.Contains("\n"+text, "\n"+name+":") {
				text += must + "\n"
			}
		}
		c, err := config.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := buildAccess(reaching(c), nil); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
		if _, err := buildJobs(c.API.OIDC, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
		if apps, err := newKnown(catalog.Input{Config: c}); err != nil || len(apps.Targets()) == 0 {
			t.Errorf("%v:\n%s", err, text)
		}
	}
}

// A link from one document to a part of another leads somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(((?:\.\./)?[A-Za-z0-9_./-]+)?(?:#([a-z0-9-]+))?\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	anchors := func(path string) (found []string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
			kept := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
			found = append(found, strings.ReplaceAll(kept, " ", "-"))
		}
		return found
	}
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to := file
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s has the link %s: %v", file, m[0], err)
			} else if m[2] != "" && !slices.Contains(anchors(to), m[2]) {
				t.Errorf("%s has the link %s, and there is no such heading", file, m[0])
			}
		}
	}
}
