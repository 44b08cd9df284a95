package discover_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// A path that is made from a pattern and names is found with these names, or it is said
// that it can be read in other ways. No pattern and no name ends the process.
func FuzzPatterns(f *testing.F) {
	for _, pattern := range []string{
		"charts/{app}/values-{env}.yaml", "apps/{app}/overlays/{env}/kustomization.yaml", "{env}-{app}.yaml", "{app}-{env}/{app}.yaml", "*/{app}.{env}",
		"{env}/{env}-{app}-*", "x-{app}-{app}/{env}", "a*b{app}b*/{env}", "**/{app}", "{app}{env}", "{app", "../{app}/{env}", "{app}/{env}/.git", "*-{app}-{env}", "{env}/*/{app}/*",
	} {
		f.Add(pattern, "api", "dev", "team")
		f.Add(pattern, "eu-api", "prod", "b-")
		f.Add(pattern, "dev-api-dev", "staging-eu", "")
	}
	f.Add("{app}-*-{env}", strings.Repeat("-a", 40), "dev", strings.Repeat("-dev", 30))
	f.Fuzz(func(t *testing.T, pattern, app, env, star string) {
		c := config(file(pattern))
		c.Environments = append(c.Environments, "prod-eu", "e")
		if !slices.Contains(c.Environments, env) {
			c.Environments = append(c.Environments, env)
		}
		rules, err := discover.Compile(c)
		if err != nil {
			if gitops.CodeOf(err) != gitops.Invalid || rules != nil {
				t.Fatalf("%v, %v", rules, err)
			}
			return
		}
		rules.MayNameApp(app)
		rules.MayNameImage(star)
		path := strings.NewReplacer("{app}", app, "{env}", env, "*", star).Replace(pattern)
		if names, err := git.SplitPath(path); err != nil || len(names) != strings.Count(pattern, "/")+1 || slices.ContainsFunc(names, func(n string) bool { return len(n) > 255 }) {
			return
		}
		r := rules.Look(tree(t, files{path: "a"}), read)
		found := slices.ContainsFunc(r.Found, func(f *discover.Found) bool { return f.App == app && f.Environment == env && f.File == path })
		switch {
		case len(r.Found) > 1 || len(r.Found) == 1 && r.Found[0].File != path:
			t.Fatalf("%q: found %v", path, list(r))
		case gitops.CheckName("", app) != nil || gitops.CheckName("", env) != nil || strings.ContainsFunc(star, isControl):
			return
		case !found && !slices.ContainsFunc(r.Problems, func(p discover.Problem) bool {
			return slices.Contains(p.Files, path) && strings.Contains(p.Message, " can be read as ")
		}):
			t.Fatalf("%q of %q with %q, %q and %q: found %v, problems %q", path, pattern, app, env, star, list(r), messages(r))
		case found && !rules.MayNameApp(app):
			t.Fatalf("%q was found, and could not come", app)
		}
	})
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd }

// What is in a file never ends the process, and nothing comes from it that no app can
// be called, or that is not an image.
func FuzzContents(f *testing.F) {
	for _, text := range []string{
		"api: {image: {repository: r.example/api, tag: v1}}\n", "file: '{env}.yaml'\nset: helm\nalso: [{file: x, set: [{key: .a}]}]\nrepository: r.example/x\ntags: {match: a}\n",
		"set: [{key: .a, create: parents, follows: [.b], replaces: [a], inside: .c, anchor: follow, value: '{tag}'}]\n", "a: &a [*a]", "<<: {image: {tag: v}}\n", "? {a: b}\n: c\n", "\xff", "---\n---\n",
		"global: &g {image: {tag: v1}}\napi: {<<: *g}\nApi: *g\n",
	} {
		f.Add([]byte(text), []byte(text))
	}
	f.Fuzz(func(t *testing.T, own, values []byte) {
		rules := compile(t, discover.Entry{File: "charts/{app}/values-{env}.yaml", AppFile: "charts/{app}/tallyman.yaml", RepositoryKey: ".image.repository"},
			discover.Entry{File: "all-{env}.yaml", Set: inverse, RepositoryKey: ".{app}.image.repository"})
		all := files{"charts/api/tallyman.yaml": string(own), "charts/api/values-dev.yaml": string(values), "charts/api/dev.yaml": string(values), "all-dev.yaml": string(values)}
		if slices.ContainsFunc([]string{string(own), string(values)}, func(s string) bool { return s == "submodule" || strings.HasPrefix(s, "-> ") }) {
			return // as the test's trees write other things
		}
		r := rules.Look(tree(t, all), read)
		for _, found := range r.Found {
			if gitops.CheckName("", found.App) != nil || found.Environment != "dev" && found.Environment != "staging" && found.Environment != "prod" || strings.ContainsAny(found.Image, " @\n{}") ||
				!strings.HasPrefix(found.File, "charts/api/") && found.File != "all-dev.yaml" {
				t.Fatalf("%+v", found)
			}
			for _, also := range found.Also {
				if names, err := git.SplitPath(also.Path); err != nil || names[0] != "charts" || names[1] != "api" {
					t.Fatalf("an own file reaches %q: %v", also.Path, err)
				}
			}
		}
		for _, p := range r.Problems {
			if len(p.Message) > 1100 || strings.ContainsAny(p.Message, "\n\x00") {
				t.Fatalf("a problem says %q", p.Message)
			}
		}
	})
}
