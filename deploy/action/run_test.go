package action_test

import (
	"fmt"
	"html"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/secrettest"
)

// said is all that the action writes, but for the lines that mask a token.
var said secrettest.Book

// No token is ever said.
func TestMain(m *testing.M) {
	said.Forbid(gitToken, apiToken, runnerToken, webhookSecret)
	os.Exit(secrettest.Main(m, &said))
}

// result is what a run of the action leaves.
type result struct {
	failed  bool
	log     string // without the lines that mask a token
	summary string
	outputs map[string]string
}

// run runs the action's step as a runner does, with inputs beyond the usual ones. An
// input of environment variables, in capitals, is one of the runner's.
func (s *site) run(inputs map[string]string) result {
	s.t.Helper()
	with := map[string]string{"url": s.front.URL, "audience": audience, "app": "api", "environment": "dev", "tag": "main-1a2b3c4", "timeout": "60s"}
	maps.Copy(with, inputs)
	files, dir := s.t.TempDir(), s.t.TempDir()
	command := exec.CommandContext(s.t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", definition(s.t).Runs.Steps[0].Run)
	command.Dir = dir
	runner := map[string]string{
		"PATH": os.Getenv("PATH"), "TMPDIR": dir, "GITHUB_ACTION_PATH": here(s.t), "GITHUB_OUTPUT": filepath.Join(files, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(files, "summary"),
		"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY_ID": "456789", "GITHUB_RUN_ID": "16055869479", "GITHUB_RUN_ATTEMPT": "1",
		"ACTIONS_ID_TOKEN_REQUEST_URL": s.runner.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": runnerToken,
	}
	for name, value := range with {
		if strings.ToUpper(name) == name {
			runner[name] = value
		}
	}
	maps.Copy(runner, environment(s.t, with))
	for name, value := range runner {
		command.Env = append(command.Env, name+"="+value)
	}
	out, err := command.CombinedOutput()
	masked := regexp.MustCompile(`(?m)^::add-mask::.*\n`).ReplaceAllString(string(out), "")
	r := result{failed: err != nil, log: masked, summary: text(s.t, runner["GITHUB_STEP_SUMMARY"]), outputs: map[string]string{}}
	for line := range strings.Lines(text(s.t, runner["GITHUB_OUTPUT"])) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		r.outputs[name] = value
	}
	fmt.Fprintln(&said, r.log, r.summary, r.outputs)
	if err == nil && masked == string(out) {
		s.t.Errorf("no token is masked:\n%s", out)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		s.t.Errorf("it leaves %v", left)
	}
	return r
}

// text is a file's, which need not be there.
func text(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}

func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// actionTools are what the action calls.
var actionTools = []string{"bash", "curl", "jq", "sha256sum"}

// needTools skips a test where a tool is missing, and fails it in CI.
func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is missing; make test-deps installs it", name)
			}
			t.Skipf("NOT TESTED: %s is missing; make test-deps installs it", name)
		}
	}
}

// expect checks how the action ended, and that log and summary both say why.
func (r result) expect(t *testing.T, failed bool, state, why string) {
	t.Helper()
	if r.failed != failed || r.outputs["state"] != state || !strings.Contains(r.log, why) || !strings.Contains(html.UnescapeString(r.summary), why) {
		t.Errorf("failed: %t, outputs: %v, want %t, state %q and %q\nsummary:\n%s\nlog:\n%s", r.failed, r.outputs, failed, state, why, r.summary, r.log)
	}
	if failed != strings.Contains(r.log, "::error title=tallyman::") {
		t.Errorf("failed is %t, and the log:\n%s", failed, r.log)
	}
}
