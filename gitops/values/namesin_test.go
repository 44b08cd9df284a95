package values_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// inFile is what a key finds in a file, each as "app env value", or with its error.
func inFile(t *testing.T, key, file string) []string {
	t.Helper()
	inverse, err := values.Invert(key)
	if err != nil {
		t.Fatal(err)
	}
	d, err := values.Read([]byte(file), values.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := inverse.In(d)
	if err != nil {
		return []string{"error: " + gitops.PublicOf(err)}
	}
	var all []string
	for _, n := range found {
		line := strings.TrimSpace(n.App + " " + n.Environment)
		if n.Err != nil {
			all = append(all, fmt.Sprintf("%s line %d: %s", line, n.Line, gitops.PublicOf(n.Err)))
			continue
		}
		all = append(all, line+" = "+n.Value)
	}
	return all
}

func TestNamesInAFile(t *testing.T) {
	for _, c := range []struct {
		what, key, file string
		want            []string
	}{
		{"an umbrella chart", ".{app}.image.tag", "api: {image: {tag: v1}}\nglobal: {domain: x}\nreplicas: 2\nweb:\n  image:\n    tag: ''\nlist: [a]\nmap: {image: {tag: {a: b}}}\n",
			[]string{"api = v1", "web = "}},
		{"a step in quotes", `.apps["svc-{app}"].tag`, "apps: {svc-api: {tag: v1}, other: {tag: v2}, svc-: {tag: v3}}", []string{"api = v1"}},
		{"both as steps", ".{env}.apps[{app}].tag", "dev: {apps: {api: {tag: v1}, web: {tag: v2}}}\nprod: {apps: {api: {tag: v3}}}\n",
			[]string{"api dev = v1", "web dev = v2", "api prod = v3"}},
		{"environments alone", ".environments.{env}.image.tag", "environments: {dev: {image: {tag: v1}}, prod: {image: {tag: v2}}, qa: {}}", []string{"dev = v1", "prod = v2"}},
		{"an ApplicationSet", `.spec.generators[].list.elements[] | select(.app == "{app}" and .env == "{env}") | .tag`,
			"kind: ApplicationSet\nspec:\n  generators:\n    - clusters: {}\n    - list:\n        elements:\n          - {app: api, env: dev, tag: v1}\n          - {app: api, env: prod, tag: v2}\n          - {cluster: x}\n          - {app: 5, env: dev, tag: v3}\n          - text\n",
			[]string{"api dev = v1", "api prod = v2", "5 dev = v3"}},
		{"an element without a tag", `.e[] | select(.app == {app}) | .tag`, "e:\n  - app: api\n    tga: v1\n", []string{`api line 2: has no tag in line 2; it has tga, app`}},
		{"an element whose tag is a map", `.e[] | select(.app == {app}) | .tag`, "e: [{app: api, tag: {a: b}}]", []string{"api line 1: is not a single value in line 1"}},
		{"an element twice", `.e[] | select(.app == "{app}") | .tag`, "e:\n  - {app: api, tag: v1}\n  - {app: web, tag: v1}\n  - {app: api, tag: v2}\n",
			[]string{"api line 2: is there twice, in lines 2 and 4; remove one", "web = v1"}},
		{"other conditions", `select(.kind == "A") | .e[] | select(.name == "{app}-svc") | select(.on == true) | .tag`,
			"kind: A\ne: [{name: api-svc, on: true, tag: v1}, {name: web-svc, on: false, tag: v1}, {name: x, on: true, tag: v2}]\n---\nkind: B\ne: [{name: b-svc, on: true, tag: v1}]\n",
			[]string{"api = v1"}},
		{"a name that stands twice", `.{app} | select(.name == "{app}") | .tag`, "api: {name: api, tag: v1}\nweb: {name: api, tag: v2}\n", []string{"api = v1"}},
		{"aliases", ".{app}.image.tag", "base: &base {image: {tag: v1}}\napi: *base\n", []string{"base = v1", "api = v1"}},
		{"merge keys", ".{app}.image.tag", "base: &base {image: {tag: v1}}\napi: {<<: *base}\n",
			[]string{"base = v1", "api line 2: is only there because of a merge key (<<) in line 2; write image into this map itself first, or set it where it comes from"}},
		{"several documents", ".{app}.tag", "api: {tag: v1}\n---\nweb: {tag: v2}\n", []string{"api = v1", "web = v2"}},
		{"a key twice on the way", ".apps.{app}.tag", "apps: {}\napps: {api: {tag: v1}}\n",
			[]string{"error: is ambiguous: apps is there twice, in lines 1 and 2, and readers differ on which one counts; remove one"}},
		{"an empty file", ".{app}.tag", "", nil},
		{"another shape", ".{app}.tag", "- a\n- b\n", nil},
		{"an index", ".groups[0].{app}.tag", "groups: [{api: {tag: v1}}, {web: {tag: v2}}]", []string{"api = v1"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if diff := cmp.Diff(c.want, inFile(t, c.key, c.file)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.key, diff)
			}
		})
	}
}

func TestKeysThatCannotBeTurnedAround(t *testing.T) {
	for key, says := range map[string]string{
		".image.tag": "names neither {app} nor {env}",
		`.images[] | select(.name == {app} or .name == {repository}) | .newTag`: "has or in select(...)",
		`.images[] | select(.name == "{repository}/{app}") | .newTag`:           "names {repository}",
		`.apps["{app}-{env}"].tag`:                           "has two names in one text",
		`.apps["{app}{app}"].tag`:                            "has two names in one text",
		`.apps.*.{app}.tag`:                                  "has * or ?",
		`.a[] | select(.name == "*{app}") | .tag`:            "has * or ?",
		`.a[] | select(.name != "{app}") | .tag`:             "has not_equals in select(...)",
		`.a[] | select(.name | test("{app}")) | .tag`:        "has pipe in select(...)",
		`.a[] | select(.{app} == "x") | .tag`:                "compares something else than a plain path",
		`.a[] | select(has("{app}")) | .tag`:                 "has has in select(...)",
		".{app}.tag | .. ":                                   "must only select",
		"":                                                   "is missing",
		".{application}.tag":                                 "and not {application}",
		".\ue000.tag":                                        "private use area",
		`.a[] | select(document_index == 0) | .{app}.tag`:    "compares something else",
		`.a[] | select(.x == "{app}" and (.y | not)) | .tag`: "in select(...)",
	} {
		_, err := values.Invert(key)
		if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(gitops.PublicOf(err), says) || !strings.HasPrefix(gitops.PublicOf(err), "key: ") {
			t.Errorf("%s: %v, want one that says %q", key, err, says)
		}
	}
}

// Two spellings of a key with names are one key, and a name is not another.
func TestSameTemplate(t *testing.T) {
	same := func(a, b string) bool {
		t.Helper()
		x, err := values.SameTemplate(a)
		if err != nil {
			t.Fatal(err)
		}
		y, err := values.SameTemplate(b)
		if err != nil {
			t.Fatal(err)
		}
		return x == y
	}
	if !same(".{app}.image.tag", `.["{app}"] | .image["tag"]`) || same(".{app}.tag", ".{env}.tag") || same(".{app}.tag", ".app.tag") {
		t.Error("spellings are told apart, or names are not")
	}
	template, err := values.SameTemplate(`.x[] | select(.n == "{app}-{env}" and .r == {repository}) | .tag`)
	if err != nil {
		t.Fatal(err)
	}
	bound := strings.NewReplacer("{app}", "api", "{env}", "dev", "{repository}", "r.example/api").Replace(template)
	if want, _ := values.SameKey(`.x[] | select(.n == "api-dev" and .r == "r.example/api") | .tag`); bound != want {
		t.Errorf("with names it is %s, want %s", bound, want)
	}
}

func TestTextOfAFile(t *testing.T) {
	d, err := values.Read([]byte("image: &i {repository: r.example/api}\nother: *i\nempty:\nlist: [{n: a, v: 1}]\n"), values.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		".image.repository": "r.example/api", ".other.repository": "r.example/api", ".empty": "", `.list[] | select(.n == "a") | .v`: "1",
		".none": "error: .none: selects nothing", ".image": "error: .image: is a map", ".list[]": "error: .list[]: is a map",
	} {
		k, err := values.CompileKey(key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Text(k)
		if err != nil {
			got = "error: " + gitops.PublicOf(err)
		}
		if message, isError := strings.CutPrefix(want, "error: "); got != want && !(isError && strings.HasPrefix(got, "error: "+message)) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if _, err := values.CompileKey(".a | .b = 1"); gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("a key that assigns: %v", err)
	}
}
