package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/secrettest"
)

// What must never be said.
const (
	oldSecret    = "s3cret-of-the-webhook-until-today"
	newSecret    = "s3cret-of-the-webhook-from-today"
	bridgeSecret = "s3cret-of-the-api-destination"
	gitToken     = "s3cret-of-git"
	apiToken     = "s3cret-of-the-api-for-all"
	readToken    = "s3cret-of-the-api-for-reading"
)

// said is all that the servers of all tests log, answer and count.
var said secrettest.Book

// No secret and no signature is ever said.
func TestMain(m *testing.M) {
	said.Forbid(oldSecret, newSecret, bridgeSecret, gitToken, apiToken, readToken)
	os.Exit(secrettest.Main(m, &said))
}

// site is what a server works with: a manifest repository on a real git server,
// secrets' files, a configuration and an empty store.
type site struct {
	t          testing.TB
	dir        string
	git        *gitserver.Server
	repository *gitserver.Repository
	yaml       string
	log        *logtest.Log
}

// The secrets' files end in what echo, a Windows editor and printf leave.
var secretFiles = map[string]string{"old": oldSecret + "\n", "new": newSecret + "\r\n", "bridge": bridgeSecret, "token": gitToken + "\n", "api-token": apiToken + "\n", "read-token": readToken + "\n"}

const siteConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
probeListen: 127.0.0.1:0
store: sqlite://DIR/tallyman.db
manifests:
  url: URL
  credentials: {tokenFile: DIR/token}
sources:
  github: {secretFiles: [DIR/old, DIR/new]}
  eventbridge: {secretFiles: [DIR/bridge]}
api:
  tokens:
    - {name: ops, file: DIR/api-token}
    - {name: board, file: DIR/read-token}
access:
  - {who: {dispatch: {repository: shop/api, repositoryID: 17}}, may: [order], apps: ["*"], environments: ["*"]}
  - {who: {push: {source: eventbridge, accounts: ["123456789012"]}}, may: [order], apps: ["*"], environments: ["*"]}
  - {who: {token: ops}, may: [read, order, retry, cancel]}
  - {who: {token: board}, may: [read]}
environments:
  dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}
  prod: {tags: {semver: ">=1.0.0"}}
apps:
  api: {repository: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api}
  worker: {environments: [dev]}
`

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), log: new(logtest.Log)}
	root := filepath.Join(s.dir, "git")
	s.must(os.Mkdir(root, 0o700))
	var err error
	s.git, err = gitserver.Start(root)
	s.must(err)
	t.Cleanup(func() { s.must(s.git.Close()) })
	s.git.RequireToken(gitToken)
	s.repository, err = s.git.CreateRepository("shop/manifests.git")
	s.must(err)
	files := map[string]string{}
	for _, target := range [][2]string{{"api", "dev"}, {"api", "prod"}, {"worker", "dev"}} {
		files[gitserver.ValuesFile(target[0], target[1])] = gitserver.Values(target[0], target[1], "main-0000000")
	}
	_, err = s.repository.Commit(gitserver.Change{Files: files})
	s.must(err)
	for name, content := range secretFiles {
		s.must(os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600))
	}
	s.yaml = strings.NewReplacer("DIR", s.dir, "URL", s.repository.URL).Replace(siteConfig)
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// edit replaces text of the configuration that must be there.
func (s *site) edit(old, now string) {
	s.t.Helper()
	if !strings.Contains(s.yaml, old) {
		s.t.Fatalf("the configuration has no %q", old)
	}
	s.yaml = strings.ReplaceAll(s.yaml, old, now)
}

func (s *site) config() config.Config {
	s.t.Helper()
	c, err := config.Parse([]byte(s.yaml))
	s.must(err)
	return c
}

func (s *site) newServer() (*Server, error) {
	s.t.Helper()
	return New(s.config(), Version{Version: "1.2.3", Revision: "c0ffee", Go: "go1"}, s.logger())
}

func (s *site) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(io.MultiWriter(s.log, &said, s.t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start runs a server until the test's end, unless the test stops it before.
func (s *site) start() *running {
	s.t.Helper()
	server, err := s.newServer()
	s.must(err)
	return s.run(server)
}

// run starts a server that start made.
func (s *site) run(server *Server) *running {
	s.t.Helper()
	s.must(server.Start(s.t.Context()))
	keys, err := server.store.ProofKeys(s.t.Context())
	s.must(err)
	for _, k := range keys {
		said.Forbid(string(k.Secret[:]), hex.EncodeToString(k.Secret[:]))
	}
	r := &running{Server: server, t: s.t}
	s.t.Cleanup(r.stop)
	return r
}

type running struct {
	*Server
	t testing.TB
}

func (r *running) stop() {
	r.t.Helper()
	counted, err := r.metrics.registry.Gather()
	if err != nil {
		r.t.Errorf("gathering: %v", err)
	}
	fmt.Fprintln(&said, counted)
	if err := r.Stop(context.WithoutCancel(r.t.Context())); err != nil {
		r.t.Errorf("stopping: %v", err)
	}
}
