package discover_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

func TestCollisions(t *testing.T) {
	for _, c := range []struct {
		what     string
		entries  []discover.Entry
		files    files
		found    []string
		problems []string
	}{
		{"a target at two paths of one entry", []discover.Entry{file("teams/*/{app}/values-{env}.yaml")},
			files{"teams/a/api/values-dev.yaml": "a", "teams/b/api/values-dev.yaml": "b", "teams/b/api/values-prod.yaml": "b"},
			[]string{"api prod teams/b/api/values-prod.yaml"},
			[]string{`app "api" in "dev" is found twice, in teams/a/api/values-dev.yaml (discover[0]) and in teams/b/api/values-dev.yaml (discover[0]), and which one is meant is not known: remove one`}},
		{"a target of two entries", []discover.Entry{file("charts/{app}/values-{env}.yaml"), file("apps/{app}/{env}.yaml"), file("x/{app}/{env}.yaml")},
			files{"charts/api/values-dev.yaml": "a", "apps/api/dev.yaml": "b", "apps/web/dev.yaml": "b", "x/api/dev.yaml": "c"},
			[]string{"web dev apps/web/dev.yaml"},
			[]string{`charts/api/values-dev.yaml (discover[0]) and in apps/api/dev.yaml (discover[1])`, `charts/api/values-dev.yaml (discover[0]) and in x/api/dev.yaml (discover[2])`}},
		{"names that differ in case", []discover.Entry{file("charts/{app}/values-{env}.yaml")},
			files{"charts/Api/values-dev.yaml": "a", "charts/api/values-prod.yaml": "b", "charts/api/values-dev.yaml": "b", "charts/apI/values-dev.yaml": "b", "charts/Web/values-dev.yaml": "b"},
			[]string{"Web dev charts/Web/values-dev.yaml"},
			[]string{`the apps "Api" (charts/Api/values-dev.yaml) and "apI" (charts/apI/values-dev.yaml) have names that differ only in case: rename one`, `the apps "Api" (charts/Api/values-dev.yaml) and "api" (charts/api/values-dev.yaml)`}},
		{"one key of one file for two environments", []discover.Entry{{File: "charts/{app}/values-{env}.yaml", AppFile: "charts/{app}/tallyman.yaml"}},
			files{"charts/api/tallyman.yaml": "file: values.yaml\n", "charts/api/values.yaml": "a", "charts/web/values-dev.yaml": "a"},
			[]string{"web dev charts/web/values-dev.yaml"},
			[]string{`app "api" in "dev" and app "api" in "prod" would both set .image.tag in charts/api/values.yaml: give them different files or keys`, `app "api" in "dev" and app "api" in "prod"`, `"prod" and app "api" in "staging"`}},
		{"keys of their own in one file", []discover.Entry{{File: "charts/{app}/values-{env}.yaml", AppFile: "charts/{app}/tallyman.yaml"}},
			files{"charts/api/tallyman.yaml": "file: values.yaml\nset: [{key: '.{env}.tag'}]\n", "charts/api/values.yaml": "a"},
			[]string{"api dev charts/api/values.yaml", "api prod charts/api/values.yaml", "api staging charts/api/values.yaml"}, nil},
		{"one more file of two environments", []discover.Entry{{File: "charts/{app}/values-{env}.yaml", AppFile: "charts/{app}/tallyman.yaml"}},
			files{"charts/api/tallyman.yaml": "also: [{file: Chart.yaml, set: [{key: .appVersion}]}]\n", "charts/api/values-dev.yaml": "a", "charts/api/values-prod.yaml": "a"},
			nil, []string{`would both set .appVersion in charts/api/Chart.yaml`, `would both set .appVersion in charts/api/Chart.yaml`}},
		{"a second key that has no name", []discover.Entry{{File: "values-{env}.yaml", Set: []values.Target{{Key: ".{app}.tag"}, {Key: ".digest", Value: "{digest}"}}}},
			files{"values-dev.yaml": "api: {tag: a}\nweb: {tag: a}\n", "values-prod.yaml": "api: {tag: a}\n"},
			[]string{"api prod values-prod.yaml"}, []string{`app "api" in "dev" and app "web" in "dev" would both set .digest in values-dev.yaml`, `would both set .digest`}},
		{"another spelling of a key", []discover.Entry{{File: "a/{app}/values-{env}.yaml", Also: []discover.File{{Path: "all.yaml", Set: []values.Target{{Key: `.["{app}"].{env}`}}}}}, {File: "b/{app}-{env}.yaml", Also: []discover.File{{Path: "all.yaml", Set: []values.Target{{Key: `.["x-{app}"] | .{env}`}}}}}},
			files{"a/x-1/values-dev.yaml": "a", "b/1-dev.yaml": "b", "b/2-dev.yaml": "b"},
			[]string{"2 dev b/2-dev.yaml"}, []string{`app "x-1" in "dev" and app "1" in "dev" would both set .["x-{app}"] | .{env} in all.yaml`, `would both set`}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := compile(t, c.entries...).Look(tree(t, c.files), read)
			same(t, "found", list(r), c.found)
			wantProblems(t, r, c.problems...)
		})
	}
}

func TestPathsThatAreProblems(t *testing.T) {
	c := config(file("charts/{app}/values-{env}.yaml"), file("by/{env}-{app}.yaml"), file("x/*-{app}/{env}.yaml"))
	c.Environments = append(c.Environments, "prod-eu")
	rules, err := discover.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	r := rules.Look(tree(t, files{
		"charts/_lib/values-dev.yaml":      "a",
		"charts/_lib/values-qa.yaml":       "a",
		"charts/a..b/values-dev.yaml":      "a",
		"charts/_notes/README.md":          "a",
		"charts/api/values-dev.yaml":       "-> values-prod.yaml",
		"charts/api/values-prod.yaml":      "a",
		"charts/api/values-staging.yaml/x": "a",
		"charts/link":                      "-> api",
		"charts/module":                    "submodule",
		"charts/web":                       "a",
		"by/prod-eu-api.yaml":              "a",
		"by/prod-api.yaml":                 "a",
		"by/prod-eu.yaml":                  "a",
		"x/a-b/dev.yaml":                   "a",
		"x/a-b-c/dev.yaml":                 "a",
		"x/link":                           "-> a-b",
	}), read)
	same(t, "found", list(r), []string{"b dev x/a-b/dev.yaml", "eu prod by/prod-eu.yaml"})
	wantProblems(t, r,
		"charts/link is a symbolic link, which is not followed: put the file or the directory itself there, or leave the path out with exclude",
		`charts/_lib/values-dev.yaml names the app "_lib", and an app's name must be`,
		`charts/a..b/values-dev.yaml names the app "a..b", and an app's name must not contain ".."`,
		"charts/api/values-dev.yaml is a symbolic link",
		`by/prod-eu-api.yaml can be read as app "api" in "prod-eu" and as app "eu-api" in "prod": give environments directories of their own, or split the entry into two with environments and exclude`,
		`x/a-b-c/dev.yaml can be read as app "b-c" in "dev" and as app "c" in "dev"`,
		`app "api" in "prod" is found twice`,
	)
}

// A name with more readings than are tried is a problem, whatever stands below it.
func TestNamesOfManyReadings(t *testing.T) {
	long := strings.Repeat("a-", 12)
	r := compile(t, file("{app}-*-{env}/{app}.yaml")).Look(tree(t, files{
		long + "dev/a.yaml": "a", long + "dev/a-a.yaml": "a", long + "dev/x.txt": "a", long + "qa/a.yaml": "a", "a-b-dev/a.yaml": "a", "a-a-b-dev/a-a.yaml": "a", "a-a-b-dev/x.yaml": "a",
	}), read)
	same(t, "found", list(r), []string{"a dev a-b-dev/a.yaml", "a-a dev a-a-b-dev/a-a.yaml"})
	wantProblems(t, r, long+"dev/a-a.yaml can be read as that of an app in more than 8 ways", long+"dev/a.yaml can be read as")
	r = compile(t, discover.Entry{File: "{app}-*-{env}/{app}.yaml", AppFile: "{app}-*-{env}/tallyman.yaml"}).Look(tree(t, files{long + "dev/tallyman.yaml": "file: x.yaml", "a-b-c-dev/tallyman.yaml": "file: x.yaml"}), read)
	wantProblems(t, r, "the directory can be read in many ways: leave file out", `the directory can be read as that of app "a-b" in "dev" and of app "a" in "dev": leave file out`)
}

// The way out of a path with two readings.
func TestAnEntryForEachReading(t *testing.T) {
	c := config(discover.Entry{File: "by/{env}-{app}.yaml", Environments: []string{"prod-eu"}}, discover.Entry{File: "by/{env}-{app}.yaml", Environments: []string{"prod"}, Exclude: []string{"by/prod-eu-*"}})
	c.Environments = append(c.Environments, "prod-eu")
	rules, err := discover.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	r := rules.Look(tree(t, files{"by/prod-eu-api.yaml": "a", "by/prod-api.yaml": "a", "by/dev-api.yaml": "a"}), read)
	same(t, "found", list(r), []string{"api prod by/prod-api.yaml", "api prod-eu by/prod-eu-api.yaml"})
	wantProblems(t, r)
}

func TestUnknownEnvironments(t *testing.T) {
	r := compile(t, discover.Entry{File: "charts/{app}/values-{env}.yaml", Environments: []string{"dev", "prod"}}, file("clusters/{env}/{app}/release.yaml"), key("all.yaml", ".{env}.{app}.tag"), file("by/{app}-{env}.yaml")).Look(tree(t, files{
		"charts/api/values-qa.yaml": "a", "charts/web/values-qa.yaml": "a", "charts/web/values-staging.yaml": "a", "charts/web/values-!.yaml": "a",
		"charts/_lib/values-schema.yaml": "a", "charts/values-nowhere.yaml": "a", "clusters/infra/flux/release.yaml": "a", "clusters/docs/README.md": "a",
		"all.yaml": "eu: {api: {tag: a}, web: {tag: a}, _x: {tag: a}}\nnotes: {text: a}\n", "by/api-uat.yaml": "a", "by/my-api-uat.yaml": "a",
	}), read)
	var got []string
	for _, u := range r.Unknown {
		got = append(got, fmt.Sprint(u.Environment, " ", u.Files))
	}
	same(t, "unknown", got, []string{"eu 2", "infra 1", "qa 2", "uat 1"})
	wantProblems(t, r)
}

// What a tip can have of anything is bounded, and so is what it says of that.
func TestBounds(t *testing.T) {
	all := files{}
	for i := range discover.MaxProblems + 50 {
		all[fmt.Sprintf("charts/_%d/values-dev.yaml", i)] = "a"
	}
	for i := range 150 {
		all[fmt.Sprintf("charts/api/values-x%d.yaml", i)] = "a"
	}
	all["charts/"+strings.Repeat("x", 240)+"/values-dev.yaml"] = "a"
	all["charts/"+strings.Repeat("y", 256)+"/values-dev.yaml"] = "a"
	all["charts/a\x1b[31m/values-dev.yaml"] = "a"
	all["charts/a\xff/values-dev.yaml"] = "a"
	all["charts/.Git/values-dev.yaml"] = "a"
	r := compile(t, file("charts/{app}/values-{env}.yaml")).Look(tree(t, all), read)
	if len(r.Problems) != discover.MaxProblems || r.More != 51 || len(r.Unknown) != 100 || len(r.Found) != 0 {
		t.Errorf("%d problems, %d more, %d unknown, %d found", len(r.Problems), r.More, len(r.Unknown), len(r.Found))
	}
	umbrella := "a: {tag: v}\n" + strings.Repeat("_", 100_000) + ": {tag: v}\n"
	r = compile(t, key("values-{env}.yaml", ".{app}.tag")).Look(tree(t, files{"values-dev.yaml": umbrella}), read)
	same(t, "found", list(r), []string{"a dev values-dev.yaml"})
	if len(r.Problems) != 1 || len(r.Problems[0].Message) > 1200 {
		t.Errorf("%d problems, one of %d bytes", len(r.Problems), len(r.Problems[0].Message))
	}
}

// A few trees within one another have more paths than anyone can look at.
func TestATreeOfManyPaths(t *testing.T) {
	const width, depth = 300, 4
	root := bomb(t, width, depth)
	rules := compile(t, file(strings.Repeat("*/", depth-1)+"{app}/{env}.yaml"))
	r := rules.Look(root, read)
	if !slices.ContainsFunc(r.Problems, func(p discover.Problem) bool {
		return strings.Contains(p.Message, "discover[0]: file matches more files and directories than can be looked at, and some are left out: name directories in it")
	}) {
		t.Errorf("%d problems: %.300v", len(r.Problems), r.Problems)
	}
	if len(r.Found) > 100_000 {
		t.Errorf("%d found", len(r.Found))
	}
}

func TestWhatATipCouldBring(t *testing.T) {
	rules := compile(t,
		discover.Entry{File: "charts/{app}/values-{env}.yaml", Exclude: []string{"charts/old-*/**", "charts/no/values-*.yaml"}, Repository: "r.example/{env}/shop/{app}"},
		discover.Entry{File: "x/{app}/{env}.yaml", Exclude: []string{"x/old-*", "x/no/**"}, Repository: "r.example/tool"})
	for name, want := range map[string]bool{"api": true, "Api": true, "old-api": false, "older": true, "no": false, "_x": false, "": false, "a/b": false} {
		if got := rules.MayNameApp(name); got != want {
			t.Errorf("the app %q may come: %t", name, got)
		}
	}
	for image, want := range map[string]bool{
		"r.example/dev/shop/api": true, "r.example/prod/shop/api": true, "r.example/qa/shop/api": false, "r.example/dev/shop/a/b": false, "r.example/dev/shop/": false,
		"r.example/tool": true, "r.example/tools": false, "": false, "x.example/dev/shop/api": false,
	} {
		if got := rules.MayNameImage(image); got != want {
			t.Errorf("the image %q may come: %t", image, got)
		}
	}
	for _, e := range []discover.Entry{withOwn, good(func(e *discover.Entry) { e.RepositoryKey = ".image" })} {
		if !compile(t, e).MayNameImage("any.example/x") {
			t.Errorf("%+v: a file may name any image", e)
		}
	}
	none := compile(t)
	if none.MayNameApp("api") || none.MayNameImage("r.example/api") || compile(t, good(func(*discover.Entry) {})).MayNameImage("r.example/api") {
		t.Error("without an entry, or an image, something may come")
	}
	inFile := compile(t, discover.Entry{File: "all/values-{env}.yaml", Exclude: []string{"all/values-dev.yaml"}, Set: []values.Target{{Key: ".{app}.tag"}}})
	if !inFile.MayNameApp("api") {
		t.Error("a file may name the app")
	}
}
