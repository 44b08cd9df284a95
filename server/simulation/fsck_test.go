package simulation

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// TestGitAgrees holds the simulation's git server against git itself: what a
// schedule leaves is a repository in which git finds nothing wrong, and in which
// it sees the same history.
func TestGitAgrees(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for seed := range 12 {
		var left *origin
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, uint64(seed), newModelStore)
			w.play()
			left = w.origin
		})
		r := dump(t, left)
		if out := r.git("fsck", "--full", "--strict", "--no-dangling"); out != "" {
			t.Errorf("seed %d: git fsck says\n%s", seed, out)
		}
		var ours []string
		for _, commit := range left.all.history(left.tip, nil) {
			ours = append(ours, commit.String())
		}
		theirs := strings.Fields(r.git("rev-list", "main"))
		if len(ours) != len(theirs) {
			t.Errorf("seed %d: git sees %d commits, the simulation %d", seed, len(theirs), len(ours))
		}
	}
}

// dumped is a schedule's repository on the disk.
type dumped struct {
	t   *testing.T
	dir string
}

func dump(t *testing.T, o *origin) dumped {
	t.Helper()
	r := dumped{t, t.TempDir()}
	r.git("init", "--quiet", "--bare", "--initial-branch=main", ".")
	for name, object := range o.all {
		r.write("objects/"+name.String()[:2]+"/"+name.String()[2:], loose(object))
	}
	r.write("refs/heads/main", []byte(o.tip.String()+"\n"))
	for i, s := range o.stood { // all that was ever on the branch
		if !s.tip.IsZero() {
			r.write(fmt.Sprintf("refs/stood/%d", i), []byte(s.tip.String()+"\n"))
		}
	}
	return r
}

// loose is an object as it lies in a file of its own (gitformat-loose in git's
// documentation).
func loose(o *object) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	fmt.Fprintf(z, "%s %d\x00%s", o.kind, len(o.data), o.data)
	_ = z.Close() // a buffer takes everything
	return b.Bytes()
}

func (r dumped) write(name string, content []byte) {
	r.t.Helper()
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r dumped) git(args ...string) string {
	r.t.Helper()
	command := exec.Command("git", args...)
	command.Dir = r.dir
	command.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
	out, err := command.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
	return string(out)
}
