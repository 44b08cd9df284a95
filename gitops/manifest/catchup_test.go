package manifest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestABranchThatWasForcedBack(t *testing.T) { overEach(t, testABranchThatWasForcedBack) }

func testABranchThatWasForcedBack(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	for n := range 12 {
		o.check(o.write(w, o.update("dev", "shop", fmt.Sprintf("main-%07d", n)))...)
	}
	back := o.git("rev-parse", "main~10")
	o.git("update-ref", "refs/heads/main", back)
	clear(o.checked) // what the person threw away is gone
	for _, c := range o.log() {
		for _, id := range c.Updates {
			o.checked[id] = c.Hash
		}
	}
	o.check(o.write(w, o.update("dev", "shop", "main-1000000"))...)
	o.check(o.write(w, o.update("prod", "cart", "v1.0.0"))...)
}

// As after a rewrite that removed a large file.
func TestAHistoryThatWasReplaced(t *testing.T) { overEach(t, testAHistoryThatWasReplaced) }

func testAHistoryThatWasReplaced(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	orphan := o.git("commit-tree", "main^{tree}", "-m", "A new beginning")
	o.git("update-ref", "refs/heads/main", orphan)
	o.git("reflog", "expire", "--expire=now", "--all")
	o.git("gc", "--quiet", "--prune=now")
	clear(o.checked)
	o.check(o.write(w, o.update("dev", "shop", "main-0000002"))...)
}

// Bitmaps let a server leave out what it believes the client to have. A file
// that goes back to an old content is enough.
func TestARevertBehindABitmap(t *testing.T) { overEach(t, testARevertBehindABitmap) }

func testARevertBehindABitmap(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	for n := range 5 {
		o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", fmt.Sprintf("old-%d", n))}})
	}
	w := o.writer()
	o.check(o.write(w, o.update("dev", "cart", "main-0000001"))...)
	o.git("repack", "-adq", "--write-bitmap-index")
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "old-1")}})
	o.server.ResetCounts()
	settled := o.write(w, o.update("dev", "cart", "main-0000002"), o.update("dev", "shop", "main-0000002"))
	o.check(settled...)
	if n := o.server.Counts().Requests[gitserver.Fetch]; n != 2 {
		t.Errorf("%d fetches, want one catch-up, and the file that came back: the server must have left nothing out", n)
	}
}

// A merge brings commits that branched off before the tip we knew. That they
// meet our history again must show in the one fetch.
func TestAMergeIsCaughtUpWithInOneFetch(t *testing.T) {
	overEach(t, testAMergeIsCaughtUpWithInOneFetch)
}

func testAMergeIsCaughtUpWithInOneFetch(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	o.bury(2*branch.CatchUpDepth, now)
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"), o.update("dev", "shop", "main-0000002"))...)
	tip := o.git("rev-parse", "main")
	side := o.commit(gitserver.Change{Branch: "side", From: "main~1", Files: map[string]string{"README.md": "side\n"}})
	o.commit(gitserver.Change{From: tip, Merge: []string{side}, Message: "Merge side", Files: map[string]string{"README.md": "side\n"}})
	o.server.ResetCounts()
	o.check(o.write(w, o.update("dev", "shop", "main-0000003"))...)
	if n := o.server.Counts().Requests[gitserver.Fetch]; n != 1 {
		t.Errorf("%d fetches, want one catch-up", n)
	}
}

// What is here does not come again: of a large directory comes what differs.
func TestACatchUpBringsWhatChanged(t *testing.T) {
	overEach(t, testACatchUpBringsWhatChanged)
}

func testACatchUpBringsWhatChanged(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	if err := o.repo.Import(strings.NewReader(wideDirectory(2000))); err != nil {
		t.Fatal(err)
	}
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	o.commit(gitserver.Change{Files: map[string]string{"charts/app-01000/values.yaml": "y\n"}})
	o.server.ResetCounts()
	o.check(o.write(w, o.update("dev", "shop", "main-0000002"))...)
	if counts := o.server.Counts(); counts.Requests[gitserver.Fetch] != 1 || counts.BytesOut > 6_000 {
		t.Errorf("%v requests and %d bytes, want one catch-up", counts.Requests, counts.BytesOut)
	}
}

func TestAServerThatRefusesThinPacksGetsWholeOnes(t *testing.T) {
	overEach(t, testAServerThatRefusesThinPacksGetsWholeOnes)
}

func testAServerThatRefusesThinPacksGetsWholeOnes(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	o.git("config", "receive.unpackLimit", "1")
	o.server.RefuseThinPacks()
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	if n := o.server.Counts().Requests[gitserver.Push]; n != 2 {
		t.Errorf("%d pushes, want a thin one and a whole one", n)
	}
	o.server.ResetCounts()
	o.check(o.write(w, o.update("dev", "shop", "main-0000002"), o.update("dev", "shop", "main-0000003"))...)
	if n := o.server.Counts().Requests[gitserver.Push]; n != 1 {
		t.Errorf("%d pushes, want 1: the writer remembers", n)
	}
}

// A catch-up that cannot be read to its end moves nothing: the updates that came in
// with it would be written again.
func TestACatchUpThatCannotBeReadMovesNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	slow := o.writer()
	if err := slow.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := o.update("dev", "shop", "main-0000001")
	first := o.write(o.writer(), u)
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
	malformed := []byte("tree none\n\n")
	o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Replace: func(answer []byte) []byte {
		pack := withCommit(packIn(answer), malformed)
		return fmt.Appendf(nil, "0008NAK\n%04x\x01%s0000", len(pack)+5, pack)
	}})
	if settled, err := writeAll(t.Context(), slow, u); gitops.CodeOf(err) != gitops.Unavailable || len(settled) != 0 {
		t.Fatalf("got %v and %v, want nothing and unavailable", settled, err)
	}
	settled := o.write(slow, u)
	if settled[0] != first[0] {
		t.Errorf("got %+v, want %+v", settled[0], first[0])
	}
	o.check(settled...)
}

// A file comes back that only commits had which were thrown away: the server may no
// longer have it, and gets it again.
func TestAFileThatWasThrownAwayIsSentAgain(t *testing.T) {
	overEach(t, testAFileThatWasThrownAwayIsSentAgain)
}

func testAFileThatWasThrownAwayIsSentAgain(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	o.commit(gitserver.Change{From: o.first, Files: map[string]string{"README.md": "back\n"}})
	o.git("reflog", "expire", "--expire=now", "--all")
	o.git("gc", "--quiet", "--prune=now")
	clear(o.checked)
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
}

// packIn takes the pack out of the answer to a fetch: it is on the first band.
func packIn(answer []byte) (pack []byte) {
	for len(answer) >= 4 {
		var n int
		if _, err := fmt.Sscanf(string(answer[:4]), "%04x", &n); err != nil || n < 4 || n > len(answer) {
			answer = answer[4:]
			continue
		}
		if n > 4 && answer[4] == 1 {
			pack = append(pack, answer[5:n]...)
		}
		answer = answer[n:]
	}
	return pack
}

// withCommit returns the pack with one more commit in it.
func withCommit(pack, commit []byte) []byte {
	count := binary.BigEndian.Uint32(pack[8:])
	longer := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count+1)
	longer = append(longer, pack[12:len(pack)-sha1.Size]...)
	longer = append(longer, 1<<4|byte(len(commit)))
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	_, _ = z.Write(commit)
	_ = z.Close()
	longer = append(longer, deflated.Bytes()...)
	sum := sha1.Sum(longer)
	return append(longer, sum[:]...)
}
