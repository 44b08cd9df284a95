package discover_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// images are what was found with its image, each as "app env image".
func images(r *discover.Result) []string {
	var all []string
	for _, f := range r.Found {
		all = append(all, f.App+" "+f.Environment+" "+f.Image)
	}
	return all
}

// inverse names apps in a file.
var inverse = []values.Target{{Key: ".{app}.image.tag"}}

// wantProblems wants problems that say so, in their order.
func wantProblems(t *testing.T, r *discover.Result, says ...string) {
	t.Helper()
	for i, p := range r.Problems {
		if i >= len(says) || !strings.Contains(p.Message, says[i]) {
			t.Errorf("problem %d of %+v", i, p)
		}
	}
	if len(r.Problems) < len(says) {
		t.Errorf("%d problems, want %q", len(r.Problems), says)
	}
}

func TestNamesFromTheContent(t *testing.T) {
	for _, c := range []struct {
		what     string
		entry    discover.Entry
		files    files
		found    []string
		problems []string
	}{
		{"an umbrella chart", key("shop/values-{env}.yaml", ".{app}.image.tag"),
			files{"shop/values-dev.yaml": "global: {x: 1}\napi: {image: {tag: v1}}\nweb: {image: {tag: v1}}\n", "shop/values-prod.yaml": "api: {image: {tag: v1}}\n", "shop/values.yaml": "job: {image: {tag: v1}}\n"},
			[]string{"api dev shop/values-dev.yaml", "api prod shop/values-prod.yaml", "web dev shop/values-dev.yaml"}, nil},
		{"an ApplicationSet with a list", key("argocd/services.yaml", `.spec.generators[].list.elements[] | select(.app == "{app}" and .env == "{env}") | .tag`),
			files{"argocd/services.yaml": "spec:\n  generators:\n  - list:\n      elements:\n      - {app: api, env: dev, tag: v1}\n      - {app: api, env: prod, tag: v1}\n      - {app: web, env: qa, tag: v1}\n      - {app: Web/x, env: dev, tag: v1}\n      - {app: job, env: dev}\n"},
			[]string{"api dev argocd/services.yaml", "api prod argocd/services.yaml"},
			[]string{`argocd/services.yaml, line 8: names the app "Web/x", and an app's name must be`, `line 9: the key of app "job" in "dev" has no tag in line 9; it has`}},
		{"environments in the file of an app", key("apps/{app}.yaml", ".environments.{env}.image.tag"),
			files{"apps/api.yaml": "environments: {dev: {image: {tag: v1}}, prod: {image: {tag: v1}}, qa: {image: {tag: v1}}}", "apps/web.yaml": "environments: {dev: {}}"},
			[]string{"api dev apps/api.yaml", "api prod apps/api.yaml"}, nil},
		{"an app that the path names, and the key, too", key("apps/{app}.yaml", ".[{app}].{env}.tag"),
			files{"apps/api.yaml": "api: {dev: {tag: v1}}\nweb: {dev: {tag: v1}}\n"},
			[]string{"api dev apps/api.yaml"}, nil},
		{"apps of one environment", discover.Entry{File: "values.yaml", Environments: []string{"prod"}, Set: []values.Target{{Key: ".{app}.tag"}}},
			files{"values.yaml": "api: {tag: v1}"},
			[]string{"api prod values.yaml"}, nil},
		{"an app twice", key("values-{env}.yaml", `.a[] | select(.n == {app}) | .tag`),
			files{"values-dev.yaml": "a: [{n: api, tag: v1}, {n: web, tag: v1},\n {n: api, tag: v1}]"},
			[]string{"web dev values-dev.yaml"}, []string{`the key of app "api" in "dev" is there twice, in lines 1 and 2; remove one`}},
		{"what is not YAML", key("{env}/values.yaml", ".{app}.tag"),
			files{"dev/values.yaml": "a: [", "prod/values.yaml": "api: {tag: v1}"},
			[]string{"api prod prod/values.yaml"}, []string{"dev/values.yaml cannot be read: the file is not YAML"}},
		{"what is too much", key("{env}/values.yaml", ".{app}.tag"),
			files{"dev/values.yaml": "a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "prod/values.yaml": "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
				"staging/values.yaml": strings.Repeat("a", 2<<20)},
			nil, []string{"dev/values.yaml cannot be read: the file has maps and lists within one another", "prod/values.yaml cannot be read: the file's aliases", "staging/values.yaml cannot be read: the file has 2097152 bytes"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := compile(t, c.entry).Look(tree(t, c.files), read)
			same(t, "found", list(r), c.found)
			wantProblems(t, r, c.problems...)
		})
	}
}

func TestImages(t *testing.T) {
	of := func(image string) files { return files{"charts/Api/values-dev.yaml": image} }
	for _, c := range []struct {
		what     string
		entry    discover.Entry
		files    files
		found    []string
		problems []string
	}{
		{"a template", good(func(e *discover.Entry) { e.Repository = "{env}.r.example/x/{app}" }), of("a"), []string{"Api dev dev.r.example/x/api"}, nil},
		{"a key", good(func(e *discover.Entry) { e.RepositoryKey = ".image.repository" }), of("image: {repository: r.example/api, tag: v1}"), []string{"Api dev r.example/api"}, nil},
		{"a key with a condition", good(func(e *discover.Entry) { e.RepositoryKey = `.images[] | select(.name == "app") | .newName` }), of("images: [{name: app, newName: r.example/api}]"), []string{"Api dev r.example/api"}, nil},
		{"keys of several apps", discover.Entry{File: "values-{env}.yaml", Set: []values.Target{{Key: ".{app}.image.tag"}}, RepositoryKey: ".{app}.image.repository"},
			files{"values-dev.yaml": "api: {image: {repository: r.example/api, tag: v1}}\nweb: {image: {tag: v1}}\n"}, []string{"api dev r.example/api"},
			[]string{`values-dev.yaml: repositoryKey .{app}.image.repository selects nothing`}},
		{"no key", good(func(e *discover.Entry) { e.RepositoryKey = ".image.repository" }), of("image: {tag: v1}"), nil,
			[]string{"charts/Api/values-dev.yaml: repositoryKey .image.repository selects nothing: .image has no repository; it has tag"}},
		{"an empty key", good(func(e *discover.Entry) { e.RepositoryKey = ".image.repository" }), of("image: {repository: }"), nil, []string{"repositoryKey .image.repository is empty: write the image there, without tag"}},
		{"a tag", good(func(e *discover.Entry) { e.RepositoryKey = ".image" }), of("image: r.example/api:v1"), nil,
			[]string{"repositoryKey .image must be an image name without tag or digest, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/api, not \"r.example/api:v1\"; leave :v1 out. A tag has a key of its own"}},
		{"a digest", good(func(e *discover.Entry) { e.RepositoryKey = ".image" }), of("image: r.example/api@sha256:" + strings.Repeat("0", 64)), nil, []string{"leave @sha256:"}},
		{"no registry", good(func(e *discover.Entry) { e.RepositoryKey = ".image.repository" }), of("image: {registry: r.example, repository: api}"), nil, []string{"write the registry's host before it"}},
		{"text for another tool", good(func(e *discover.Entry) { e.RepositoryKey = ".image" }), of("image: '{{ .Values.image }}'"), nil, []string{"repositoryKey .image holds"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := compile(t, c.entry).Look(tree(t, c.files), read)
			same(t, "found", images(r), c.found)
			wantProblems(t, r, c.problems...)
		})
	}
}

// What is not here is needed, and neither found nor a problem. A file that could not be
// read is asked for again, and one that was parsed only when it is another.
func TestContentsThatAreNotHere(t *testing.T) {
	rules := compile(t, good(func(e *discover.Entry) { e.RepositoryKey = ".image"; e.AppFile = "charts/{app}/tallyman.yaml" }))
	all := files{"charts/api/values-dev.yaml": "image: r.example/api", "charts/web/values-dev.yaml": "image: r.example/web", "charts/web/tallyman.yaml": "tags: {match: v.*}", "charts/web/values-prod.yaml": "image: ["}
	root := tree(t, all)
	asked := map[string]int{}
	refuse := map[string]error{}
	look := func() *discover.Result {
		return rules.Look(root, func(path string, f *git.File, parse func([]byte) error) error {
			asked[path]++
			if err := refuse[path]; err != nil {
				return err
			}
			return read(path, f, parse)
		})
	}
	refuse["charts/api/values-dev.yaml"] = gitops.Errorf(gitops.Unavailable, "not fetched")
	refuse["charts/web/tallyman.yaml"] = gitops.Errorf(gitops.Unavailable, "not fetched")
	r := look()
	same(t, "needs", r.Needs, []string{"charts/api/values-dev.yaml", "charts/web/tallyman.yaml"})
	if len(r.Found) > 0 || len(r.Problems) > 0 {
		t.Errorf("without contents: %v, %v", list(r), r.Problems)
	}
	refuse["charts/api/values-dev.yaml"] = gitops.Errorf(gitops.Rejected, "is set aside")
	delete(refuse, "charts/web/tallyman.yaml")
	r = look()
	same(t, "found", images(r), []string{"web dev r.example/web"})
	wantProblems(t, r, "charts/api/values-dev.yaml cannot be read: is set aside", "charts/web/values-prod.yaml cannot be read: the file is not YAML")
	if again := look(); again != r {
		t.Error("a look that finds the same has another result")
	}
	delete(refuse, "charts/api/values-dev.yaml")
	clear(asked)
	r = look()
	same(t, "found", images(r), []string{"api dev r.example/api", "web dev r.example/web"})
	if asked["charts/api/values-dev.yaml"] != 1 || len(asked) != 1 {
		t.Errorf("asked for %v", asked)
	}
	refuse["charts/api/values-prod.yaml"] = gitops.Errorf(gitops.Unavailable, "not fetched")
	root = tree(t, all.with(files{"charts/api/values-prod.yaml": "image: r.example/api"}))
	same(t, "needs", look().Needs, []string{"charts/api/values-prod.yaml"})
	delete(refuse, "charts/api/values-prod.yaml")
	clear(asked)
	root = tree(t, all.with(files{"charts/web/tallyman.yaml": "tags: {match: w.*}"}))
	r = look()
	same(t, "found", images(r), []string{"api dev r.example/api", "web dev r.example/web"})
	if r.Found[1].Tags.Match != "w.*" || asked["charts/web/tallyman.yaml"] != 1 || len(asked) != 1 {
		t.Errorf("after a change of the own file: %+v, asked for %v", r.Found[1], asked)
	}
}
