package discover_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

var withOwn = good(func(e *discover.Entry) {
	e.AppFile, e.Repository = "charts/{app}/tallyman.yaml", "r.example/{app}"
	e.Also = []discover.File{{Path: "charts/{app}/deploy-{env}.yaml"}}
})

func TestAnAppsOwnFile(t *testing.T) {
	r := compile(t, withOwn).Look(tree(t, files{
		"charts/api/values-dev.yaml": "a",
		"charts/api/tallyman.yaml":   "repository: r.example/{env}/team-api\ntags: {match: v.*, semver: '>=1.0.0'}\nset: image\nalso:\n  - file: region/{env}.yaml\n    set: [{key: .tag, create: parents, value: '{tag}', follows: [.b], anchor: follow}]\n  - {file: x.yaml}\n",
		"charts/web/values-dev.yaml": "a",
		"charts/web/tallyman.yaml":   "# nothing yet\n",
		"charts/job/values-dev.yaml": "a",
	}), read)
	wantProblems(t, r)
	image, _ := values.Preset("image")
	want := []*discover.Found{
		{App: "api", Environment: "dev", File: "charts/api/values-dev.yaml", Image: "r.example/dev/team-api", Set: image, Tags: discover.Tags{Match: "v.*", Semver: ">=1.0.0"}, Origin: "charts/api/tallyman.yaml",
			Also: []discover.File{{Path: "charts/api/region/dev.yaml", Set: []values.Target{{Key: ".tag", Create: true, CreateParents: true, Value: "{tag}", Follows: []string{".b"}, Anchor: "follow"}}}, {Path: "charts/api/x.yaml"}}},
		{App: "job", Environment: "dev", File: "charts/job/values-dev.yaml", Image: "r.example/job", Origin: "discover[0]", Also: []discover.File{{Path: "charts/job/deploy-dev.yaml"}}},
		{App: "web", Environment: "dev", File: "charts/web/values-dev.yaml", Image: "r.example/web", Origin: "charts/web/tallyman.yaml", Also: []discover.File{{Path: "charts/web/deploy-dev.yaml"}}},
	}
	if diff := cmp.Diff(want, r.Found); diff != "" {
		t.Error(diff)
	}
}

// An own file says where the files of its app are, and needs none where the pattern
// looks for them.
func TestAnOwnFileSaysWhereTheFilesAre(t *testing.T) {
	all := files{
		"charts/api/tallyman.yaml":            "file: deploy/{app}.{env}.yaml\n",
		"charts/api/deploy/api.dev.yaml":      "a",
		"charts/api/deploy/api.prod.yaml":     "a",
		"charts/api/values-staging.yaml":      "a",
		"charts/web/tallyman.yaml":            "file: none.yaml",
		"charts/job/tallyman.yaml":            "file: '{env}'",
		"charts/job/dev/x":                    "a",
		"charts/cron/tallyman.yaml":           "file: values.yaml",
		"charts/cron/values.yaml":             "a",
		"charts/lib-x/tallyman.yaml":          "file: '{env}.yaml'",
		"charts/lib-x/dev.yaml":               "a",
		"charts/link/tallyman.yaml":           "file: '{env}.yaml'",
		"charts/link/dev.yaml":                "-> ../api/deploy/api.dev.yaml",
		"charts/-/tallyman.yaml":              "file: '{env}.yaml'",
		"charts/directory/tallyman.yaml/x":    "a",
		"charts/directory/values-dev.yaml":    "a",
		"charts/directory/values-stable.yaml": "a",
	}
	entry := withOwn
	entry.Exclude = []string{"charts/lib-*/dev.yaml"}
	rules := compile(t, entry)
	r := rules.Look(tree(t, all), read)
	same(t, "found", list(r), []string{"api dev charts/api/deploy/api.dev.yaml", "api prod charts/api/deploy/api.prod.yaml"})
	wantProblems(t, r,
		`charts/-/tallyman.yaml names the app "-", and an app's name must be`,
		"charts/directory/tallyman.yaml: it must be a file",
		"charts/job/tallyman.yaml: file: charts/job/dev: a directory in the manifest repository",
		"charts/lib-x/tallyman.yaml: file: there is no {env}.yaml for any environment",
		"charts/link/tallyman.yaml: file: charts/link/dev.yaml: a symbolic link in the manifest repository",
		"charts/web/tallyman.yaml: file: there is no none.yaml for any environment; the path begins at the directory that this file is in",
		`app "cron" in "dev" and app "cron" in "prod" would both set .image.tag in charts/cron/values.yaml`,
		`app "cron" in "dev" and app "cron" in "prod" would both set .image.tag in charts/cron/values.yaml`,
		`app "cron" in "prod" and app "cron" in "staging" would both set .image.tag in charts/cron/values.yaml`,
	)
	r = rules.Look(tree(t, all.with(files{"charts/api/deploy/api.staging.yaml": "b", "charts/api/deploy/api.dev.yaml": ""})), read)
	same(t, "found", list(r), []string{"api prod charts/api/deploy/api.prod.yaml", "api staging charts/api/deploy/api.staging.yaml"})
	r = rules.Look(tree(t, all.with(files{"charts/api/tallyman.yaml": "-> x"})), read)
	wantProblems(t, &discover.Result{Problems: r.Problems[1:2]}, "charts/api/tallyman.yaml: it must be a file")
	r = rules.Look(tree(t, all.with(files{"charts/api/tallyman.yaml": ""})), read)
	same(t, "without the own file", list(r), []string{"api staging charts/api/values-staging.yaml"})
}

// What is wrong in an own file names the file, the field and the line, and stops its app
// alone.
func TestWhatIsWrongInAnOwnFile(t *testing.T) {
	for text, says := range map[string]string{
		"access: []\n":                               "access: is not a field; there are also, file, repository, set, tags (line 1)",
		"\nhold: true\nrepositry: x\n":               "hold: is not a field; there are also, file, repository, set, tags (line 2); repositry: is not a field",
		"- a\n":                                      "must be a map with some of: also, file, repository, set, tags (line 1)",
		"file: a\nfile: b\n":                         "file: is given twice (line 2)",
		"file: 1\n":                                  "file: must be text: write it in quotes (line 1)",
		"file: ../web/values.yaml\n":                 "file: must not have ..: the path begins at the directory that this file is in, and stays below it",
		"file: /etc/passwd\n":                        "file: must not begin with /: the path begins at the directory that this file is in, and stays below it",
		"file: '*.yaml'\n":                           "file: must not have *: it is the path of one file",
		"file: '{tag}.yaml'\n":                       "file: knows {app} and {env} in braces, and not {tag}",
		"also: [{file: .git/config}]\n":              "also[0].file: must not lie in .git",
		"also: [{set: helm}]\n":                      "also[0]: needs a file (line 1)",
		"also: {file: x}\n":                          "also: must be a list (line 1)",
		"repository: r.example/api:v1\n":             "repository: must be an image name without tag or digest",
		"tags: v.*\n":                                "tags: must be a map with some of: match, semver (line 1)",
		"tags: {match: [a]}\n":                       "tags.match: must be text",
		"tags: {match: 'a\n\n  b'}\n":                "tags.match: must be one line of text",
		"set: helmet\n":                              "set: must be a list, or one of helm, helm-digest, kustomize, kustomize-digest, image, not \"helmet\" (line 1)",
		"set: []\n":                                  "set: there must be a key to set (line 1)",
		"set:\n- {key: .a, vlaue: x}\n":              "set[0].vlaue: is not a field; there are anchor, create, follows, inside, key, replaces, value (line 2)",
		"set: [{key: .a = 1}]\n":                     "set[0].key: must only select",
		"set: [{key: .a, create: 1}]\n":              "set[0].create: must be true, false or parents (line 1)",
		"file: [\n":                                  "the file is not YAML",
		"file: a\n---\nfile: b\n":                    "the file has a second document: it must be one (line 3)",
		"? [a]\n: b\n":                               "has a key that is not plain text (line 1)",
		strings.Repeat("#\n", 40<<10):                "the file has 81920 bytes, and at most 65536 are read",
		"a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\n": "; and 2 more",
	} {
		r := compile(t, withOwn).Look(tree(t, files{"charts/api/tallyman.yaml": text, "charts/api/values-dev.yaml": "a", "charts/web/values-dev.yaml": "a"}), read)
		same(t, fmt.Sprintf("found with %.40q", text), list(r), []string{"web dev charts/web/values-dev.yaml"})
		wantProblems(t, r, says)
		if len(r.Problems) != 1 || !strings.HasPrefix(r.Problems[0].Message, "charts/api/tallyman.yaml: ") || r.Problems[0].App != "api" {
			t.Errorf("%.40q: %+v", text, r.Problems)
		}
	}
}

// An own file is below the * of its entry's pattern, and the other files of an entry,
// too.
func TestOwnFilesOfTeams(t *testing.T) {
	r := compile(t, discover.Entry{
		File: "teams/*/{app}/values-{env}.yaml", AppFile: "teams/*/{app}/tallyman.yaml",
		Also: []discover.File{{Path: "teams/*/{app}/Chart-{env}.yaml"}, {Path: "index/{env}/{app}.yaml"}},
	}).Look(tree(t, files{
		"teams/red/api/values-dev.yaml": "a", "teams/red/api/tallyman.yaml": "tags: {match: red-.*}",
		"teams/blue/web/values-dev.yaml": "a",
	}), read)
	wantProblems(t, r)
	want := []*discover.Found{
		{App: "web", Environment: "dev", File: "teams/blue/web/values-dev.yaml", Origin: "discover[0]", Also: []discover.File{{Path: "teams/blue/web/Chart-dev.yaml"}, {Path: "index/dev/web.yaml"}}},
		{App: "api", Environment: "dev", File: "teams/red/api/values-dev.yaml", Origin: "teams/red/api/tallyman.yaml", Tags: discover.Tags{Match: "red-.*"}, Also: []discover.File{{Path: "teams/red/api/Chart-dev.yaml"}, {Path: "index/dev/api.yaml"}}},
	}
	if diff := cmp.Diff(want, r.Found); diff != "" {
		t.Error(diff)
	}
}

// The own file that docs/configuration.md shows is one.
func TestTheDocumentedOwnFile(t *testing.T) {
	docs, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(docs), "```text\n# charts/myshop-api/tallyman.yaml\n")
	if !found {
		t.Fatal("no example")
	}
	example, _, _ = strings.Cut(example, "```")
	r := compile(t, withOwn).Look(tree(t, files{"charts/myshop-api/tallyman.yaml": example, "charts/myshop-api/deploy/values-dev.yaml": "a"}), read)
	wantProblems(t, r)
	want := &discover.Found{
		App: "myshop-api", Environment: "dev", File: "charts/myshop-api/deploy/values-dev.yaml", Set: []values.Target{{Key: ".api.image.tag"}},
		Also: []discover.File{{Path: "charts/myshop-api/regions/dev.yaml"}}, Image: "ghcr.io/myshop/api", Tags: discover.Tags{Semver: ">=2.0.0"}, Origin: "charts/myshop-api/tallyman.yaml",
	}
	if diff := cmp.Diff([]*discover.Found{want}, r.Found); diff != "" {
		t.Error(diff)
	}
}
