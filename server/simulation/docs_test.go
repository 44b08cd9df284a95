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

// TestFaultTableIsHeldByTests holds docs/faults.md to naming tests that exist, so
// that the page does not outlive what it says.
func TestFaultTableIsHeldByTests(t *testing.T) {
	const root = "../../"
	page, err := os.ReadFile(root + "docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	if found := unplaced.Find(page); found != nil {
		t.Errorf("a test is named without its package: %s", found)
	}
	tests := make(map[string][]string) // by package
	rows := named.FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		test, pkg := row[1], row[2]
		if _, read := tests[pkg]; !read {
			tests[pkg] = testsOf(t, root+pkg)
		}
		if !slices.Contains(tests[pkg], test) {
			t.Errorf("%s has no %s", pkg, test)
		}
	}
	if len(rows) < 50 {
		t.Errorf("the page names %d tests", len(rows))
	}
}

// TestARestoreRunsWhatTheDocumentationSays holds the simulation's operators to the
// page that they go by.
func TestARestoreRunsWhatTheDocumentationSays(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "\n    "+afterRestore+";\n") {
		t.Errorf("docs/operations.md does not say %q", afterRestore)
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
