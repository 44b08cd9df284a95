package test

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// configSchema is what `tallyman schema` prints.
func configSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(run(t, tallyman("schema"))))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("tallyman.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("tallyman.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// judge says what a schema has against a YAML text.
func judge(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

// firstExample is the whole file in docs/configuration.md.
func firstExample(t *testing.T) string {
	t.Helper()
	example := regexp.MustCompile("(?s)```yaml\n(# tallyman.yaml\n.*?)```").FindStringSubmatch(read(t, "../docs/configuration.md"))
	if example == nil {
		t.Fatal("docs/configuration.md has no whole file")
	}
	return example[1]
}

// TestSchemaTakesWhatTheProgramTakes holds the schema to files that `tallyman check`
// takes, by other tests: those of the chart and of the reference.
func TestSchemaTakesWhatTheProgramTakes(t *testing.T) {
	t.Parallel()
	schema := configSchema(t)
	texts := map[string]string{"docs/configuration.md": firstExample(t)}
	paths, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("%v, %v", paths, err)
	}
	for _, path := range paths {
		for _, m := range objects(decode(t, render(t, chart, path)), "ConfigMap") {
			if data, ok := m.raw["data"].(map[string]any); ok && data["tallyman.yaml"] != nil {
				texts[path] = data["tallyman.yaml"].(string)
			}
		}
	}
	for path, text := range texts {
		if err := judge(t, schema, text); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	schema, example := configSchema(t), firstExample(t)
	for _, test := range []struct{ name, old, new string }{
		{"a field that is none", "store:", "stroe:"},
		{"a nested one", "  url:", "  uri:"},
		{"one below a name", "    tags: {semver", "    tag: {semver"},
		{"one in a list", "    may: [order]", "    can: [order]"},
		{"a number where text belongs", "semver: \">=1.0.0\"", "semver: 1.0"},
		{"text where a number belongs", "repositoryID: 17273051", "repositoryID: \"17273051\""},
		{"a list where a map belongs", "apps:\n", "apps: []\nlease: 30s\nlog:\n"},
		{"a word that is none of the few", "store:", "log: {level: trace}\nstore:"},
		{"a duration without its unit", "store:", "lease: 30\nstore:"},
		{"what is required and missing", "  url: https://github.com/myshop/myshop-manifests.git\n", ""},
	} {
		changed := strings.Replace(example, test.old, test.new, 1)
		if changed == example {
			t.Fatalf("%s: the example has no %q", test.name, test.old)
		}
		if judge(t, schema, changed) == nil {
			t.Errorf("%s passes:\n%s", test.name, changed)
		}
	}
}
