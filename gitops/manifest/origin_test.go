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

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// origin is a real git server with one manifest repository, and the book of
// what the tests asked for, so that check can hold the one against the other.
type origin struct {
	*testing.T
	server *gitserver.Server
	ssh    *gitserver.SSH // nil over HTTP
	via    func(*Config)  // how writers reach another server of the same repository; nil for none
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

func testTarget(environment, app string) (Target, error) {
	if app == "unknown" {
		return Target{}, gitops.Errorf(gitops.NotFound, "no such app")
	}
	return Target{File: testFile(environment, app), Editor: lineEditor{}}, nil
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
	c := Config{
		URL:    o.repo.URL,
		Author: git.Signature{Name: "tallyman[bot]", Email: "1+tallyman[bot]@users.noreply.github.com"},
		Target: testTarget,
		Files:  testFiles,
		Logger: slog.New(slog.NewTextHandler(o.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if o.ssh != nil {
		c.URL = o.ssh.URL + strings.TrimPrefix(o.repo.URL, o.server.URL)
		c.SSH = git.SSH{KeyFile: o.ssh.KeyFile, KnownHostsFile: o.ssh.KnownHostsFile}
	}
	if o.via != nil {
		o.via(&c)
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
	h, err := o.repo.Commit(c)
	if err != nil {
		o.Fatal(err)
	}
	return h
}

func (o *origin) git(args ...string) string {
	o.Helper()
	out, err := o.repo.Git(args...)
	if err != nil {
		o.Fatal(err)
	}
	return out
}

// check holds the repository against the book: nothing is damaged, every
// committed update has exactly the commit that its settlement names, no commit
// carries an update that was not settled so far as committed, each bot commit
// changes the one line it should, and each app's commits stand in the
// order of their updates.
func (o *origin) check(settled ...gitops.Transition) {
	o.Helper()
	if err := o.repo.Fsck(); err != nil {
		o.Fatal(err)
	}
	for _, s := range settled {
		if s.Action == gitops.ActionCommit {
			o.checked[s.Update] = s.Commit
		}
	}
	log, err := o.repo.Log("refs/heads/main")
	if err != nil {
		o.Fatal(err)
	}
	found := make(map[string]string)
	last := make(map[[2]string]int64)
	var unchecked []gitserver.Commit
	for _, c := range log {
		if len(c.Updates) > 0 && !o.sound[c.Hash] {
			o.sound[c.Hash] = true
			unchecked = append(unchecked, c)
		}
		for _, id := range c.Updates {
			if first, twice := found[id]; twice {
				o.Fatalf("update %s was committed twice: %s and %s", id, first, c.Hash)
			}
			found[id] = c.Hash
			u := o.updates[id]
			of := [2]string{u.Environment, u.App}
			if last[of] > u.Sequence {
				o.Fatalf("%v: update %d was committed after %d", of, u.Sequence, last[of])
			}
			last[of] = u.Sequence
		}
	}
	patches := o.patches(unchecked)
	for _, c := range unchecked {
		o.checkCommit(c, patches[c.Hash])
	}
	for id, commit := range o.checked {
		if found[id] != commit {
			o.Fatalf("update %s is in commit %q, its settlement says %q", id, found[id], commit)
		}
	}
	for id, commit := range found {
		if _, ok := o.checked[id]; !ok {
			o.Fatalf("commit %s carries update %s, which nobody was told of", commit, id)
		}
	}
}

// patches returns what each of the commits changes.
func (o *origin) patches(commits []gitserver.Commit) map[string]string {
	o.Helper()
	patches := make(map[string]string)
	if len(commits) == 0 {
		return patches
	}
	args := []string{"show", "--unified=0", "--no-color", "--format=%x01%H"}
	for _, c := range commits {
		args = append(args, c.Hash)
	}
	for each := range strings.SplitSeq(strings.TrimPrefix(o.git(args...), "\x01"), "\x01") {
		hash, patch, _ := strings.Cut(each, "\n")
		patches[hash] = patch
	}
	return patches
}

// checkCommit holds one bot commit against its updates, and against its patch.
func (o *origin) checkCommit(c gitserver.Commit, patch string) {
	o.Helper()
	updates := make([]gitops.Update, len(c.Updates))
	lists, trailers := "", ""
	want := make(map[string]string) // the line that is in a file afterwards, by path
	for n, id := range c.Updates {
		u := o.updates[id]
		updates[n] = u
		lists += fmt.Sprintf("- %s to %s\n", u.App, u.Tag)
		when := fmt.Sprintf("accepted %s %d", u.AcceptedAt.Format(time.RFC3339Nano), u.Sequence)
		if !u.EventTime.IsZero() {
			when += " event " + u.EventTime.Format(time.RFC3339)
		}
		trailers += fmt.Sprintf("\nTallyman-Update: %s\nTallyman-Delivery: %s\nTallyman-Actor: %s\nTallyman-Release: %s/%s %s",
			u.ID, u.Delivery, u.Actor, u.Environment, u.App, when)
		want[testFile(u.Environment, u.App)] = fmt.Sprintf("+  tag: %q # by the bot", u.Tag)
	}
	message := fmt.Sprintf("chore: bump %s to %s (%s)\n%s", updates[0].App, updates[0].Tag, updates[0].Environment, trailers)
	if len(updates) > 1 {
		message = fmt.Sprintf("chore: %d updates (%s)\n\n%s%s", len(updates), updates[0].Environment, lists, trailers)
	}
	if c.Message != message {
		o.Fatalf("commit %s says\n%s\nwant\n%s", c.Hash, c.Message, message)
	}
	if c.Author != "tallyman[bot] <1+tallyman[bot]@users.noreply.github.com>" || len(c.Parents) != 1 {
		o.Fatalf("commit %s is by %s on %d parents", c.Hash, c.Author, len(c.Parents))
	}
	got := make(map[string]string)
	file, removed := "", 0
	for line := range strings.SplitSeq(patch, "\n") {
		switch {
		case strings.HasPrefix(line, "+++ "):
			file = line[6:]
		case strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+"):
			got[file] += line
		case strings.HasPrefix(line, "-"):
			removed++
		case strings.HasPrefix(line, "new mode"), strings.HasPrefix(line, "old mode"):
			o.Fatalf("commit %s changes a mode: %s", c.Hash, line)
		}
	}
	if len(updates) > 1 { // what ends where it began is not in the difference
		for path := range want {
			if _, changed := got[path]; !changed && strings.Contains(o.git("show", c.Parents[0]+":"+path), want[path][1:]) {
				delete(want, path)
			}
		}
	}
	if diffs := cmp.Diff(want, got); diffs != "" || removed != len(got) {
		o.Fatalf("commit %s changes\n%s\nwhich is not one line of each file: %s", c.Hash, patch, diffs)
	}
}

// partsOf is how many fetches there are where so many are needed with files that come
// alone: over SSH git sends them with their commit, in one.
func (o *origin) partsOf(n int) int {
	if o.ssh != nil {
		return 1
	}
	return n
}

// log lists the branch's commits, oldest first.
func (o *origin) log() []gitserver.Commit {
	o.Helper()
	log, err := o.repo.Log("refs/heads/main")
	if err != nil {
		o.Fatal(err)
	}
	return log
}

func (r *countingRecorder) Pushed(outcome PushOutcome, _ time.Duration, _ int) {
	if r.outcomes == nil {
		r.outcomes = make(map[PushOutcome]int)
	}
	r.outcomes[outcome]++
}
