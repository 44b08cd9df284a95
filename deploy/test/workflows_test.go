package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// workflow is what is asked of a workflow; actionlint has checked the rest.
type workflow struct {
	Permissions *map[string]string
	Defaults    struct{ Run struct{ Shell string } }
	Jobs        map[string]struct {
		Uses        string
		Permissions map[string]string
		Steps       []step
	}
}

type step struct {
	ID, Name, Uses, Run string
	Env, With           map[string]string
}

func readWorkflow(t *testing.T, file string) workflow {
	t.Helper()
	var w workflow
	if err := yaml.Unmarshal([]byte(read(t, file)), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// action is our own, as the workflows name it.
const action = "tallyman-dev/tallyman/deploy/action@v1"

// TestActionlint lays the workflows where they belong, since one calls another, and
// the action beside them, so that its definition and what it is given are checked, too.
func TestActionlint(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	run(t, exec.Command("git", "init", "--quiet", root))
	dir := filepath.Join(root, ".github/workflows")
	for _, file := range glob(t, "workflows/*.yml") {
		write(t, dir, map[string]string{filepath.Base(file): strings.ReplaceAll(read(t, file), action, "./action")})
	}
	write(t, root, map[string]string{"action/action.yml": read(t, "action/action.yml")})
	lint := tool(t, "actionlint", "-shellcheck=", "-pyflakes=")
	lint.Dir = root
	run(t, lint)
}

var pinned = regexp.MustCompile(`^(\./\.github/workflows/[\w-]+\.yml|[\w-]+/[\w-]+@[0-9a-f]{40})$`)

// TestWorkflowsTrustNobody proves that no expression stands in a script, where
// the name of a branch would be run; and that there are no keys, no rights that
// are not asked for, and no actions that can be replaced.
func TestWorkflowsTrustNobody(t *testing.T) {
	scripts := 0
	for _, file := range glob(t, "workflows/*.yml") {
		w := readWorkflow(t, file)
		if w.Permissions == nil || len(*w.Permissions) > 0 {
			t.Errorf("%s: permissions are not {} at the top", file)
		}
		var document any
		if err := yaml.Unmarshal([]byte(read(t, file)), &document); err != nil {
			t.Fatal(err)
		}
		each(document, func(key string, value any) {
			text, _ := value.(string)
			switch key {
			case "run", "script":
				if text != "" { // defaults have a run, too
					scripts++
				}
				if strings.Contains(text, "${{") {
					t.Errorf("%s: a script has an expression:\n%s", file, text)
				}
				if strings.Contains(text, "eval ") {
					t.Errorf("%s: a script has eval", file)
				}
			case "uses":
				if !pinned.MatchString(text) && text != action { // docs/adopt.md pins it to the tallyman that runs
					t.Errorf("%s: %s is not pinned to a commit", file, text)
				}
			case "aws-access-key-id", "aws-secret-access-key", "role-skip-session-tagging":
				t.Errorf("%s: %s", file, key)
			case "contents", "id-token", "packages", "actions":
				if text == "write" && key != "id-token" {
					t.Errorf("%s: may write %s", file, key)
				}
			}
		})
		for _, secret := range regexp.MustCompile(`secrets\.(\w+)`).FindAllStringSubmatch(read(t, file), -1) {
			if secret[1] != "DISPATCH_APP_KEY" {
				t.Errorf("%s: there is a secret %s", file, secret[1])
			}
		}
	}
	if scripts == 0 {
		t.Error("no script was found: is this test blind?")
	}
}

// each calls do with every key and value of a document.
func each(node any, do func(key string, value any)) {
	switch n := node.(type) {
	case map[string]any:
		for key, value := range n {
			do(key, value)
			each(value, do)
		}
	case []any:
		for _, value := range n {
			each(value, do)
		}
	}
}

// script is the script of a step, to be run as a runner does.
func script(t *testing.T, file, job, name string, env ...string) *exec.Cmd {
	t.Helper()
	w := readWorkflow(t, file)
	if w.Defaults.Run.Shell != "bash" {
		t.Errorf("%s: its scripts run without pipefail", file)
	}
	for _, s := range w.Jobs[job].Steps {
		if s.Name == name {
			command := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run)
			command.Dir = t.TempDir()
			command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
			return command
		}
	}
	t.Fatalf("%s has no step %q in %s", file, name, job)
	return nil
}

func TestTagRule(t *testing.T) {
	const sha = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"
	for _, test := range []struct{ ref, output string }{
		{"refs/heads/main", "tag=main-1a2b3c4d5e6f\nenvironment=dev\n"},
		{"refs/tags/v1.4.2", "tag=1.4.2\nenvironment=staging\n"},
		{"refs/tags/v1.4.2-rc.1", "tag=1.4.2-rc.1\nenvironment=staging\n"},
		{"refs/tags/v1.4", ""},
		{"refs/tags/vlatest", ""},
		{"refs/tags/v1.2.3\nenvironment=prod", ""},
		{"refs/tags/v1.2.3-$(touch${IFS}pwned)", ""},
		{"refs/tags/v1.2.3-`touch pwned`", ""},
		{"refs/tags/v1.2.3\";touch pwned;\"", ""},
		{"refs/heads/main-2", ""},
	} {
		t.Run(test.ref, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "output")
			command := script(t, "workflows/build.yml", "build", "Tag rule", "REF="+test.ref, "SHA="+sha, "GITHUB_OUTPUT="+output)
			err := command.Run()
			got, _ := os.ReadFile(output)
			if string(got) != test.output || (err == nil) != (test.output != "") {
				t.Errorf("it ends with %v and gives %q", err, got)
			}
			if left, _ := os.ReadDir(command.Dir); len(left) > 0 {
				t.Errorf("the tag was run: it left %v", left)
			}
		})
	}
}

// hostile is text that a shell or jq would run if it were pasted.
const hostile = `1.2.3"; touch pwned; $(touch pwned) '`

// TestDispatch runs the dispatch's script with a gh that writes its arguments
// down.
func TestDispatch(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "gh"), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for app, fields := range map[string][]string{
		"myshop-api":        {"client_payload[app]=myshop-api"},
		"cart, pay\nweb,\n": {"client_payload[app][]=cart", "client_payload[app][]=pay", "client_payload[app][]=web"},
		"$(touch${IFS}x)*":  {"client_payload[app]=$(touch${IFS}x)*"},
	} {
		command := script(t, "workflows/order-dispatch.yml", "order", "Dispatch", "OWNER=myshop", "APP="+app, "ENVIRONMENT=dev", "TAG="+hostile, "DIGEST=sha256:0", "REVISION="+strings.Repeat("1a", 20))
		command.Env = append(command.Env, "PATH="+bin+":"+os.Getenv("PATH"))
		want := []string{"api", "repos/myshop/myshop-manifests/dispatches", "-f", "event_type=update-image"}
		for _, field := range append(fields, "client_payload[env]=dev", "client_payload[tag]="+hostile, "client_payload[digest]=sha256:0", "client_payload[sha]="+strings.Repeat("1a", 20)) {
			want = append(want, "-f", field)
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(run(t, command), "\n"), "\n")); diff != "" {
			t.Errorf("%q: arguments (-want +got):\n%s", app, diff)
		}
		if left, _ := os.ReadDir(command.Dir); len(left) > 0 {
			t.Errorf("%q: a text was run: it left %v", app, left)
		}
	}
}
