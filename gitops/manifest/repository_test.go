package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestAnExecutableFileStaysOne(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	file := testFile("dev", "tool")
	o.commit(gitserver.Change{
		Files: map[string]string{file: valuesFile("tool", "dev", "none")},
		Modes: map[string]string{file: "100755"},
	})
	o.check(o.write(o.writer(), o.update("dev", "tool", "main-0000001"))...)
	if mode := strings.Fields(o.git("ls-tree", "main", file))[0]; mode != "100755" {
		t.Errorf("the mode is %s now", mode)
	}
}

func TestFilesUpToTheLimit(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	head := valuesFile("big", "dev", "0000")
	full := head + strings.Repeat("#", maxFileBytes-len(head)-1) + "\n"
	o.commit(gitserver.Change{Files: map[string]string{
		testFile("dev", "big"):  full,
		testFile("dev", "over"): "#" + full,
	}})
	w := o.writer()
	settled := o.write(w, o.update("dev", "big", "0001"), o.update("dev", "big", "00002"), o.update("dev", "over", "0001"))
	if settled[0].State != gitops.Committed {
		t.Errorf("a file of the largest size: %+v", settled[0])
	}
	for _, s := range settled[1:] {
		if s.State != gitops.Failed || s.Code != gitops.TooLarge {
			t.Errorf("a file over the limit: %+v", s)
		}
	}
	o.check(settled...)
	if n := o.server.Counts().BytesIn; n > 10_000 {
		t.Errorf("%d bytes were sent for one line", n)
	}
}

func TestADirectoryOfTwentyThousandFiles(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	var b strings.Builder
	b.WriteString("commit refs/heads/main\ncommitter A Person <person@example.com> 1700000000 +0000\ndata 4\nmany\nfrom refs/heads/main^0\n")
	for n := range 20_000 {
		content := valuesFile("shop", "dev", "none")
		fmt.Fprintf(&b, "M 100644 inline charts/shop/f-%05d.yaml\ndata %d\n%s\n", n, len(content), content)
	}
	if err := o.repo.Import(strings.NewReader(b.String())); err != nil {
		t.Fatal(err)
	}
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server.ResetCounts()
	var updates []gitops.Update
	for n := range 60 { // more than one chain of deltas is long
		updates = append(updates, o.update("dev", "shop", fmt.Sprintf("main-%07d", n)))
	}
	o.check(o.write(w, updates...)...)
	if n := o.server.Counts().BytesIn / int64(len(updates)); n > 1500 {
		t.Errorf("%d bytes were sent for each update", n)
	}
}

func TestTenThousandRefs(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	var b strings.Builder
	b.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for n := range 10_000 {
		fmt.Fprintf(&b, "%s refs/pull/%05d/head\n", o.first, n)
	}
	if err := os.WriteFile(filepath.Join(o.repo.Dir, "packed-refs"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	o.server.ResetCounts()
	o.check(o.write(w, o.update("dev", "shop", "main-0000002"))...)
	if n := o.server.Counts().BytesOut; n > 1000 {
		t.Errorf("%d bytes came back for a push: the refs were listed", n)
	}
}

func TestAppsThatShareAnObject(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	same := valuesFile("same", "dev", "none")
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "one"): same, testFile("dev", "two"): same}})
	w := o.writer()
	// One directory's tree is changed, then the other to the same, then both back.
	var settled []Settlement
	for _, tag := range []string{"main-0000001", "main-0000002", "main-0000001"} {
		settled = append(settled, o.write(w, o.update("dev", "one", tag), o.update("dev", "two", tag))...)
	}
	settled = append(settled, o.write(w,
		o.update("dev", "one", "main-0000003"), o.update("dev", "one", "main-0000001"),
		o.update("dev", "one", "main-0000003"), o.update("dev", "one", "main-0000003"))...)
	if last := settled[len(settled)-1]; last.State != gitops.Unchanged {
		t.Errorf("a value given twice in one batch: %+v, want unchanged", last)
	}
	o.check(settled...)
}

// A long life on one snapshot: what is replaced is forgotten, what is needed stays.
func TestTheSnapshotDoesNotGrow(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	if err := o.repo.Import(strings.NewReader(wideDirectory(2000))); err != nil {
		t.Fatal(err)
	}
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := w.snapshot.bytes
	var updates []gitops.Update
	for n := range 60 {
		updates = append(updates, o.update("dev", testApps[n%len(testApps)], fmt.Sprintf("main-%07d", n)))
	}
	for _, u := range updates[:40] {
		o.write(w, u)
	}
	o.write(w, updates[40:]...)
	if err := o.repo.Fsck(); err != nil {
		t.Error(err)
	}
	if limit := began + began/4 + 2*sweepSlack; w.snapshot.bytes > limit {
		t.Errorf("the snapshot went from %d to %d bytes, over %d", began, w.snapshot.bytes, limit)
	}
	if n := o.server.Counts().Requests[gitserver.Fetch]; n != 1 {
		t.Errorf("%d fetches, want 1: the snapshot has lost something", n)
	}
}

// wideDirectory adds directories of one file each below charts.
func wideDirectory(n int) string {
	var b strings.Builder
	b.WriteString("commit refs/heads/main\ncommitter A Person <person@example.com> 1700000000 +0000\ndata 4\nwide\nfrom refs/heads/main^0\n")
	for i := range n {
		fmt.Fprintf(&b, "M 100644 inline charts/app-%05d/values.yaml\ndata 2\nx\n\n", i)
	}
	return b.String()
}

// A server that leaves an object out is not believed.
func TestAnObjectThatIsMissingFromACatchUpIsFetched(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The writer forgets an object that the server knows it to have.
	for name, object := range w.snapshot.objects {
		if string(object.Data) == valuesFile("shop", "dev", "none") {
			delete(w.snapshot.objects, name)
		}
	}
	o.commit(gitserver.Change{Files: map[string]string{testFile("prod", "shop"): valuesFile("shop", "prod", "by hand")}})
	settled := o.write(w, o.update("dev", "cart", "main-0000001"))
	settled = append(settled, o.write(w, o.update("dev", "shop", "main-0000001"), o.update("prod", "shop", "v1.0.0"))...)
	for _, s := range settled {
		if s.State != gitops.Committed {
			t.Errorf("got %+v, want committed", s)
		}
	}
	o.check(settled...)
}

// Nor does the writer go on with a snapshot that turns out to be incomplete.
func TestASnapshotThatLacksAnObjectIsFetchedAgain(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, object := range w.snapshot.objects {
		if object.Kind == git.KindBlob {
			delete(w.snapshot.objects, name)
		}
	}
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
}
