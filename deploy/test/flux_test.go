package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
)

const fluxConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
probeListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
manifests: {url: "http://127.0.0.1:1/nobody.git"}
api: {tokens: [{name: flux, file: %[1]s/token}]}
access:
  - {who: {token: flux}, may: [report], apps: [myshop-api], environments: [prod]}
environments: {prod: {tags: {semver: ">=1.0.0"}, rollout: {by: reports, timeout: 30m}}}
apps: {myshop-api: {}}
`

// TestFluxReports lays the hook into the example's chart, as its README says, and has the
// Job's own script report to a running tallyman, which understands it. What is not taken
// fails no release.
func TestFluxReports(t *testing.T) {
	t.Parallel()
	chart := filepath.Join(t.TempDir(), "chart")
	if err := os.CopyFS(chart, os.DirFS(filepath.Join(example, "charts/myshop-api"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(chart, "templates"), map[string]string{"report-health.yaml": read(t, "flux/report-health.yaml")})
	dir := t.TempDir()
	write(t, dir, map[string]string{"token": "this-is-not-a-real-secret\n", "tallyman.yaml": strings.ReplaceAll(fluxConfig, "%[1]s", dir)})
	at := serve(t, filepath.Join(dir, "tallyman.yaml"))
	manifests := decode(t, render(t, chart, filepath.Join(chart, "values-prod.yaml"),
		"--set", "health.environment=prod,health.url=http://"+at.Listen+",health.tokenSecret=tallyman-report,health.image=curl"))
	jobs := objects(manifests, "Job")
	if len(jobs) != 1 {
		t.Fatalf("it renders %d Jobs", len(jobs))
	}
	var job batchv1.Job
	convert(t, jobs[0].raw, &job)
	if hook := job.Annotations["helm.sh/hook"]; hook != "post-install,post-upgrade" {
		t.Errorf("it runs at %q", hook)
	}
	checkRestricted(t, job.Spec.Template)
	container := job.Spec.Template.Spec.Containers[0]
	report := func(tokenFile string) string {
		t.Helper()
		command := exec.Command(container.Command[0], append(container.Command[1:], container.Args...)...)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "TOKEN_FILE=" + tokenFile}
		for _, variable := range container.Env {
			if variable.Name != "TOKEN_FILE" {
				command.Env = append(command.Env, fmt.Sprintf("%s=%s", variable.Name, variable.Value))
			}
			if variable.Name == "REPORT" && !json.Valid([]byte(variable.Value)) {
				t.Errorf("it sends %s", variable.Value)
			}
		}
		out, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("the Job fails, and the release with it: %v: %s", err, out)
		}
		return string(out)
	}
	// Authenticated, authorized and understood: there is only nothing yet that it could be about.
	if out := report(filepath.Join(dir, "token")); !strings.Contains(out, "tallyman has written nothing of myshop-api in prod yet") || !strings.Contains(out, "tallyman did not take the report: {") || !strings.Contains(out, `"tag":"1.3.0"`) {
		t.Errorf("it says %s", out)
	}
	if out := report("/dev/null"); !strings.Contains(out, "401") {
		t.Errorf("without a token it says %s", out)
	}
}
