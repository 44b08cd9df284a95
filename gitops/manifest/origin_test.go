package manifest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
	"github.com/tallyman-dev/tallyman/gitops/proof"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// origin is a real git server with one manifest repository, and the book of
// what the tests asked for, so that check can hold the one against the other.
type origin struct {
	*testing.T
	server *gitserver.Server
	ssh    *gitserver.SSH // nil over HTTP
	repo   *gitserver.Repository
	first  string // the commit that was there before any test wrote

	ids     int
	updates map[string]gitops.Update // by id
	checked map[string]string        // the settlements seen by check: id to commit
	sound   map[string]bool          // commits that were held against their update
}

var (
	testApps         = []string{"shop", "cart", "mail", "auth"}
	testEnvironments = []string{"dev", "staging", "prod"}
)

func newOrigin(t *testing.T) *origin {
	t.Helper()
	dir := t.TempDir()
	server, err := gitserver.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	made, err := firstRepository()
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{T: t, server: server, first: made.commit, updates: make(map[string]gitops.Update), checked: make(map[string]string), sound: make(map[string]bool)}
	o.repo = &gitserver.Repository{Dir: filepath.Join(dir, "myshop", "manifests.git"), URL: server.URL + "/myshop/manifests.git"}
	if err := os.CopyFS(o.repo.Dir, made.files); err != nil {
		t.Fatal(err)
	}
	return o
}

// repositoryFiles is a repository to be copied.
type repositoryFiles struct {
	files  fstest.MapFS
	commit string // its only one
}

// firstRepository makes what every test begins with, once: git takes longer to make
// it than most tests take.
var firstRepository = sync.OnceValues(func() (made repositoryFiles, err error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return made, err
	}
	defer os.RemoveAll(dir)
	server, err := gitserver.Start(dir)
	if err != nil {
		return made, err
	}
	defer server.Close()
	repo, err := server.CreateRepository("first.git")
	if err != nil {
		return made, err
	}
	files := map[string]string{"README.md": "Manifests\n", "run.sh": "#!/bin/sh\n"}
	for _, app := range testApps {
		for _, environment := range testEnvironments {
			files[testFile(environment, app)] = valuesFile(app, environment, "none")
		}
	}
	if made.commit, err = repo.Commit(gitserver.Change{Message: "Everything", Files: files, Modes: map[string]string{"run.sh": "100755"}}); err != nil {
		return made, err
	}
	if _, err := repo.Git("repack", "-adq"); err != nil {
		return made, err
	}
	made.files = make(fstest.MapFS)
	return made, fs.WalkDir(os.DirFS(repo.Dir), ".", func(path string, e fs.DirEntry, err error) error {
		f := &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		if err == nil && !e.IsDir() {
			f.Mode = 0o644
			f.Data, err = os.ReadFile(filepath.Join(repo.Dir, path))
		}
		made.files[path] = f
		return err
	})
})

// origins makes origins that are reached in one way.
type origins func(*testing.T) *origin

// overEach runs a test over HTTP and over SSH: what is promised of the one is
// promised of the other.
func overEach(t *testing.T, test func(*testing.T, origins)) {
	t.Parallel()
	t.Run("http", func(t *testing.T) { t.Parallel(); test(t, newOrigin) })
	t.Run("ssh", func(t *testing.T) { t.Parallel(); test(t, newSSHOrigin) })
}

func newSSHOrigin(t *testing.T) *origin {
	t.Helper()
	o := newOrigin(t)
	var err error
	if o.ssh, err = o.server.ServeSSH(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return o
}

func testFile(environment, app string) string {
	return fmt.Sprintf("charts/%s/values-%s.yaml", app, environment)
}

func valuesFile(app, environment, tag string) string {
	return fmt.Sprintf("# %s in %s\nimage:\n  tag: %q # by the bot\nreplicas: 2\n", app, environment, tag)
}

// lineEditor stands for the real editor: it replaces what is quoted after "tag:".
type lineEditor struct{}

func (lineEditor) Apply(file []byte, v values.Vars) ([]byte, bool, error) {
	before, rest, ok := bytes.Cut(file, []byte(`tag: "`))
	old, after, closed := bytes.Cut(rest, []byte(`"`))
	if !ok || !closed {
		return nil, false, gitops.Errorf(gitops.NotFound, "the key .image.tag is not in the file")
	}
	out := slices.Concat(before, []byte(`tag: "`), []byte(v.Tag), []byte(`"`), after)
	return out, string(old) != v.Tag, nil
}

// testProver has the key of every test's store.
var testProver = proof.New(gitops.ProofKeyOf(gitops.ProofSecret{1}, time.Unix(1_700_000_000, 0)))

func testTarget(environment, app string) (Target, error) {
	if app == "unknown" {
		return Target{}, gitops.Errorf(gitops.NotFound, "no such app")
	}
	return Target{Files: []FileEdit{{File: testFile(environment, app), Editor: lineEditor{}}}}, nil
}

// testFiles are the files of the apps that are there from the beginning.
func testFiles() (paths []string) {
	for _, app := range testApps {
		for _, environment := range testEnvironments {
			paths = append(paths, testFile(environment, app))
		}
	}
	return paths
}

// writeAll writes updates, and returns what is known of them.
func writeAll(ctx context.Context, w *Writer, updates ...gitops.Update) ([]gitops.Transition, error) {
	r, err := w.Write(ctx, tasksOf(updates))
	if len(r.Refused) > 0 && err == nil {
		err = fmt.Errorf("refused: %+v", r.Refused)
	}
	return r.Transitions, err
}

func tasksOf(updates []gitops.Update) (tasks []gitops.WriteTask) {
	for _, u := range updates {
		tasks = append(tasks, gitops.WriteTask{Update: u})
	}
	return tasks
}

// writer starts a writer of the repository that ends with the test.
func (o *origin) writer(changes ...func(*Config)) *Writer {
	o.Helper()
	paths := testFiles()
	c := Config{
		URL:    o.repo.URL,
		Author: git.Signature{Name: "tallyman[bot]", Email: "1+tallyman[bot]@users.noreply.github.com"},
		Target: testTarget,
		Prover: testProver,
		Files:  func() []string { return paths },
		Logger: slog.New(slog.NewTextHandler(o.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if o.ssh != nil {
		c.URL = o.ssh.URL + strings.TrimPrefix(o.repo.URL, o.server.URL)
		c.SSH = git.SSH{KeyFile: o.ssh.KeyFile, KnownHostsFile: o.ssh.KnownHostsFile}
	}
	for _, change := range changes {
		change(&c)
	}
	w, err := New(c)
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() {
		if err := w.Close(); err != nil {
			o.Error(err)
		}
	})
	return w
}

// update makes a new update and enters it into the book.
func (o *origin) update(environment, app, tag string) gitops.Update {
	o.ids++
	u := gitops.Update{
		ID:          fmt.Sprintf("up-%04d", o.ids),
		Delivery:    gitops.DeliveryKey{Source: "github", ID: fmt.Sprintf("guid-%04d", o.ids)},
		Actor:       "octocat",
		Environment: environment, App: app, Tag: tag,
		State: gitops.Pending, AcceptedAt: time.Now().UTC(), Sequence: int64(o.ids),
	}
	o.updates[u.ID] = u
	return u
}

// write writes the updates and wants all of them settled.
func (o *origin) write(w *Writer, updates ...gitops.Update) []gitops.Transition {
	o.Helper()
	settled, err := writeAll(context.Background(), w, updates...)
	if err != nil {
		o.Fatalf("writing: %v", err)
	}
	if len(settled) != len(updates) {
		o.Fatalf("%d of %d updates are settled", len(settled), len(updates))
	}
	for i, s := range settled {
		if s.Update != updates[i].ID {
			o.Fatalf("settlement %d is of %s, want %s", i, s.Update, updates[i].ID)
		}
	}
	return settled
}

func (o *origin) commit(c gitserver.Change) string {
	o.Helper()
	return gittest.Commit(o, o.repo, c)
}

func (o *origin) git(args ...string) string {
	o.Helper()
	return gittest.Git(o, o.repo, args...)
}
