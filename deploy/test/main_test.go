package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// repository is the root of the repository, seen from this package.
const repository = "../.."

// binary is the real tallyman, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tallyman-deploy-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "tallyman")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/tallyman") // as make build, whose cache it shares
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building tallyman: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// tools are the paths of this module's tools, each built when it is first used.
var tools sync.Map

// tool is a command of one of this module's tools.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	build, _ := tools.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		command := exec.Command("go", "tool", "-n", name)
		// promtool without the service discovery of a dozen clouds: it does not
		// take part in checking rules, and it is most of what there is to compile.
		command.Env = append(os.Environ(), "GOFLAGS=-trimpath -tags=remove_all_sd")
		var problems bytes.Buffer
		command.Stderr = &problems
		path, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", name, err, &problems)
		}
		return strings.TrimSpace(string(path)), nil
	}))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(path, args...)
}

// run returns what a command prints, which must succeed.
func run(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, &out, &problems)
	}
	return out.String()
}

// read returns a file's text, by its path in deploy/.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write makes files for their user alone, by their names in dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(file), 0o700)
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// glob returns the paths in deploy/ that match, at least one.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("..", pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("deploy/%s matches nothing: %v", pattern, err)
	}
	for i := range found {
		found[i] = strings.TrimPrefix(found[i], "../")
	}
	return found
}
