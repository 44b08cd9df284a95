package main

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// manifests is the myshop example: what the demo's repository begins with.
//
//go:embed all:manifests
var manifests embed.FS

// demo is the stage: a manifest repository on a git server, secrets, and a
// tallyman in a process of its own.
type demo struct {
	dir        string
	git        *gitserver.Server
	repository *gitserver.Repository
	first      string // the commit that everything begins with
	files      string // of that commit, one a line

	githubSecret, ecrSecret []byte

	server      *child
	base, admin string // addresses of the server
}

func newDemoStage() (d *demo, err error) {
	d = &demo{githubSecret: []byte("It's a Secret to Everybody"), ecrSecret: []byte("eventbridge-demo-key")}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.dir, err = os.MkdirTemp("", "tallyman-demo-"); err != nil {
		return d, err
	}
	if err := os.Mkdir(filepath.Join(d.dir, "git"), 0o700); err != nil {
		return d, err
	}
	if d.git, err = gitserver.Start(filepath.Join(d.dir, "git")); err != nil {
		return d, err
	}
	d.git.RequireToken("demo-token")
	if d.repository, err = d.git.CreateRepository("myshop/myshop-manifests.git"); err != nil {
		return d, err
	}
	change := gitserver.Change{Message: "The shop's manifests", Files: map[string]string{}}
	err = fs.WalkDir(manifests, "manifests", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := manifests.ReadFile(path)
		change.Files[strings.TrimPrefix(path, "manifests/")] = string(text)
		return err
	})
	if err != nil {
		return d, err
	}
	if d.first, err = d.repository.Commit(change); err != nil {
		return d, err
	}
	d.files, err = d.repository.Git("ls-tree", "-r", "--name-only", "main")
	return d, err
}

func (d *demo) close() error {
	var problems []error
	if d.server != nil {
		problems = append(problems, d.server.kill())
	}
	if d.git != nil {
		problems = append(problems, d.git.Close())
	}
	if d.dir != "" {
		problems = append(problems, os.RemoveAll(d.dir))
	}
	return errors.Join(problems...)
}

const demoConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
manifests:
  url: %[2]s
  credentials: {tokenFile: %[1]s/token}
sources:
  github: {secretFiles: [%[1]s/webhook-secret]}
  eventbridge: {secretFiles: [%[1]s/eventbridge-key], accounts: ["123456789012"]}
environments:
  dev:     {tags: {match: 'main-[0-9a-f]{7,40}'}}
  staging: {tags: {semver: ">=1.0.0-0"}}
  prod:    {tags: {semver: ">=1.0.0"}}
apps:
  myshop-api: {repository: %[3]s}
`

// serve starts tallyman on the repository, in a process of its own, and waits
// until it is ready.
func (d *demo) serve(ctx context.Context) error {
	for name, text := range map[string][]byte{
		"token": []byte("demo-token\n"), "webhook-secret": d.githubSecret, "eventbridge-key": d.ecrSecret,
		"tallyman.yaml": fmt.Appendf(nil, demoConfig, d.dir, d.repository.URL, demoImage),
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if d.server, err = startChild(self, "serve", "--config", filepath.Join(d.dir, "tallyman.yaml")); err != nil {
		return err
	}
	d.base, d.admin, err = d.server.awaitReady(ctx)
	return err
}

// metrics returns the server's counters and gauges by name and labels.
func (d *demo) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, err
	}
	values := make(map[string]float64)
	for name, family := range families {
		for _, metric := range family.Metric {
			var labels []string
			for _, label := range metric.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			series := "{" + strings.Join(labels, ",") + "}"
			switch {
			case metric.Counter != nil:
				values[name+series] = metric.Counter.GetValue()
			case metric.Histogram != nil:
				values[name+"_count"+series] = float64(metric.Histogram.GetSampleCount())
			}
		}
	}
	return values, nil
}

// moved lists tallyman's own metrics that differ.
func moved(before, after map[string]float64) string {
	var lines []string
	for series, value := range after {
		if was := before[series]; value != was && strings.HasPrefix(series, "tallyman_") {
			lines = append(lines, fmt.Sprintf("%s %g -> %g", strings.TrimSuffix(series, "{}"), was, value))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// child is a tallyman in a process of its own. Its log is read all the time, so
// that it never blocks on it.
type child struct {
	cmd   *exec.Cmd
	lines chan map[string]any // of its log, those that say something; closed at its end
	other []string            // what it printed that is no log line; read after lines is closed
}

func startChild(binary string, args ...string) (*child, error) {
	cmd := exec.Command(binary, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, lines: make(chan map[string]any, 1024)}
	go func() {
		defer close(c.lines)
		scanner := bufio.NewScanner(stderr)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			var line map[string]any
			if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
				c.other = append(c.other, scanner.Text())
				continue
			}
			c.lines <- line
		}
	}()
	return c, nil
}

// await reads the log until a line is the one.
func (c *child) await(ctx context.Context, isIt func(line map[string]any) bool) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-c.lines:
			if !ok {
				return fmt.Errorf("tallyman ended: %s", strings.Join(c.other, "; "))
			}
			if isIt(line) {
				return nil
			}
		}
	}
}

func (c *child) awaitReady(ctx context.Context) (public, admin string, err error) {
	err = c.await(ctx, func(line map[string]any) bool {
		public, _ = line["listen"].(string)
		admin, _ = line["admin"].(string)
		return line["msg"] == "ready"
	})
	return "http://" + public, "http://" + admin, err
}

// awaitUpdates waits until n updates are on origin.
func (c *child) awaitUpdates(ctx context.Context, n int) error {
	return c.await(ctx, func(line map[string]any) bool {
		if line["msg"] == "update" && line["state"] == "committed" {
			n--
		}
		return n == 0
	})
}

// stop ends it as an operator would. It must end with exit status 0.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return c.wait()
}

// kill ends it at once, if it still runs.
func (c *child) kill() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	_ = c.cmd.Process.Kill() // it may have just ended
	_ = c.wait()             // by our own kill
	return nil
}

func (c *child) wait() error {
	for range c.lines {
	}
	return c.cmd.Wait()
}
