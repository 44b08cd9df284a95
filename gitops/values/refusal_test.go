package values_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// declaredRefusals reads the reasons that the package declares.
func declaredRefusals(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "refusal.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Refusal" {
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		return true
	})
	return names
}

// The reference has each reason once, with what it is and the way out, and no other.
func TestEveryRefusalHasAWayOut(t *testing.T) {
	declared := declaredRefusals(t)
	var listed []string
	for _, reason := range values.Refusals() {
		listed = append(listed, string(reason))
	}
	if diff := cmp.Diff(declared, listed); diff != "" || len(declared) < 20 {
		t.Errorf("declared -, listed +:\n%s", diff)
	}
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## What is edited, and what is refused\n")
	if !ok {
		t.Fatal("docs/configuration.md has no such section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([^|]+) \\| ([^|]+) \\|$").FindAllStringSubmatch(section, -1) {
		documented = append(documented, row[1])
		if len(strings.TrimSpace(row[2])) < 10 || len(strings.TrimSpace(row[3])) < 10 {
			t.Errorf("%s: the row says too little: %q", row[1], row[0])
		}
	}
	slices.Sort(declared)
	slices.Sort(documented)
	if diff := cmp.Diff(declared, documented); diff != "" {
		t.Errorf("declared -, documented +:\n%s", diff)
	}
}
