package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// layout is a manifest repository as teams have them, and two first updates there: one that
// is ordered by the API, and one by the event that init proposes a source for.
type layout struct {
	name, apps    string
	image         string // of an app in ECR: then the event is a push, else a dispatch
	ordered, sent change
}

// change is an update, and what its commit must change: one line.
type change struct {
	app, environment, tag string
	file, before, after   string
}

var layouts = []layout{
	{"helm-values", "basket catalog pricing shipping", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/orchard/pricing",
		change{"basket", "prod", "1.4.0", "charts/basket/values-prod.yaml", `  tag: "1.0.2"   # released by hand`, `  tag: "1.4.0"   # released by hand`},
		change{"pricing", "dev", "main-0a1b2c3", "charts/pricing/values-dev.yaml", "  tag: main-00317b5", "  tag: main-0a1b2c3"}},
	{"kustomize-overlays", "cart profile search", "",
		change{"cart", "production", "v2.3.0", "apps/cart/overlays/production/kustomization.yaml", "    newTag: v2.0.0", "    newTag: v2.3.0"},
		change{"search", "dev", "20261126-120000-0a1b2c3", "apps/search/overlays/dev/kustomization.yaml", "    newTag: 20261205-143022-3559d7a", "    newTag: 20261126-120000-0a1b2c3"}},
	{"flux-helmreleases", "berths manifests tariffs", "",
		change{"berths", "production", "3.1.0", "apps/production/berths/release.yaml", "      tag: 3.0.0", "      tag: 3.1.0"},
		change{"tariffs", "dev", "main-0a1b2c3-1732622400", "apps/dev/tariffs/release.yaml", "      tag: main-c749283-1722366245", "      tag: main-0a1b2c3-1732622400"}},
	{"umbrella-chart", "billing gateway ledger notifier", "210987654321.dkr.ecr.us-east-1.amazonaws.com/mill-ledger",
		change{"gateway", "prod", "0.5.0", "mill/values-prod.yaml", "    tag: 0.4.3", "    tag: 0.5.0"},
		change{"ledger", "dev", "main-0a1b2c3", "mill/values-dev.yaml", "    tag: main-850bf10", "    tag: main-0a1b2c3"}},
	{"applicationset-list", "buoys charts tides", "",
		change{"charts", "prod", "v1.3.0", "applicationsets/services.yaml", "            tag: v1.1.2", "            tag: v1.3.0"},
		change{"tides", "dev", "build-430", "applicationsets/services.yaml", "            tag: build-424", "            tag: build-430"}},
}

// In each layout init proposes a configuration without a line for an app; with its blanks
// filled in check takes it, and the first update of an app, ordered or sent, changes the one
// scalar that is meant.
func TestLayouts(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			m := newManifests(t, l.name)
			m.server.RequireToken("a-token")
			config := m.proposed(l)
			out, errs, exit := run(t, "check", "--config", config)
			if exit != 0 || strings.Contains(out, "warning:") {
				t.Fatalf("check: exit %d: %s%s", exit, out, errs)
			}
			for app := range strings.FieldsSeq(l.apps) {
				expect(t, "check", out, "\n"+app+" in dev: ")
			}
			c, err := startChild(binary, "serve", "--config", config)
			m.must(err)
			t.Cleanup(func() { _ = c.kill() })
			ctx := deadline(t)
			base, known := "", false
			m.must(c.await(ctx, func(line map[string]any) bool {
				if line["msg"] == "ready" {
					base = fmt.Sprint("http://", line["listen"])
				}
				known = known || line["msg"] == "apps discovered"
				return known && base != ""
			}))

			at := []string{"--url", base, "--token-file", filepath.Join(m.dir, "api-token")}
			out, errs, exit = run(t, append([]string{"apps"}, at...)...)
			if exit != 0 {
				t.Fatalf("apps: exit %d: %s", exit, errs)
			}
			expect(t, "apps", out, strings.Fields(l.apps)...)
			u := l.ordered
			out, errs, exit = run(t, append([]string{"update", u.app, u.tag, "--env", u.environment, "--wait"}, at...)...)
			if exit != 0 {
				t.Fatalf("update: exit %d: %s%s", exit, out, errs)
			}
			m.changed(u)
			m.sent(l, base)
			m.must(c.awaitUpdates(ctx, 2))
			m.changed(l.sent)
			out, errs, exit = run(t, append([]string{"explain", "first"}, at...)...)
			if exit != 0 {
				t.Errorf("explain: exit %d: %s", exit, errs)
			}
			expect(t, "explain", out, "Created 1 update", l.sent.app+" in "+l.sent.environment+" to "+l.sent.tag+": committed")
			m.must(c.stop())
		})
	}
}

// proposed writes the configuration that init proposes, with its blanks filled in, and
// returns its path.
func (m *manifests) proposed(l layout) string {
	m.Helper()
	text, errs, exit := run(m.T, "init", "--repository", m.repo.URL, "--token-file", m.file("token", "a-token\n"))
	if exit != 0 {
		m.Fatalf("init: exit %d: %s", exit, errs)
	}
	names := regexp.MustCompile(`\b(` + strings.ReplaceAll(l.apps, " ", "|") + `)\b`)
	for line := range strings.Lines(text) {
		if setting, _, _ := strings.Cut(line, "#"); strings.HasPrefix(line, "apps:") || names.MatchString(setting) && !strings.Contains(setting, "<fill in: ") && !strings.Contains(setting, "manifests") {
			m.Errorf("the proposal has a line for an app: %s", line)
		}
	}
	for mark, value := range map[string]string{
		`(repository: )'<fill in: .*>'`:   "${1}shop/apps",
		`(repositoryID: )'<fill in: .*>'`: "${1}17273051",
		`(apps: )'<fill in: .*>'`:         "${1}[" + l.sent.app + "]",
		`/var/lib/tallyman/`:              m.dir + "/",
		`/etc/tallyman/`:                  m.dir + "/",
		`\A`:                              "listen: 127.0.0.1:0\nadminListen: 127.0.0.1:0\nprobeListen: 127.0.0.1:0\n",
	} {
		text = regexp.MustCompile(mark).ReplaceAllString(text, value)
	}
	for _, name := range []string{"webhook-secret", "eventbridge-key", "api-token"} {
		m.file(name, strings.Repeat(name[:1], 32))
	}
	return m.file("tallyman.yaml", text)
}

// sent sends the event of the layout's second update, with the id "first".
func (m *manifests) sent(l layout, base string) {
	m.Helper()
	send := []string{"send", "github", "--secret-file", filepath.Join(m.dir, "webhook-secret"), "--repository", "shop/apps", "--repository-id", "17273051",
		"--app", l.sent.app, "--env", l.sent.environment}
	if l.image != "" {
		send = []string{"send", "ecr", "--secret-file", filepath.Join(m.dir, "eventbridge-key"), "--repository", l.image}
	}
	if out, errs, exit := run(m.T, append(send, "--tag", l.sent.tag, "--id", "first", "--url", base)...); exit != 0 {
		m.Fatalf("send: exit %d: %s%s", exit, out, errs)
	}
}

// changed wants the branch's last commit to have changed one line of one file.
func (m *manifests) changed(want change) {
	m.Helper()
	diff, err := m.repo.Git("show", "--format=", "--unified=0", "--no-prefix", "main")
	m.must(err)
	var got []string
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if lines := []string{"--- " + want.file, "+++ " + want.file, "-" + want.before, "+" + want.after}; strings.Join(got, "\n") != strings.Join(lines, "\n") {
		m.Errorf("%s of %s in %s changed\n%s\nwant\n%s", want.tag, want.app, want.environment, strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// The documents have a row for each layout, with the entry that init proposes.
func TestLayoutsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/layouts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layouts {
		golden, err := os.ReadFile("../../gitops/starter/testdata/golden/" + l.name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		_, entry, _ := strings.Cut(string(golden), "\ndiscover:\n")
		for line := range strings.Lines(entry) {
			if setting := strings.TrimSpace(line); setting != "" && !strings.HasPrefix(setting, "#") && !strings.Contains(string(text), "\n"+strings.TrimRight(line, "\n")+"\n") {
				t.Errorf("docs/layouts.md lacks, of %s: %s", l.name, line)
			}
		}
	}
}
