package starter

import (
	"fmt"
	"strings"
	"testing"
)

// A repository of 20,000 files is read in part, and all that the pattern matches is found.
func TestAHugeRepository(t *testing.T) {
	t.Parallel()
	files := make(tree)
	for i := range 4_000 {
		app := fmt.Sprintf("service-%04d", i)
		for _, env := range []string{"dev", "staging", "prod"} {
			files["charts/"+app+"/values-"+env+".yaml"] = named("registry.example/"+app, tags(env))
		}
		files["charts/"+app+"/Chart.yaml"] = "name: " + app + "\n"
		files["charts/"+app+"/templates/deployment.yaml"] = "kind: Deployment\n"
	}
	wanted, left := Files(files.paths())
	if len(wanted) != MaxFiles || left != 8_000 {
		t.Fatalf("%d files to read and %d left", len(wanted), left)
	}
	f := files.find()
	if got := len(f.Targets()); got != 12_000 || len(f.entries) != 1 {
		t.Errorf("%d targets of %d entries", got, len(f.entries))
	}
	if !strings.Contains(f.Summary(), "8000 files were not read") {
		t.Error(f.Summary())
	}
	if text := f.Configuration(about); len(text) > 8<<10 {
		t.Errorf("the proposal has %d bytes", len(text))
	}
	checkFound(t, files, f)
}

// What names hold never becomes more than a name: not in YAML, not in a pattern, not in an
// expression.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	files := each("charts/{app}/values-{env}.yaml", helmOf("registry.example/"), twoApps, "dev", "prod")
	for _, name := range []string{
		"{app}", "{env}", "*", "**", "a\nstore: evil", "a\"b", "a'b", "a b", "a#b", "a: b", "..a", "-a", "a]", "$(id)", "<fill in: x>", "\u202e", "a\\b", "é",
	} {
		files["charts/"+name+"/values-dev.yaml"] = named("registry.example/x", "main-1a2b3c4")
		files["charts/cart/"+name+".yaml"] = named("registry.example/x", "main-1a2b3c4")
		files["apps/overlays/"+name+"/kustomization.yaml"] = overlay("y", "", "v1.0.0")
		files["umbrella/values-dev.yaml"] += fmt.Sprintf("%q: {image: {repository: registry.example/z, tag: main-1a2b3c4}}\n", name)
	}
	for i, value := range []string{"v1\nstore: evil", "{{ .tag }}", "${TAG}", "v1'", `v1"`, strings.Repeat("v", 129)} {
		files[fmt.Sprintf("charts/bad-%d/values-dev.yaml", i)] = fmt.Sprintf("image: {repository: %q, tag: %q}\n", value, value)
	}
	f := files.find()
	checkFound(t, files, f)
	for line := range strings.Lines(string(f.Configuration(about))) {
		if strings.HasPrefix(line, "store: ") && !strings.HasPrefix(line, "store: sqlite:") {
			t.Error(line)
		}
	}
}

// A tree in which every file is of another shape, and every map within many others, is
// looked at in the time that its size asks for.
func TestManyShapes(t *testing.T) {
	t.Parallel()
	files := make(tree)
	for i := range 300 {
		key, depth := "", i%25
		for d := range depth {
			key += fmt.Sprintf("%s{k%d: ", "", d)
		}
		files[fmt.Sprintf("%sdev/x%d.yaml", strings.Repeat("d/", 1+i%12), i)] = "a: " + key + "{image: {tag: v1.0." + fmt.Sprint(i) + "}}" + strings.Repeat("}", depth) + "\n"
	}
	checkFound(t, files, files.find())
}
