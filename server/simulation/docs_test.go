package simulation

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	named    = regexp.MustCompile("`(Test\\w+)` \\(([\\w/]+)\\)")
	unplaced = regexp.MustCompile("`Test\\w+`[^ ]|`Test\\w+` [^(]")
	defined  = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
)

// TestFaultTableIsHeldByTests holds docs/faults.md, docs/security.md and docs/performance.md to naming
// tests that exist, so that the pages do not outlive what they say.
func TestFaultTableIsHeldByTests(t *testing.T) {
	const root = "../../"
	tests := make(map[string][]string) // by package
	for name, least := range map[string]int{"faults.md": 50, "security.md": 8, "performance.md": 1} {
		page, err := os.ReadFile(root + "docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if found := unplaced.Find(page); found != nil {
			t.Errorf("%s: a test is named without its package: %s", name, found)
		}
		rows := named.FindAllStringSubmatch(string(page), -1)
		for _, row := range rows {
			test, pkg := row[1], row[2]
			if _, read := tests[pkg]; !read {
				tests[pkg] = testsOf(t, root+pkg)
			}
			if !slices.Contains(tests[pkg], test) {
				t.Errorf("%s: %s has no %s", name, pkg, test)
			}
		}
		if len(rows) < least {
			t.Errorf("%s names %d tests", name, len(rows))
		}
	}
}

// TestARestoreRunsWhatTheDocumentationSays holds the simulation's operators to the
// page that they go by, and to the command.
func TestARestoreRunsWhatTheDocumentationSays(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "\n    tallyman restore --config /etc/tallyman/tallyman.yaml --mark-only\n") {
		t.Error("docs/operations.md does not say how to mark what was restored")
	}
	source, err := os.ReadFile("../../gitops/queue/postgres/import.go")
	if err != nil || !strings.Contains(string(source), "const markRestored = `"+afterRestore+"`") {
		t.Errorf("the command does not run %q: %v", afterRestore, err)
	}
}

func testsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range defined.FindAllSubmatch(source, -1) {
			names = append(names, string(found[1]))
		}
	}
	return names
}
