package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tallyman-dev/tallyman/deploy"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// demo is the stage: a manifest repository on a git server, secrets, and a
// tallyman in a process of its own.
type demo struct {
	dir        string
	git        *gitserver.Server
	repository *gitserver.Repository
	registry   *demoRegistryServer
	forge      *demoForge
	argo       *demoArgo
	first      string // the commit that everything begins with
	files      string // of that commit, one a line

	githubSecret, ecrSecret []byte

	server      *child
	base, admin string // addresses of the server
	discovered  bool   // it has looked at the branch
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
	if d.registry, err = startDemoRegistry(); err != nil {
		return d, err
	}
	if d.repository, err = d.git.CreateRepository("myshop/myshop-manifests.git"); err != nil {
		return d, err
	}
	d.forge = startDemoForge(d.repository)
	d.git.Admit(d.forge.Good)
	files, err := deploy.Manifests()
	if err != nil {
		return d, err
	}
	if d.first, err = d.repository.Commit(gitserver.Change{Message: "The shop's manifests", Files: files}); err != nil {
		return d, err
	}
	d.argo = startDemoArgo(d.repository, d.first, d.registry.host)
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
	if d.registry != nil {
		problems = append(problems, d.registry.close())
	}
	if d.forge != nil {
		problems = append(problems, d.forge.close())
	}
	if d.argo != nil {
		problems = append(problems, d.argo.close())
	}
	if d.dir != "" {
		problems = append(problems, os.RemoveAll(d.dir))
	}
	return errors.Join(problems...)
}

const demoConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
probeListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
manifests:
  url: %[2]s
  credentials: {githubApp: {appID: 1234, privateKeyFile: %[1]s/app.pem, apiURL: "%[5]s"}}
sources:
  github: {secretFiles: [%[1]s/webhook-secret]}
  eventbridge: {secretFiles: [%[1]s/eventbridge-key]}
api:
  tokens: [{name: developer, file: %[1]s/api-token}]
argocd:
  - {url: "%[6]s", tokenFile: %[1]s/argocd-token, projects: [myshop]}
access:
  - {who: {dispatch: {repository: myshop/myshop-api, repositoryID: 17273051}}, may: [order], apps: [myshop-api, myshop-web, myshop-jobs], environments: [dev, staging]}
  - {who: {push: {source: eventbridge, accounts: ["123456789012"]}}, may: [order], apps: ["*"], environments: [dev, staging]}
  - {who: {token: developer}, may: [read]}
  - {who: {revert: {}}, may: [rollback], apps: ["*"], environments: [dev]}
  - {who: {token: developer}, may: [order, cancel, rollback, stop], environments: [dev, next, staging, prod]}
environments:
  dev:     {tags: {match: 'main-[0-9a-f]{7,40}'}, rollout: {revert: true}}
  next:    {tags: {match: 'main-[0-9a-f]{7,40}'}, set: helm-digest, image: {wait: 1m}}
  staging: {tags: {semver: ">=1.0.0-0"}, rollout: {by: none}}
  prod:    {tags: {semver: ">=1.0.0"}, write: pull-request, rollout: {by: none}}
discover:
  - {file: "charts/{app}/values-{env}.yaml", repository: "%[3]s/{app}"}
apps:
  myshop-jobs: {file: charts/myshop-jobs/values-dev.yaml, environments: [dev]}
  myshop-search: {repository: "%[4]s/myshop-search", environments: [next]}
`

// serve starts tallyman on the repository, in a process of its own, and waits
// until it is ready and knows the apps.
func (d *demo) serve(ctx context.Context) error {
	for name, text := range map[string][]byte{
		"app.pem": d.forge.PrivateKey(), "webhook-secret": d.githubSecret, "eventbridge-key": d.ecrSecret, "api-token": []byte(demoToken + "\n"), "argocd-token": []byte(d.argo.token + "\n"),
		"tallyman.yaml": fmt.Appendf(nil, demoConfig, d.dir, d.repository.URL, demoRegistry, d.registry.host, d.forge.URL, d.argo.url),
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
	return d.server.await(ctx, func(line map[string]any) bool {
		switch line["msg"] {
		case "ready":
			d.base, d.admin = fmt.Sprint("http://", line["listen"]), fmt.Sprint("http://", line["admin"])
		case "apps discovered":
			d.discovered = true
		}
		return d.base != "" && d.discovered
	})
}

// addApp merges the files of two new apps.
func (d *demo) addApp() error {
	_, err := d.repository.Commit(gitserver.Change{Message: "Charts for the web app and the search", Files: map[string]string{
		"charts/" + demoNewApp + "/values-dev.yaml":   "image:\n  tag: main-0000000\n",
		"charts/" + demoLateApp + "/values-next.yaml": "image:\n  tag: main-0000000\n  digest: \"\"\n",
	}})
	return err
}

// ask runs a command that asks the server, and returns all that it prints. A
// refusal, an open pull request and a release that does not run are answers, too.
func (d *demo) ask(ctx context.Context, args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), "TALLYMAN_URL="+d.base, "TALLYMAN_TOKEN_FILE="+filepath.Join(d.dir, "api-token"))
	printed, err := cmd.CombinedOutput()
	if exited := new(exec.ExitError); errors.As(err, &exited) && slices.Contains([]int{exitRejected, exitHeld, exitProposed, exitNotHealthy}, exited.ExitCode()) {
		err = nil
	}
	return string(printed), err
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
