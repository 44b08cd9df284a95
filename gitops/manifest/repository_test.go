package manifest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
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

// fileBytes is the default of Limits.FileBytes.
const fileBytes = 1 << 20

func TestFilesUpToTheLimit(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	head := valuesFile("big", "dev", "0000")
	full := head + strings.Repeat("#", fileBytes-len(head)-1) + "\n"
	o.commit(gitserver.Change{Files: map[string]string{
		testFile("dev", "big"):  full,
		testFile("dev", "over"): "#" + full,
	}})
	w := o.writer()
	settled := o.write(w, o.update("dev", "big", "0001"), o.update("dev", "big", "00002"), o.update("dev", "over", "0001"))
	if settled[0].Action != gitops.ActionCommit {
		t.Errorf("a file of the largest size: %+v", settled[0])
	}
	for _, s := range settled[1:] {
		if s.Action != gitops.ActionFail || s.Code != gitops.TooLarge {
			t.Errorf("a file over the limit: %+v", s)
		}
	}
	o.check(settled...)
	if n := o.server.Counts().BytesIn; n > 10_000 {
		t.Errorf("%d bytes were sent for one line", n)
	}
}

// Files that are too large fail their own updates, also where the server sends one as
// what differs from the other, and where it sends them with their commit.
func TestFilesThatAreTooLargeFailAlone(t *testing.T) {
	overEach(t, testFilesThatAreTooLargeFailAlone)
}

func testFilesThatAreTooLargeFailAlone(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	var b strings.Builder
	for n := 0; b.Len() <= fileBytes; n++ {
		fmt.Fprintf(&b, "# line %d %x\n", n, n*n*7919)
	}
	o.commit(gitserver.Change{Files: map[string]string{
		testFile("dev", "large"): valuesFile("large", "dev", "none") + b.String(), testFile("dev", "larger"): valuesFile("larger", "dev", "none") + b.String() + "x",
	}})
	o.git("repack", "-adq", "--depth=50", "--window=50")
	paths := append(testFiles(), testFile("dev", "large"), testFile("dev", "larger"))
	w := o.writer(func(c *Config) { c.Files = func() []string { return paths } })
	for _, tag := range []string{"main-0000001", "main-0000002"} {
		for i, s := range o.write(w, o.update("dev", "large", tag), o.update("dev", "shop", tag), o.update("dev", "larger", tag)) {
			if want := map[bool]gitops.Action{true: gitops.ActionCommit, false: gitops.ActionFail}[i == 1]; s.Action != want || want == gitops.ActionFail && s.Code != gitops.TooLarge {
				t.Errorf("update %d is %+v, want %s", i, s, want)
			}
		}
		o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "large"): valuesFile("large", "dev", "by hand") + b.String()}})
	}
	v, err := w.View(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.ReadFile(testFile("dev", "larger")); gitops.CodeOf(err) != gitops.TooLarge {
		t.Errorf("read: %v, want too_large", err)
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
	var settled []gitops.Transition
	for _, tag := range []string{"main-0000001", "main-0000002", "main-0000001"} {
		settled = append(settled, o.write(w, o.update("dev", "one", tag), o.update("dev", "two", tag))...)
	}
	settled = append(settled, o.write(w,
		o.update("dev", "one", "main-0000003"), o.update("dev", "one", "main-0000001"),
		o.update("dev", "one", "main-0000003"), o.update("dev", "one", "main-0000003"))...)
	if last := settled[len(settled)-1]; last.Action != gitops.ActionConfirm {
		t.Errorf("a value given twice in one batch: %+v, want unchanged", last)
	}
	o.check(settled...)
}

// A long life on one snapshot: what is needed stays.
func TestTheSnapshotFollowsFromPushToPush(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	if err := o.repo.Import(strings.NewReader(wideDirectory(2000))); err != nil {
		t.Fatal(err)
	}
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server.ResetCounts()
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
	if c := o.server.Counts(); c.Total() != 41 || c.Requests[gitserver.Push] != 41 {
		t.Errorf("%v requests, want 41 pushes and nothing else", c.Requests)
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

// A server that leaves an object out is not relied upon: the branch is fetched again.
func TestAnObjectThatIsMissingFromACatchUpIsFetched(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	tip := o.commit(gitserver.Change{Files: map[string]string{testFile("prod", "shop"): valuesFile("shop", "prod", "by hand")}})
	o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Replace: func([]byte) []byte { return o.answerOf(tip) }})
	settled := o.write(w, o.update("dev", "cart", "main-0000001"))
	settled = append(settled, o.write(w, o.update("dev", "shop", "main-0000001"), o.update("prod", "shop", "v1.0.0"))...)
	for _, s := range settled {
		if s.Action != gitops.ActionCommit {
			t.Errorf("got %+v, want committed", s)
		}
	}
	o.check(settled...)
}

// answerOf answers a fetch with an object and nothing else.
func (o *origin) answerOf(object string) []byte {
	command := exec.Command("git", "pack-objects", "--stdout", "-q")
	command.Dir, command.Stdin = o.repo.Dir, strings.NewReader(object+"\n")
	pack, err := command.Output()
	if err != nil {
		o.Error(err)
	}
	return fmt.Appendf(nil, "0008NAK\n%04x\x01%s0000", len(pack)+5, pack)
}
