package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// site is what a tallyman works with: a manifest repository on a real git
// server, secrets and a configuration.
type site struct {
	t          *testing.T
	dir        string
	git        *gitserver.Server
	repository *gitserver.Repository
	secret     []byte
	first      string // the commit that everything begins with

	command func(args ...string) *exec.Cmd // a tallyman, where it is not to be the test's own
}

const siteConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
probeListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
manifests:
  url: %[2]s
  credentials: {tokenFile: %[1]s/token}
sources:
  github: {secretFiles: [%[1]s/secret]}
  eventbridge: {secretFiles: [%[1]s/secret]}
api:
  tokens:
    - {name: ci, file: %[1]s/api-token}
access:
  - {who: {dispatch: {repository: shop/apps, repositoryID: 1}}, may: [order], apps: ["*"], environments: ["*"]}
  - {who: {push: {source: eventbridge}}, may: [order], apps: ["*"], environments: ["*"]}
  - {who: {token: ci}, may: [read, order, retry, cancel, rollback, hold, stop, override]}
environments:
  dev:     {tags: {match: 'main-[0-9a-f]{7,40}'}}
  staging: {tags: {match: '(main|rc)-[0-9a-f]{7,40}'}}
  prod:    {tags: {match: '(main|v)-[0-9a-f]{7,40}'}}
apps:
`

// newSite makes a site with as many apps in dev, staging and prod.
func newSite(t *testing.T, apps int) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), secret: []byte("s3cret-of-the-webhook")}
	root := filepath.Join(s.dir, "git")
	s.must(os.Mkdir(root, 0o700))
	var err error
	s.git, err = gitserver.Start(root)
	s.must(err)
	t.Cleanup(func() { s.must(s.git.Close()) })
	s.git.RequireToken("s3cret-of-git")
	s.repository, err = s.git.CreateRepository("myshop/manifests.git")
	s.must(err)

	change := gitserver.Change{Message: "Begin", Files: map[string]string{"README.md": "manifests\n"}}
	config := fmt.Sprintf(siteConfig, s.dir, s.repository.URL)
	for i := range apps {
		app := fmt.Sprintf("app-%02d", i)
		config += fmt.Sprintf("  %s: {repository: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/%s}\n", app, app)
		for _, environment := range []string{"dev", "staging", "prod"} {
			change.Files[fmt.Sprintf("charts/%s/values-%s.yaml", app, environment)] =
				fmt.Sprintf("# %s in %s\n\nimage:\n    tag: main-0000000  # by tallyman\n\nreplicas: 2\n", app, environment)
		}
	}
	s.first, err = s.repository.Commit(change)
	s.must(err)
	for name, text := range map[string]string{"tallyman.yaml": config, "token": "s3cret-of-git\n", "secret": string(s.secret) + "\n", "api-token": "s3cret-of-the-api-and-long\n"} {
		s.must(os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
	}
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) config() string { return filepath.Join(s.dir, "tallyman.yaml") }

// start starts a tallyman on the site and waits until it is ready.
func (s *site) start(ctx context.Context) (c *child, base, admin string) {
	s.t.Helper()
	cmd := exec.Command(binary, "serve", "--config", s.config())
	if s.command != nil {
		cmd = s.command("serve", "--config", "/etc/tallyman/tallyman.yaml")
	}
	c, err := startCommand(cmd)
	s.must(err)
	s.t.Cleanup(func() { _ = c.kill() })
	base, admin, err = c.awaitReady(ctx)
	s.must(err)
	return c, base, admin
}

// run runs the binary to its end.
func run(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func expect(t *testing.T, what, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("%s does not say %q:\n%s", what, want, got)
		}
	}
}

// stateIn is the state in which a line of the log says that an update ended.
func stateIn(line map[string]any) (state gitops.State, ok bool) {
	message, _ := line["msg"].(string)
	text, isUpdate := strings.CutPrefix(message, "update ")
	state = gitops.State(text)
	return state, isUpdate && state.Final() && slices.Contains(gitops.States(), state)
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// probes is where a child that is ready answers probes.
func (c *child) probes(t testing.TB) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.lines {
		if address, ok := line["probes"].(string); ok && line["msg"] == "ready" {
			return "http://" + address
		}
	}
	t.Fatal("it is not ready")
	return ""
}
