package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// setup is what a tallyman is started with. It serves the API, as it does wherever
// people use it.
type setup struct {
	binary     string // the one that is measured, when empty
	shape      gitserver.Shape
	repository *gitserver.Repository
	store      string // address; empty: a new SQLite file
	discover   bool   // the branch names the apps, and the configuration none
	registry   string // host whose images it looks at, and waits for as long as they take; empty: it looks at none
	argo       string // address of an Argo CD that its updates are followed in; empty: in none
	argoToken  string
	receiver   string // address that is told, beside that
	layout     string // lines of the configuration that say where tags stand; empty: the defaults

	files       func(dir string) map[string]string // its files in its directory, tallyman.yaml among them; nil: the usual ones
	within      []string                           // a command that runs the command behind it; empty: none is needed
	environment []string                           // what it has in its environment besides this process's
}

const configuration = `listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
pprof: true
probeListen: 127.0.0.1:0
store: %[3]s
manifests:
  url: %[2]s
  credentials: {tokenFile: %[1]s/token}
sources:
  github: {secretFiles: [%[1]s/webhook-secret]}
api:
  tokens: [{name: bench, file: %[1]s/api-token}]
access:
  - {who: {dispatch: {repository: example/manifests, repositoryID: 1}}, may: [order], apps: ["*"], environments: ["*"]}
  - {who: {token: bench}, may: [read, stop]}
`

// apiToken is what the bench reads the API with.
const apiToken = "the-bench-reads-the-api-with-this"

// start starts a tallyman and waits until it takes deliveries.
func (b *bench) start(ctx context.Context, s setup) (*tallyman, error) {
	b.started++
	dir := filepath.Join(b.stores, fmt.Sprint(b.started))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if s.store == "" {
		s.store = "sqlite://" + filepath.Join(dir, "tallyman.db")
	}
	if s.binary == "" {
		s.binary = b.binary
	}
	t := &tallyman{setup: s, config: filepath.Join(dir, "tallyman.yaml"), news: make(chan struct{}, 1)}
	files := map[string]string{"token": token, "webhook-secret": string(secret), "api-token": apiToken,
		"argocd-token": s.argoToken, "hook-secret": "whsec_" + base64.StdEncoding.EncodeToString([]byte("the-bench-signs-notifications-so"))}
	if s.files != nil {
		maps.Copy(files, s.files(dir))
	} else {
		files["tallyman.yaml"] = string(s.configure(dir))
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	if err := t.run(ctx); err != nil {
		return nil, errors.Join(err, t.kill())
	}
	return t, nil
}

// configure is the configuration of a tallyman whose files are in the directory.
func (s setup) configure(dir string) []byte {
	config := fmt.Appendf(nil, configuration, dir, s.repository.URL, s.store)
	config = append(config, s.layout...)
	if s.layout == "" && s.shape.Apps >= 5_000 { // as docs/configuration.md says of so many
		config = append(config, "limits: {memory: 1GiB}\n"...)
	}
	if s.argo != "" {
		config = fmt.Appendf(config, "argocd: [{url: %[2]s, tokenFile: %[1]s/argocd-token, projects: [bench]}]\n", dir, s.argo)
		config = fmt.Appendf(config, "notify: [{name: bench, webhook: {url: %[2]s, secretFile: %[1]s/hook-secret}, kinds: [committed, healthy, degraded]}]\n", dir, s.receiver)
	}
	config = append(config, "environments:\n"...)
	image := ""
	if s.registry != "" {
		image = ", image: {wait: 1h}"
	}
	for _, environment := range s.shape.Environments {
		config = fmt.Appendf(config, "  %s: {tags: {match: 'main-[0-9a-f]{7,40}'}%s}\n", environment, image)
	}
	if s.discover {
		return append(config, "discover: [{file: 'charts/{app}/values-{env}.yaml'}]\n"...)
	}
	config = append(config, "apps:\n"...)
	for n := range s.shape.Apps {
		app, repository := gitserver.App(n), ""
		if s.registry != "" {
			repository = "repository: " + s.registry + "/" + app
		}
		config = fmt.Appendf(config, "  %s: {%s}\n", app, repository)
	}
	return config
}

// run starts the process, or one more after it ended, and waits until it is ready.
func (t *tallyman) run(ctx context.Context) error {
	log, write, err := os.Pipe()
	if err != nil {
		return err
	}
	t.tell(func() { t.addresses, t.ended = nil, false })
	command := append(slices.Clone(t.within), t.binary, "serve", "--config", t.config)
	t.cmd = exec.Command(command[0], command[1:]...)
	t.cmd.Env = append(os.Environ(), t.environment...)
	t.cmd.Stderr = write
	t.began = time.Now()
	err = t.cmd.Start()
	write.Close()
	if err != nil {
		log.Close()
		return err
	}
	t.reading.Go(func() { t.read(log) })
	err = t.await(ctx, func() bool { return t.addresses != nil })
	if err == nil {
		t.public, t.admin = t.addresses.Listen, t.addresses.Admin
	}
	return err
}
