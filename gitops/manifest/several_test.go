package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// An app of these tests is set in three files: an environment's own for all apps, the
// app's own, and its chart.

func allFile(environment string) string { return "all/" + environment + ".yaml" }
func chartFile(environment, app string) string {
	return "charts/" + app + "/chart-" + environment + ".yaml"
}

func keyEdit(tb testing.TB, key string) *values.Edit {
	edit, err := values.Compile([]values.Target{{Key: key}})
	if err != nil {
		tb.Fatal(err)
	}
	return edit
}

// severalFiles makes the writer set an app's three files.
func severalFiles(tb testing.TB) func(*Config) {
	edits := map[string]*values.Edit{"image": keyEdit(tb, ".image.tag"), "chart": keyEdit(tb, ".appVersion")}
	for _, app := range testApps {
		edits[app] = keyEdit(tb, "."+app+".tag")
	}
	return func(c *Config) {
		c.Target = func(environment, app string) (Target, error) {
			return Target{Files: []FileEdit{
				{File: allFile(environment), Editor: edits[app]},
				{File: testFile(environment, app), Editor: edits["image"]},
				{File: chartFile(environment, app), Editor: edits["chart"]},
			}}, nil
		}
	}
}

// severalOrigin is an origin with the files, but for those of the paths.
func severalOrigin(t *testing.T, newOrigin origins, without ...string) *origin {
	t.Helper()
	o := newOrigin(t)
	files := make(map[string]string)
	for _, environment := range testEnvironments {
		for _, app := range testApps {
			files[allFile(environment)] += app + ": {tag: none}\n"
			files[chartFile(environment, app)] = "name: " + app + "\nappVersion: none\n"
		}
	}
	for _, path := range without {
		delete(files, path)
	}
	o.commit(gitserver.Change{Files: files})
	return o
}

// tagsOf are the tags of an app in its files on the branch.
func (o *origin) tagsOf(environment, app string) []string { return o.tagsAt("main", environment, app) }

// tagsAt are the tags of an app in its files at a commit: "-" for a file that is not
// there, and "?" for one without a tag.
func (o *origin) tagsAt(commit, environment, app string) (tags []string) {
	o.Helper()
	c := Config{}
	severalFiles(o)(&c)
	target, _ := c.Target(environment, app)
	for _, f := range target.Files {
		content, err := o.repo.Git("show", commit+":"+f.File)
		tag := "-"
		if err == nil {
			if tag, err = f.Editor.(TagReader).ReadTag([]byte(content)); err != nil {
				tag = "?"
			}
		}
		tags = append(tags, tag)
	}
	return tags
}

// wantTags holds an app's files on the branch against what they should have.
func (o *origin) wantTags(what, environment, app string, want ...string) {
	o.Helper()
	if diff := cmp.Diff(want, o.tagsOf(environment, app)); diff != "" {
		o.Errorf("%s: the files of %s in %s (-want +got):\n%s", what, app, environment, diff)
	}
}

// An update writes all of its files in one commit, also one of the tag that the first of
// them has already.
func TestAllFilesOfAnUpdateAreInOneCommit(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := severalOrigin(t, newOrigin)
		w := o.writer(severalFiles(o))
		end := func(what string, want gitops.Action, stat string) {
			t.Helper()
			before := o.git("rev-parse", "main")
			settled := o.write(w, o.update("dev", "shop", "main-0000001"))
			if settled[0].Action != want {
				t.Errorf("%s: ended as %+v, want %s", what, settled[0], want)
			}
			if got := o.git("diff", "--shortstat", before, "main"); strings.TrimSpace(got) != stat {
				t.Errorf("%s: the commit has %q, want %q", what, got, stat)
			}
			o.wantTags(what, "dev", "shop", "main-0000001", "main-0000001", "main-0000001")
		}
		end("all are old", gitops.ActionCommit, "3 files changed, 3 insertions(+), 3 deletions(-)")
		if n, pushes := len(o.log()), o.pushes(); n != 3 || pushes != 1 {
			t.Errorf("%d commits in %d pushes, want one more than two, in one", n, pushes)
		}
		end("all are new", gitops.ActionConfirm, "")
		for _, path := range []string{testFile("dev", "shop"), chartFile("dev", "shop")} {
			content := map[bool]string{true: "name: shop\nappVersion: v9\n", false: valuesFile("shop", "dev", "v9")}[strings.Contains(path, "chart-")]
			o.commit(gitserver.Change{Files: map[string]string{path: content}})
			end("a person changed "+path, gitops.ActionCommit, "1 file changed, 1 insertion(+), 1 deletion(-)")
		}
	})
}

// What a second file cannot take leaves the first as it was, in the commits of others,
// too: of updates before it and after it, in a plan that parses each file once, and in one
// that verifies each edit by itself.
func TestNoFileIsWrittenWhenOneCannotBe(t *testing.T) {
	t.Parallel()
	wrong := chartFile("dev", "shop")
	for name, c := range map[string]struct {
		content string // of the chart; "" for none
		editor  Editor // of the chart; nil for the usual one
		code    gitops.Code
		reason  string
	}{
		"no such file": {"", nil, gitops.NotFound, wrong + ": no such file"},
		"no such key":  {"name: shop\n", nil, gitops.NotFound, wrong + ": .appVersion: "},
		"not YAML":     {"a: b: c\n", nil, gitops.Invalid, wrong + ": "},
		"an anchor":    {"appVersion: &v v0\nother: *v\n", nil, gitops.Rejected, wrong + ": .appVersion: "},
		"too large":    {"appVersion: v0\n" + strings.Repeat("#\n", 2048), nil, gitops.TooLarge, wrong + ": "},
		"a panic":      {"appVersion: v0\n", brokenEditor{func() error { panic("no such node") }}, gitops.Internal, wrong + ": an internal error"},
		"an error":     {"appVersion: v0\n", brokenEditor{func() error { return errors.New("no such node") }}, gitops.Internal, wrong + ": an internal error"},
	} {
		for _, squash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, squash %t", name, squash), func(t *testing.T) {
				t.Parallel()
				o := severalOrigin(t, newOrigin, wrong)
				if c.content != "" {
					o.commit(gitserver.Change{Files: map[string]string{wrong: c.content}})
				}
				w := o.writer(severalFiles(o), func(config *Config) {
					config.Limits.FileBytes = 2048
					config.Squash = func(string) bool { return squash }
					usual := config.Target
					config.Target = func(environment, app string) (Target, error) {
						target, err := usual(environment, app)
						if app == "shop" && c.editor != nil {
							target.Files[2].Editor = c.editor
						}
						return target, err
					}
				})
				before := o.git("rev-parse", "main")
				settled := o.write(w, o.update("dev", "cart", "v1"), o.update("dev", "shop", "v1"), o.update("dev", "cart", "v2"), o.update("dev", "shop", "v2"), o.update("dev", "mail", "v1"))
				for i, s := range settled {
					if failed := i == 1 || i == 3; failed != (s.Action == gitops.ActionFail) || failed && (s.Code != c.code || !strings.HasPrefix(s.Reason, c.reason)) {
						t.Errorf("update %d ended as %+v, want %s: %s", i, s, c.code, c.reason)
					}
				}
				if tags := o.tagsOf("dev", "shop"); tags[0] != "none" || tags[1] != "none" {
					t.Errorf("the files of shop have %q", tags)
				}
				o.wantTags(name, "dev", "cart", "v2", "v2", "v2")
				o.wantTags(name, "dev", "mail", "v1", "v1", "v1")
				for _, commit := range strings.Fields(o.git("rev-list", "main", "^"+before)) { // each of them, not only the last
					if tag, err := keyEdit(t, ".shop.tag").ReadTag([]byte(o.git("show", commit+":"+allFile("dev")))); tag != "none" || err != nil {
						t.Errorf("in %s the first file of shop has %s, %v", commit, tag, err)
					}
				}
			})
		}
	}
}
