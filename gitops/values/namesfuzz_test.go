package values_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// inverted are keys that are turned around. Their names stand within quotes, where they
// are put in as they are.
var inverted = []string{
	`.["{app}"].image.tag`,
	`.apps["{app}"]["{env}"].tag`,
	`.["{env}"]["x-{app}"]`,
	`.["{app}"]`,
	`.[] | select(.app == "{app}" and .env == "{env}") | .tag`,
	`.spec.generators[].list.elements[] | select(.app == "{app}") | .tag`,
	`.apps[0]["{app}"].tag`,
	`select(.kind == "A") | .["{app}"] | select(.name == "{app}") | .tag`,
	`.list[] | select(.name == "svc/{app}") | .[]["{env}"]`,
}

// A key edits exactly one scalar with the names that are found with it in a file, or
// the edit is refused for how that scalar is written.
func FuzzNamesInAFile(f *testing.F) {
	for i := range inverted {
		for _, file := range []string{
			"api: {image: {tag: v1}}\nweb:\n  image:\n    tag: \"v2\"\n",
			"apps:\n  api: {dev: {tag: v1}, prod: {tag: v2}}\ndev: {x-api: v1}\n",
			"- {app: api, env: dev, tag: v1}\n- {app: api, env: prod, tag: 1.10}\n- {app: &a web, env: dev, tag: *a}\n",
			"spec: {generators: [{list: {elements: [{app: api, tag: v1}, {app: 5, tag: v1}, {app: 1.0, tag: v1}, {app: true, tag: ~}]}}]}\n",
			"base: &b {image: {tag: v1}}\napi: {<<: *b}\nweb: *b\n1: {image: {tag: v1}}\n",
			"kind: A\napi: {name: api, tag: v1}\n---\nkind: A\napi: {name: api, tag: v1}\n",
			"list: [{name: svc/api, x: {dev: v1}}, {name: svc/api, y: {dev: v2}}]\n",
			"apps: [{api: {tag: v1}, api: {tag: v2}}]\n", "api: {0}\n---\napi:\n", "api: {image: {tag: !!str v1}}\nAPI: {image: {tag: |\n  v1\n}}\n", "{\"api\": {\"image\": {\"tag\": \"v1\"}}}",
		} {
			f.Add([]byte(file), uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, which uint8) {
		key := inverted[int(which)%len(inverted)]
		found := namesIn(t, key, file)
		for i, n := range found {
			if i == 20 {
				break // each name reads the whole file
			}
			if n.Err == nil && (n.App == "" || gitops.CheckName("", n.App) == nil) && (n.Environment == "" || gitops.CheckName("", n.Environment) == nil) {
				checkOneScalar(t, key, file, found, n)
			}
		}
	})
}

func namesIn(t *testing.T, key string, file []byte) []values.Named {
	inverse, err := values.Invert(key)
	if err != nil {
		t.Fatal(err)
	}
	d, err := values.Read(file, values.Limits{})
	if err != nil {
		return nil
	}
	found, err := inverse.In(d)
	if err != nil {
		if found != nil || gitops.CodeOf(err) == gitops.Internal {
			t.Fatalf("%v, with %v", err, found)
		}
		return nil
	}
	return found
}

// checkOneScalar edits what is found with names.
func checkOneScalar(t *testing.T, key string, file []byte, found []values.Named, n values.Named) {
	bound := strings.NewReplacer("{app}", n.App, "{env}", n.Environment).Replace(key)
	edit, err := values.Compile([]values.Target{{Key: bound}})
	if err != nil {
		t.Fatalf("%s: %v", bound, err)
	}
	const tag = "fuzz-7f3a"
	result, err := edit.Set(file, values.Vars{Tag: tag})
	if err != nil {
		if errors.Is(err, values.NothingSelected) || errors.Is(err, values.SeveralSelected) {
			t.Fatalf("%s was found in line %d, and does not select one value: %v\n%s", bound, n.Line, err, file)
		}
		return
	}
	if result.Changed == (n.Value == tag) || result.Changed && len(result.Paths) != 1 {
		t.Fatalf("%s: changed %t, %v\n%s", bound, result.Changed, result.Paths, file)
	}
	want := append([]values.Named(nil), found...)
	for i := range want {
		if want[i].App == n.App && want[i].Environment == n.Environment {
			want[i].Value = tag
		}
	}
	if diff := cmp.Diff(want, namesIn(t, key, result.Text), cmpopts.IgnoreFields(values.Named{}, "Err")); diff != "" {
		t.Fatalf("%s changed something else (-want +got):\n%s\n%s", bound, diff, file)
	}
}
