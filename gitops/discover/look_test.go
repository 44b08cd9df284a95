package discover_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// A look at another tip finds what is there, keeps what says the same, and reads what
// changed.
func TestALookAtAnotherTip(t *testing.T) {
	rules := compile(t, good(func(e *discover.Entry) { e.RepositoryKey = ".image" }))
	all := files{"charts/api/values-dev.yaml": "image: r.example/api", "charts/web/values-dev.yaml": "image: r.example/web", "charts/api-x/README.md": "a", "README.md": "a"}
	asked := 0
	look := func(changes files) *discover.Result {
		all = all.with(changes)
		return rules.Look(tree(t, all), func(path string, f *git.File, parse func([]byte) error) error {
			asked++
			return read(path, f, parse)
		})
	}
	first := look(nil)
	same(t, "found", images(first), []string{"api dev r.example/api", "web dev r.example/web"})
	for _, change := range []files{{"README.md": "b"}, {"charts/api/Chart.yaml": "a"}, {"charts/api/values-dev.yaml": "image: r.example/api\ntag: v2"}, {"charts/README.md": "c"}, {"charts/api-y/README.md": "d"}} {
		if r := look(change); r != first {
			t.Errorf("%v: another result: %v", change, images(r))
		}
	}
	if asked != 3 {
		t.Errorf("%d files were read, want two, and the one that changed", asked)
	}
	second := look(files{"charts/job/values-dev.yaml": "image: r.example/job", "charts/web/values-dev.yaml": "image: r.example/web2"})
	same(t, "found", images(second), []string{"api dev r.example/api", "job dev r.example/job", "web dev r.example/web2"})
	if second.Found[0] != first.Found[0] || second.Found[2] == first.Found[1] || asked != 5 {
		t.Errorf("what says the same is another, or the other way about; %d files were read", asked)
	}
	third := look(files{"charts/api/values-dev.yaml": "", "charts/web/values-dev.yaml": "-> ../job/values-dev.yaml"})
	same(t, "found", images(third), []string{"job dev r.example/job"})
	wantProblems(t, third, "charts/web/values-dev.yaml is a symbolic link")
	if fourth := look(files{"charts/web/values-dev.yaml": ""}); len(fourth.Problems) > 0 {
		t.Errorf("after the link: %v", fourth.Problems)
	}
}

// Whatever changes from tip to tip, a look finds what a first look at that tip finds.
func TestLooksFindWhatAFirstLookFinds(t *testing.T) {
	entries := []discover.Entry{
		{File: "charts/{app}/values-{env}.yaml", AppFile: "charts/{app}/tallyman.yaml", Exclude: []string{"charts/b/values-dev.yaml", "**/_*"}, RepositoryKey: ".image"},
		{File: "{env}/*/{app}.yaml", Repository: "r.example/{app}"},
		{File: "apps/{app}/over/{env}/k.yaml", AppFile: "apps/{app}/own.yaml"},
		{File: "all/{env}.yaml", Set: []values.Target{{Key: ".{app}.tag"}}, RepositoryKey: ".{app}.image"},
	}
	var paths []string
	for _, dir := range []string{"charts/a/", "charts/b/", "charts/B/", "charts/_x/", "dev/t/", "prod/u/", "qa/u/", "dev/v/", "all/"} {
		for _, name := range []string{"values-dev.yaml", "values-prod.yaml", "tallyman.yaml", "a.yaml", "c.yaml", "_d.yaml", "dev.yaml", "staging.yaml"} {
			paths = append(paths, dir+name)
		}
	}
	for _, path := range []string{"apps/k/over/dev/k.yaml", "apps/k/over/prod/k.yaml", "apps/k/own.yaml", "apps/k-l/own.yaml", "apps/k-l/over/dev/k.yaml"} {
		paths = append(paths, path, path, path)
	}
	contents := []string{"", "", "image: r.example/x", "image: r.example/y", "a: {tag: v, image: r.example/a}\nc: {tag: v}\n", "a: [", "-> x", "submodule", "file: '{env}.yaml'", "tags: {match: x}", "repository: r.example/own"}
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		rules := compile(t, slices.Clone(entries)...)
		all := files{}
		for range 25 {
			changes := files{}
			for range 1 + random.IntN(4) {
				changes[paths[random.IntN(len(paths))]] = contents[random.IntN(len(contents))]
			}
			all = all.with(changes)
			root := tree(t, all)
			got, want := rules.Look(root, read), compile(t, slices.Clone(entries)...).Look(root, read)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, after %v, in %v (-first look +next look):\n%s", seed, changes, slices.Sorted(maps.Keys(all)), diff)
			}
		}
	}
}

// many is a repository of so many apps in four environments.
func many(apps int) files {
	all := make(files)
	for i := range apps {
		addApp(all, i)
	}
	return all
}

func addApp(to files, i int) {
	dir := fmt.Sprintf("charts/app-%05d/", i)
	for _, env := range []string{"dev", "staging", "prod", "qa"} {
		to[dir+"values-"+env+".yaml"] = fmt.Sprintf("image: {repository: r.example/app-%d, tag: v1}\nenv: %s\n", i, env)
	}
	to[dir+"Chart.yaml"], to[dir+"values.yaml"], to[dir+"templates/deployment.yaml"] = fmt.Sprint(i), "replicas: 1", "kind: Deployment"
}

// The figures of 5,000 apps in 4 environments: the first look, a look at a commit of one
// tag, and one at a commit that brings 100 apps.
func BenchmarkLook(b *testing.B) {
	c := config(good(func(e *discover.Entry) { e.Repository = "r.example/{app}" }))
	c.Environments = append(c.Environments, "qa")
	all := many(5000)
	before := tree(b, all)
	edited := tree(b, all.with(files{"charts/app-02500/values-dev.yaml": "image: {repository: x, tag: v2}"}))
	brought := maps.Clone(all)
	for i := range 100 {
		addApp(brought, 5000+i)
	}
	after := tree(b, brought)
	rules := func() *discover.Rules {
		r, err := discover.Compile(c)
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	look := func(r *discover.Rules, root *git.Directory, want int) {
		if found := len(r.Look(root, read).Found); found != want {
			b.Fatalf("%d found, want %d", found, want)
		}
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			look(rules(), before, 20_000)
		}
	})
	b.Run("one commit", func(b *testing.B) {
		r, tips := rules(), []*git.Directory{before, edited}
		look(r, before, 20_000)
		b.ReportAllocs()
		for i := 1; b.Loop(); i++ {
			look(r, tips[i%2], 20_000)
		}
	})
	b.Run("100 new apps", func(b *testing.B) {
		r := rules()
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			look(r, before, 20_000)
			b.StartTimer()
			look(r, after, 20_400)
		}
	})
}

// What is found in a file stays what it is when something comes before it.
func TestNamesOfAFileStay(t *testing.T) {
	rules := compile(t, key("all/{env}.yaml", ".{app}.tag"))
	first := rules.Look(tree(t, files{"all/dev.yaml": "b: {tag: a}\nc: {tag: a}\n"}), read)
	second := rules.Look(tree(t, files{"all/dev.yaml": "a: {tag: a}\nb: {tag: b}\nc: {tag: a}\n"}), read)
	if len(second.Found) != 3 || second.Found[1] != first.Found[0] || second.Found[2] != first.Found[1] {
		t.Errorf("found %v, and then %v", list(first), list(second))
	}
}

// A directory that is new, and a file that has no names any more, can be needed, or
// wrong, without anything that is found.
func TestWhatIsNewWithoutBeingFound(t *testing.T) {
	rules := compile(t, withOwn, key("all/{env}.yaml", ".{app}.tag"))
	all := files{"charts/api/values-dev.yaml": "a", "all/dev.yaml": "text: a"}
	here := true
	look := func(changes files) *discover.Result {
		all = all.with(changes)
		return rules.Look(tree(t, all), func(path string, f *git.File, parse func([]byte) error) error {
			if !here {
				return gitops.Errorf(gitops.Unavailable, "not fetched")
			}
			return read(path, f, parse)
		})
	}
	look(nil)
	wantProblems(t, look(files{"charts/web/tallyman.yaml": "a: 1"}), "charts/web/tallyman.yaml: a: is not a field")
	here = false
	same(t, "needs", look(files{"all/dev.yaml": "text: b"}).Needs, []string{"all/dev.yaml"})
	same(t, "needs", look(files{"charts/job/tallyman.yaml": "tags: {}"}).Needs, []string{"charts/job/tallyman.yaml", "all/dev.yaml"})
	here = true
	if r := look(files{"charts/web/tallyman.yaml": ""}); len(r.Needs) > 0 || len(r.Problems) > 0 {
		t.Errorf("when all is here: %v, %v", r.Needs, r.Problems)
	}
}
