package discover_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// good is an entry that compiles.
func good(change func(*discover.Entry)) discover.Entry {
	e := discover.Entry{File: "charts/{app}/values-{env}.yaml"}
	change(&e)
	return e
}

func file(pattern string) discover.Entry { return discover.Entry{File: pattern} }

func key(pattern, key string) discover.Entry {
	return discover.Entry{File: pattern, Set: []values.Target{{Key: key}}}
}

// What cannot work for any repository is an error that names the field, the rule and
// the way out.
func TestWhatCannotWork(t *testing.T) {
	for _, c := range []struct {
		entry discover.Entry
		says  string
	}{
		{file(""), "discover[0].file: is missing: give the path of the files, such as charts/{app}/values-{env}.yaml"},
		{file("charts/values-{env}.yaml"), "discover[0].file: must name {app}, such as charts/{app}/values-{env}.yaml, or the first key of set must, such as .{app}.image.tag"},
		{file("charts/{app}/values.yaml"), "discover[0].file: must name {env}, such as charts/{app}/values-{env}.yaml, or the first key of set must, such as .{env}.image.tag, or the entry must be for one environment"},
		{key("values.yaml", ".{app}.image.tag"), "discover[0].file: must name {app} and {env}, or the first key of set must name what it does not: .{app}.image.tag has one of them"},
		{key("values-{env}.yaml", `.i[] | select(.n == {app} or .n == {repository}) | .tag`), "discover[0].set[0].key: has or in select(...), and names cannot be found through it; a key that names apps in a file has"},
		{discover.Entry{File: "values-{env}.yaml", Set: []values.Target{{Key: ".{app}.tag", Inside: ".values"}}}, "discover[0].set[0].inside: cannot be there where the first key names the apps"},
		{file("charts/{app}/.git/values-{env}.yaml"), "discover[0].file: must not lie in .git"},
		{file("charts/{app}/.GIT/{env}"), "must not lie in .git"},
		{file("charts/../{app}/values-{env}.yaml"), "discover[0].file: must not have ..: write the path from the repository's root"},
		{file("./{app}/values-{env}.yaml"), "must not have .: write"},
		{file("/charts/{app}/values-{env}.yaml"), "without the / before it"},
		{file("charts//{app}/values-{env}.yaml"), "has two / side by side"},
		{file("charts/{app}/{env}/"), "must be the path of a file"},
		{file(`charts\{app}\{env}`), `must have / between its names`},
		{file("charts/{app}/\x00{env}"), "without control characters"},
		{file("charts/{app}/\xff{env}"), "must be UTF-8"},
		{file("charts/{app}{env}.yaml"), `discover[0].file: has two of {app}, {env} and * side by side in "{app}{env}.yaml", and nothing says where one ends and the other begins: put text between them, such as {app}-{env}, or a /`},
		{file("charts/{app}{app}/{env}.yaml"), "side by side"},
		{file("charts/{app}*/{env}.yaml"), "side by side"},
		{file("charts/{app}-*-{env}-*.yaml"), "more than 3 of {app}, {env} and *"},
		{file("**/{app}/values-{env}.yaml"), "discover[0].file: must not have **, which only exclude knows: write a * for each directory"},
		{file("charts/{app}/values-{env}.y?ml"), "knows {app}, {env} and *, and not ? and [: write *"},
		{file("charts/{app}/values-[a-z]{env}.yaml"), "and not ? and ["},
		{file("charts/{name}/values-{env}.yaml"), "discover[0].file: knows {app} and {env} in braces, and not {name}"},
		{file("charts/{app/values-{env}.yaml"), "has a { without its }"},
		{file("charts/app}/values-{env}.yaml"), "has a } without its {"},
		{file(strings.Repeat("{app}/", 40) + "{env}"), "must have at most 1024 bytes and 32 names"},
		{file("{app}/{env}/" + strings.Repeat("a", 300)), "must have names of at most 255 bytes"},
		{good(func(e *discover.Entry) { e.Exclude = []string{"charts/{app}/**"} }), "discover[0].exclude[0]: knows * and **, and neither braces nor ? and ["},
		{good(func(e *discover.Entry) { e.Exclude = []string{"x", "charts/old**"} }), `discover[0].exclude[1]: has ** within "old**": ** stands alone between two /`},
		{good(func(e *discover.Entry) { e.Exclude = []string{"**"} }), "discover[0].exclude[0]: leaves everything out"},
		{good(func(e *discover.Entry) { e.Exclude = []string{"../x"} }), "discover[0].exclude[0]: must not have .."},
		{good(func(e *discover.Entry) { e.Environments = []string{"dev", "qa"} }), `discover[0].environments[1]: "qa" is not among the configured environments (dev, staging, prod)`},
		{good(func(e *discover.Entry) { e.Environments = []string{"dev", "dev"} }), `discover[0].environments[1]: names "dev" twice`},
		{good(func(e *discover.Entry) { e.Environments = []string{} }), "discover[0].environments: must name at least one"},
		{good(func(e *discover.Entry) { e.Repository, e.RepositoryKey = "r.example/{app}", ".image" }), "discover[0].repositoryKey: is given beside repository"},
		{good(func(e *discover.Entry) { e.Repository = "r.example/*" }), "discover[0].repository: must not have *: write {app}"},
		{good(func(e *discover.Entry) { e.Repository = "r.example/{app}:v1" }), "discover[0].repository: must be an image name without tag or digest"},
		{good(func(e *discover.Entry) { e.Repository = "r.example/{name}" }), "discover[0].repository: knows {app} and {env} in braces, and not {name}"},
		{good(func(e *discover.Entry) { e.RepositoryKey = ".image | .x = 1" }), "discover[0].repositoryKey: must only select"},
		{good(func(e *discover.Entry) { e.RepositoryKey = `.i[] | select(.n != "{app}") | .image` }), "discover[0].repositoryKey: has not_equals in select(...)"},
		{good(func(e *discover.Entry) { e.Also = []discover.File{{Path: "charts/*/Chart.yaml"}} }), "discover[0].also[0].file: may have * only in the directories that it has in common with file"},
		{good(func(e *discover.Entry) { e.Also = []discover.File{{Path: "charts/{app}/values-{env}.yaml"}} }), "discover[0].also[0].file: is file itself"},
		{good(func(e *discover.Entry) { e.Also = []discover.File{{Path: "../x"}} }), "discover[0].also[0].file: must not have .."},
		{good(func(e *discover.Entry) {
			e.Also = []discover.File{{Path: "charts/{app}/Chart.yaml", Set: []values.Target{{Key: ".appVersion"}}}}
		}), "discover[0].also[0]: would set .appVersion in charts/{app}/Chart.yaml for each of dev, prod, staging, and the last one counts"},
		{good(func(e *discover.Entry) {
			e.Also = []discover.File{{Path: "charts/{env}.yaml", Set: []values.Target{{Key: ".tag"}}}}
		}), "discover[0].also[0]: would set .tag in charts/{env}.yaml for every app"},
		{good(func(e *discover.Entry) {
			e.Also = []discover.File{{Path: "charts/{app}/{env}.yaml", Set: []values.Target{{Key: ".tag = 1"}}}}
		}), "discover[0].also[0].set[0].key: must only select"},
		{good(func(e *discover.Entry) { e.AppFile = "charts/{app}.yaml" }), "discover[0].appFile: must have a plain name in its directory"},
		{good(func(e *discover.Entry) { e.AppFile = "own/{app}/tallyman.yaml" }), "discover[0].appFile: must lie in a directory of file that names {app}"},
		{good(func(e *discover.Entry) { e.AppFile = "charts/tallyman.yaml" }), "discover[0].appFile: must lie in a directory of file that names {app}"},
	} {
		rules, err := discover.Compile(config(c.entry))
		if rules != nil || gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "discover[0].") {
			t.Errorf("%+v:\n got %v\nwant %s", c.entry, err, c.says)
		}
	}
}

// Every entry's errors are said at once.
func TestAllThatIsWrongIsSaid(t *testing.T) {
	bad := good(func(e *discover.Entry) { e.Exclude, e.Repository = []string{"**", "a**"}, "x" })
	_, err := discover.Compile(config(file("{app}"), good(func(*discover.Entry) {}), bad))
	for _, says := range []string{"discover[0].file: ", "discover[2].exclude[0]: ", "discover[2].exclude[1]: ", "discover[2].repository: "} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%v lacks %s", err, says)
		}
	}
}

// Where an entry has no set the environments' first keys name the apps, if they are the
// same.
func TestNamesByTheDefaultSet(t *testing.T) {
	c := config(file("values-{env}.yaml"))
	c.Set = func(string) []values.Target { return []values.Target{{Key: ".{app}.image.tag"}} }
	rules, err := discover.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "found", list(rules.Look(tree(t, files{"values-dev.yaml": "api: {image: {tag: v1}}"}), read)), []string{"api dev values-dev.yaml"})
	c.Set = func(environment string) []values.Target {
		return []values.Target{{Key: "." + environment + ".{app}.tag"}}
	}
	if _, err := discover.Compile(c); err == nil || !strings.Contains(err.Error(), "discover[0].set: is missing: the file's content names the apps, and the environments dev and prod have different first keys") {
		t.Errorf("different first keys: %v", err)
	}
}
