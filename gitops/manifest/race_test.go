package manifest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// writeUntilSettled is what a lane does: what is not settled is given again, in
// order, until nothing is left.
func writeUntilSettled(t *testing.T, w *Writer, updates []gitops.Update) (all []gitops.Transition) {
	t.Helper()
	for len(updates) > 0 {
		settled, err := writeAll(t.Context(), w, updates...)
		if err != nil {
			t.Logf("the lane tries again: %v", err)
		}
		known := make(map[string]bool)
		for _, s := range settled {
			known[s.Update] = true
		}
		var left []gitops.Update
		for _, u := range updates {
			if !known[u.ID] {
				left = append(left, u)
			}
		}
		all, updates = append(all, settled...), left
	}
	return all
}

func TestTwoWritersAndAPersonShareTheBranch(t *testing.T) {
	overEach(t, testTwoWritersAndAPersonShareTheBranch)
}

func testTwoWritersAndAPersonShareTheBranch(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	each := 8
	if o.via != nil { // the race is the same, and there everything takes longer
		each = 4
	}
	writers := []*Writer{o.writer(), o.writer()}
	lanes := make(map[string][]gitops.Update)
	for n := range each {
		for _, environment := range testEnvironments {
			lanes[environment] = append(lanes[environment], o.update(environment, testApps[n%len(testApps)], fmt.Sprintf("main-%07d", n)))
		}
	}
	var group sync.WaitGroup
	results := make([][]gitops.Transition, len(testEnvironments))
	for i, environment := range testEnvironments {
		group.Go(func() {
			for _, u := range lanes[environment] {
				results[i] = append(results[i], writeUntilSettled(t, writers[i%len(writers)], []gitops.Update{u})...)
			}
		})
	}
	group.Go(func() {
		for n := range each {
			personPushes(t, o, n)
		}
	})
	group.Wait()
	var all []gitops.Transition
	for _, r := range results {
		all = append(all, r...)
	}
	if want := each * len(testEnvironments); len(all) != want {
		t.Fatalf("%d updates are settled, want %d", len(all), want)
	}
	if commits, want := len(o.log()), 1+each+each*len(testEnvironments); commits != want {
		t.Errorf("%d commits on the branch, want %d", commits, want)
	}
	o.check(all...)
}

// personPushes adds a commit to the branch as a push would, beginning again when
// somebody else was faster.
func personPushes(t *testing.T, o *origin, n int) {
	for {
		tip, err := o.repo.Git("rev-parse", "refs/heads/main")
		if err != nil {
			t.Error(err)
			return
		}
		made, err := o.repo.Git("commit-tree", tip+"^{tree}", "-p", tip, "-m", fmt.Sprintf("A person's change %d", n))
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := o.repo.Git("update-ref", "refs/heads/main", made, tip); err == nil {
			return
		}
	}
}

func TestAPersonWhoCommitsMeanwhileDoesNotCostAnUpdate(t *testing.T) {
	overEach(t, testAPersonWhoCommitsMeanwhileDoesNotCostAnUpdate)
}

func testAPersonWhoCommitsMeanwhileDoesNotCostAnUpdate(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	for n := range 3 {
		o.server.Inject(gitserver.Fault{On: gitserver.Push, Before: func() {
			o.commit(gitserver.Change{Files: map[string]string{"README.md": fmt.Sprint(n)}})
		}})
	}
	recorder := &countingRecorder{}
	w2 := o.writer(func(c *Config) { c.Recorder = recorder })
	o.check(o.write(w2, o.update("dev", "shop", "main-0000002"))...)
	if recorder.outcomes[PushConflict] != 3 || recorder.outcomes[PushLanded] != 1 {
		t.Errorf("the pushes ended as %v, want 3 conflicts and 1 that landed", recorder.outcomes)
	}
	o.check(o.write(w, o.update("prod", "cart", "v1.0.0"))...)
}

type countingRecorder struct{ outcomes map[PushOutcome]int }

func TestABranchThatNeverHoldsStillIsAConflict(t *testing.T) {
	overEach(t, testABranchThatNeverHoldsStillIsAConflict)
}

func testABranchThatNeverHoldsStillIsAConflict(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	n := 0
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Times: -1, Before: func() {
		n++
		o.commit(gitserver.Change{Files: map[string]string{"README.md": fmt.Sprint(n)}})
	}})
	u := o.update("dev", "shop", "main-0000001")
	if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Conflict {
		t.Fatalf("got %v, want a conflict", err)
	}
	if n != 10 {
		t.Errorf("%d pushes, want %d", n, 10)
	}
	o.server.Heal()
	o.check(o.write(w, u)...)
}

// The edit is made on the file as the person left it, not pasted over it.
func TestTheEditIsMadeAgainOnTheNewTip(t *testing.T) { overEach(t, testTheEditIsMadeAgainOnTheNewTip) }

func testTheEditIsMadeAgainOnTheNewTip(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := testFile("dev", "shop")
	theirs := valuesFile("shop", "dev", "none") + "theirs: true\n"
	o.commit(gitserver.Change{Files: map[string]string{file: theirs}})
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	if got, want := o.git("show", "main:"+file)+"\n", strings.Replace(theirs, `"none"`, `"main-0000001"`, 1); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
}

// No caller is told "unchanged" or "no such file" of a branch that has moved on.
func TestASettlementWithoutACommitIsOfTheBranchAsItIs(t *testing.T) {
	overEach(t, testASettlementWithoutACommitIsOfTheBranchAsItIs)
}

func testASettlementWithoutACommitIsOfTheBranchAsItIs(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "late"): valuesFile("late", "dev", "none")}})
	settled := o.write(w, o.update("dev", "shop", "main-0000001"))
	if settled[0].Action != gitops.ActionCommit {
		t.Errorf("a value that a person took back is %s, want committed", settled[0].Action)
	}
	o.check(settled...)
	settled = o.write(w, o.update("dev", "late", "main-0000001"))
	if settled[0].Action != gitops.ActionCommit {
		t.Errorf("a file that came late is %s, want committed", settled[0].Action)
	}
	o.check(settled...)
}

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
	if n := o.server.Counts().Requests[gitserver.Fetch]; n != o.partsOf(2) {
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
	o.bury(2*catchUpDepth, now)
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
