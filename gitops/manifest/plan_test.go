package manifest

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// oneFile is the values of so many apps in one file, each of about so many bytes.
func oneFile(apps, bytes int) string {
	var b strings.Builder
	for n := range apps {
		fmt.Fprintf(&b, "app-%04d:\n  image:\n    tag: \"none\"\n  env:\n", n)
		for e := range bytes / 60 {
			fmt.Fprintf(&b, "    - {name: VARIABLE_%03d, value: \"some value of %03d\"}\n", e, e)
		}
	}
	return b.String()
}

// appInOneFile is a target in such a file.
func appInOneFile(tb testing.TB) func(environment, app string) (Target, error) {
	return func(environment, app string) (Target, error) {
		edit, err := values.Compile([]values.Target{{Key: "." + app + ".image.tag"}})
		if err != nil {
			tb.Error(err)
		}
		return Target{Files: []FileEdit{{File: "values-" + environment + ".yaml", Editor: edit}}}, nil
	}
}

// Many updates of one file are one push, each its own commit that changes one line.
func TestManyUpdatesOfOneFile(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	const apps = 120
	o.commit(gitserver.Change{Files: map[string]string{"values-dev.yaml": oneFile(apps, 600)}})
	w := o.writer(func(c *Config) { c.Target = appInOneFile(t) })
	var updates []gitops.Update
	for n := range apps {
		updates = append(updates, o.update("dev", fmt.Sprintf("app-%04d", n), "main-0000001"))
	}
	updates = append(updates, o.update("dev", "app-0003", "main-0000002"), o.update("dev", "app-none", "main-0000001"), o.update("dev", "app-0003", "main-0000002"))
	for i, s := range o.write(w, updates...) {
		want := gitops.ActionCommit
		switch i {
		case apps + 1:
			want = gitops.ActionFail
		case apps + 2:
			want = gitops.ActionConfirm
		}
		if s.Action != want {
			t.Errorf("update %d is %+v, want %s", i, s, want)
		}
	}
	if n := o.pushes(); n != 1 {
		t.Errorf("%d pushes, want 1", n)
	}
	if err := o.repo.Fsck(); err != nil {
		t.Error(err)
	}
	if stat := o.git("log", "--format=", "--shortstat", "-n", fmt.Sprint(apps+1), "main"); strings.Count(stat, "1 file changed, 1 insertion(+), 1 deletion(-)") != apps+1 {
		t.Errorf("the commits change\n%s", stat)
	}
	if file := o.git("show", "main:values-dev.yaml"); strings.Count(file, `tag: "main-0000001"`) != apps-1 || strings.Count(file, `tag: "main-0000002"`) != 1 {
		t.Error("the file does not say what the updates said")
	}
}

// A file that an environment with a commit for each update shares with one whose
// batch is one commit is in each commit as the updates up to there left it.
func TestEnvironmentsThatShareAFile(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit(gitserver.Change{Files: map[string]string{"values-all.yaml": oneFile(8, 600)}})
	target := appInOneFile(t)
	w := o.writer(squashing("prod"), func(c *Config) {
		c.Target = func(_, app string) (Target, error) { return target("all", app) }
	})
	var updates []gitops.Update
	app := func(n int) string { return fmt.Sprintf("app-%04d", n) }
	for n := range 4 {
		updates = append(updates, o.update("dev", app(n), "main-0000001"), o.update("prod", app(4+n), "main-0000001"), o.update("prod", app(4+n), "main-0000002"))
	}
	updates = append(updates, o.update("dev", app(3), "none"), o.update("dev", app(3), "main-0000003"))
	for n, s := range o.write(w, updates...) {
		if s.Action != gitops.ActionCommit {
			t.Errorf("update %d is %+v", n, s)
		}
	}
	if n := o.pushes(); n != 1 {
		t.Errorf("%d pushes, want 1", n)
	}
	if err := o.repo.Fsck(); err != nil {
		t.Error(err)
	}
	stat := o.git("log", "--format=", "--shortstat", "-n", "7", "main")
	if one, four := strings.Count(stat, " 1 insertion(+), 1 deletion(-)"), strings.Count(stat, " 4 insertions(+), 4 deletions(-)"); one != 6 || four != 1 {
		t.Errorf("the commits change\n%s", stat)
	}
}

// An editor that breaks in the middle of a file that others change as well is found
// out, and fails its own update.
func TestAnEditThatCannotBeVerifiedFailsAlone(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	// The last app's value is in an anchor that a template elsewhere uses.
	file := oneFile(3, 60) + "app-0003:\n  image: {tag: &shared none}\nother: *shared\n"
	o.commit(gitserver.Change{Files: map[string]string{"values-dev.yaml": file}})
	w := o.writer(func(c *Config) { c.Target = appInOneFile(t) })
	var updates []gitops.Update
	for n := range 4 {
		updates = append(updates, o.update("dev", fmt.Sprintf("app-%04d", n), "main-0000001"))
	}
	for i, s := range o.write(w, updates...) {
		if want := map[bool]gitops.Action{true: gitops.ActionFail, false: gitops.ActionCommit}[i == 3]; s.Action != want {
			t.Errorf("update %d is %+v, want %s", i, s, want)
		}
	}
}

// The plan of 500 updates of one file of 0.9 MB with 1,000 apps, each its own commit: of any
// tag before, and of one that is expected.
func BenchmarkPlanOfALargeFile(b *testing.B) {
	file := oneFile(1000, 900)
	root := &git.File{Name: git.Object{Kind: git.KindBlob, Data: []byte(file)}.Name()}
	tree := append([]byte("100644 values-dev.yaml\x00"), root.Name[:]...)
	object := git.Object{Kind: git.KindTree, Data: tree}
	directory, err := git.NewDirectory(object.Name(), map[git.Hash]git.Object{object.Name(): object}, git.NewIndex(nil), 1<<40)
	if err != nil {
		b.Fatal(err)
	}
	of := &branch.Snapshot{Root: directory}
	found, err := directory.Find([]string{"values-dev.yaml"})
	if err != nil {
		b.Fatal(err)
	}
	found.SetContent([]byte(file))
	c := Config{Prover: testProver, Author: git.Signature{Name: "bot", Email: "bot@example.com"}, Target: appInOneFile(b), Limits: Limits{PlanTime: time.Hour, FileBytes: values.MaxFile}}
	b.ReportMetric(float64(len(file)>>10), "KiB/file")
	for _, expected := range []string{"", "none"} {
		b.Run("expected "+cmp.Or(expected, "any"), func(b *testing.B) {
			var items []*item
			for n := range 500 {
				items = append(items, &item{expected: expected, update: gitops.Update{ID: fmt.Sprint("up-", n), Environment: "dev", App: fmt.Sprintf("app-%04d", n), Tag: "main-0000001", AcceptedAt: time.Now()}})
			}
			for b.Loop() {
				c = c.withDefaults()
				a := &actor{Source: branch.New(c.source(), nil), config: c, snapshot: of, clock: new(stepClock), edits: c.edits(), commits: c.committer(nil)}
				if err := a.commits.Ready(b.Context(), 0); err != nil {
					b.Fatal(err)
				}
				p, err := a.plan(b.Context(), items)
				if err != nil || p.commits != 500 {
					b.Fatalf("%d commits, %v", p.commits, err)
				}
				b.ReportMetric(float64(p.draft.Size()>>10), "KiB/draft")
			}
		})
	}
}
