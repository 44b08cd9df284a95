package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// manifests is a git server with a repository for init.
type manifests struct {
	*testing.T
	dir    string
	server *gitserver.Server
	repo   *gitserver.Repository
}

func newManifests(t *testing.T, layout string) *manifests {
	t.Helper()
	t.Parallel()
	m := &manifests{T: t, dir: t.TempDir()}
	var err error
	if m.server, err = gitserver.Start(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.server.Close(); err != nil {
			t.Error(err)
		}
	})
	if m.repo, err = m.server.CreateRepository("manifests.git"); err != nil {
		t.Fatal(err)
	}
	root := os.DirFS(filepath.Join("../../gitops/starter/testdata/layouts", layout))
	files := make(map[string]string)
	m.must(fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		files[path] = string(text)
		return err
	}))
	_, err = m.repo.Commit(gitserver.Change{Files: files})
	m.must(err)
	return m
}

func (m *manifests) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// file writes a file beside the configuration.
func (m *manifests) file(name, text string) string {
	m.Helper()
	path := filepath.Join(m.dir, name)
	m.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// fillIn gives a proposal what only a person knows, and puts the service's files beside it.
func (m *manifests) fillIn(config string) {
	m.Helper()
	text, err := os.ReadFile(config)
	m.must(err)
	filled := string(text)
	for mark, value := range map[string]string{
		`(repository: )'<fill in: .*>'`:   "${1}myshop/api",
		`(repositoryID: )'<fill in: .*>'`: "${1}17273051",
		`(apps: )'<fill in: .*>'`:         "${1}[cart]",
		`/var/lib/tallyman/`:              m.dir + "/",
		`/etc/tallyman/`:                  m.dir + "/",
	} {
		filled = regexp.MustCompile(mark).ReplaceAllString(filled, value)
	}
	for i, name := range []string{"webhook-secret", "eventbridge-key", "api-token"} {
		m.file(name, strings.Repeat(string(rune('a'+i))+"0", 32))
	}
	m.must(os.WriteFile(config, []byte(filled), 0o600))
}

// From a repository to a configuration that check takes, without a warning.
func TestInitThenCheck(t *testing.T) {
	t.Parallel()
	for layout, summary := range map[string]string{
		"helm-values":         "found: 4 apps in 3 environments (dev, staging, prod): 12 places to write",
		"kustomize-overlays":  "found: 3 apps in 3 environments (dev, staging, production): 9 places to write",
		"flux-helmreleases":   "found: 3 apps in 3 environments (dev, staging, production): 9 places to write",
		"umbrella-chart":      "found: 4 apps in 3 environments (dev, staging, prod): 12 places to write",
		"applicationset-list": "found: 3 apps in 3 environments (dev, staging, prod): 9 places to write",
	} {
		t.Run(layout, func(t *testing.T) {
			m := newManifests(t, layout)
			m.server.RequireToken("a-token")
			token, config := m.file("token", "a-token\n"), filepath.Join(m.dir, "tallyman.yaml")
			out, errs, exit := run(t, "init", "--repository", m.repo.URL, "--token-file", token, "--output", config)
			if exit != 0 || out != "" {
				t.Fatalf("exit %d: %s%s", exit, out, errs)
			}
			expect(t, "the summary", errs, summary, "then: tallyman check --config "+config)
			m.fillIn(config)
			out, errs, exit = run(t, "check", "--config", config)
			if exit != 0 || errs != "" || strings.Contains(out, "warning:") {
				t.Errorf("exit %d: %s%s", exit, out, errs)
			}
			expect(t, "check", out, "configuration: ok", "may be written")
		})
	}
}

// What is not filled in is refused by check, with what is missing.
func TestCheckRefusesWhatIsNotFilledIn(t *testing.T) {
	m := newManifests(t, "kustomize-overlays")
	config := filepath.Join(m.dir, "tallyman.yaml")
	_, errs, exit := run(t, "init", "--repository", m.repo.URL, "--output", config)
	if exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	expect(t, "the summary", errs, "fill in the 3 values marked <fill in: ...>")
	if _, errs, exit = run(t, "check", "--config", config); exit != exitBadInput {
		t.Errorf("exit %d", exit)
	}
	expect(t, "what is not filled in", errs,
		"access[0].who.dispatch.repository: is not filled in yet: OWNER/NAME of the repository that orders (line ",
		"access[0].who.dispatch.repositoryID: is not filled in yet: its number, gh api repos/OWNER/NAME --jq .id (line ",
		"access[0].apps: is not filled in yet: the apps that it builds, such as [cart, cart-worker] (line ")
}

// What init prints goes to a file only where there is none, or with --force.
func TestInitOverwritesNothing(t *testing.T) {
	m := newManifests(t, "helm-values")
	config := m.file("tallyman.yaml", "mine\n")
	_, errs, exit := run(t, "init", "--repository", m.repo.URL, "-o", config)
	if exit != exitBadInput || !strings.Contains(errs, config+" exists, and is left as it is: give another file, or --force") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	if text, err := os.ReadFile(config); err != nil || string(text) != "mine\n" {
		t.Errorf("%s, %v", text, err)
	}
	if _, errs, exit = run(t, "init", "--repository", m.repo.URL, "-o", config, "--force"); exit != 0 {
		t.Errorf("exit %d: %s", exit, errs)
	}
	text, err := os.ReadFile(config)
	m.must(err)
	out, _, exit := run(t, "init", "--repository", m.repo.URL)
	if exit != 0 || out != string(text) || !strings.HasPrefix(out, "# yaml-language-server: $schema=tallyman.schema.json\n") {
		t.Errorf("exit %d: %s", exit, out)
	}
	if left, err := filepath.Glob(filepath.Join(m.dir, ".tallyman*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// An error names the flag that is the way out.
func TestInitRefuses(t *testing.T) {
	m := newManifests(t, "helm-values")
	m.server.RequireToken("a-token")
	wrong := m.file("wrong", "another-token\n")
	for want, flags := range map[string][]string{
		"--repository is required":                                              {},
		"--username goes with a token":                                          {"--repository", m.repo.URL, "--username", "bot"},
		"--force is for --output":                                               {"--repository", m.repo.URL, "--force"},
		"--repository: must not carry a user or password":                       {"--repository", "https://ann:secret@git.example/x.git"},
		"--ssh-key-file: is missing":                                            {"--repository", "git@git.example:x.git"},
		"--known-hosts-file: is missing":                                        {"--repository", "git@git.example:x.git", "--ssh-key-file", wrong},
		"--ca-file: ":                                                           {"--repository", m.repo.URL, "--ca-file", wrong},
		"--branch: is not a name":                                               {"--repository", m.repo.URL, "--branch", "a..b"},
		`takes no argument, and "x" is one`:                                     {"x"},
		"give --token-file with a token that may read it":                       {"--repository", m.repo.URL},
		"check --token-file and --username":                                     {"--repository", m.repo.URL, "--token-file", wrong},
		"the credentials for the git server cannot be read: check --token-file": {"--repository", m.repo.URL, "--token-file", wrong + "x"},
	} {
		out, errs, exit := run(t, append([]string{"init"}, flags...)...)
		if exit == 0 || out != "" || !strings.Contains(errs, want) || strings.Contains(errs, "secret") {
			t.Errorf("%v: exit %d: %s%s, want %s", flags, exit, out, errs, want)
		}
	}
	token := m.file("token", "a-token\n")
	_, errs, exit := run(t, "init", "--repository", m.repo.URL, "--token-file", token, "--branch", "prod")
	if exit != exitFailed || !strings.Contains(errs, "the repository has no branch prod; its default branch is main: give it as --branch") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}

// Over SSH a key and the server's host keys take the place of the token.
func TestInitOverSSH(t *testing.T) {
	m := newManifests(t, "umbrella-chart")
	over, err := m.server.ServeSSH(m.dir)
	m.must(err)
	url := over.URL + strings.TrimPrefix(m.repo.URL, m.server.URL)
	out, errs, exit := run(t, "init", "--repository", url, "--ssh-key-file", over.KeyFile, "--known-hosts-file", over.KnownHostsFile)
	if exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	expect(t, "the proposal", out, "key: .{app}.image.tag", "sshKeyFile: "+over.KeyFile, "knownHostsFile: "+over.KnownHostsFile)
}
