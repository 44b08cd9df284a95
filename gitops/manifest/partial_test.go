package manifest

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// overEachPartially is overEach for writers with a partial snapshot. Over SSH git
// gives single files only when it is told to.
func overEachPartially(t *testing.T, test func(*testing.T, origins)) {
	t.Parallel()
	t.Run("http", func(t *testing.T) { t.Parallel(); test(t, partially(newOrigin)) })
	t.Run("ssh", func(t *testing.T) { t.Parallel(); test(t, partially(newSSHOrigin)) })
}

func partially(newOrigin origins) origins {
	return func(t *testing.T) *origin {
		o := newOrigin(t)
		o.partial = true
		o.git("config", "uploadpack.allowAnySHA1InWant", "true")
		return o
	}
}

// What holds with a full snapshot holds with a partial one. Over SSH files are
// fetched in the same way, so what has little to do with that is tried over HTTP.
func TestPartially(t *testing.T) {
	t.Parallel()
	overSSH := []string{"one update", "a batch", "two writers", "a late file", "forced back", "an unknown fate"}
	for name, test := range map[string]func(*testing.T, origins){
		"one update":       testOneUpdateIsOneCommitThatChangesOneLine,
		"what waits":       testWhatWaitsGoesOutInOnePush,
		"a batch":          testABatchBecomesOneCommit,
		"two writers":      testTwoWritersAndAPersonShareTheBranch,
		"a lost race":      testAPersonWhoCommitsMeanwhileDoesNotCostAnUpdate,
		"a changed file":   testTheEditIsMadeAgainOnTheNewTip,
		"a late file":      testASettlementWithoutACommitIsOfTheBranchAsItIs,
		"forced back":      testABranchThatWasForcedBack,
		"another history":  testAHistoryThatWasReplaced,
		"a damaged fetch":  testADamagedFetchChangesNothing,
		"taken back":       testAnUpdateThatLandedAndWasTakenBackIsNotWrittenAgain,
		"an unknown fate":  testAPushWhoseFateIsUnknownIsNotMadeTwice,
		"a whole pack":     testAServerThatRefusesThinPacksGetsWholeOnes,
		"another's update": testAnUpdateThatAnotherProcessPushedMeanwhile,
	} {
		t.Run(name, func(t *testing.T) {
			if slices.Contains(overSSH, name) {
				overEachPartially(t, test)
				return
			}
			t.Parallel()
			test(t, partially(newOrigin))
		})
	}
}

func TestFilesComeWhenTheyAreNeeded(t *testing.T) {
	overEachPartially(t, testFilesComeWhenTheyAreNeeded)
}

func testFilesComeWhenTheyAreNeeded(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	large := strings.Repeat("# a line that nobody needs to download\n", 10_000)
	o.commit(gitserver.Change{Files: map[string]string{"large.txt": large + fmt.Sprint(o.ids)}})
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.snapshot.files.bytes; n != 0 || w.snapshot.bytes > 2_000 {
		t.Errorf("%d bytes of files and %d of trees came with the handshake", n, w.snapshot.bytes)
	}
	fetches := func(want int, what string) {
		t.Helper()
		if n := o.server.Counts().Requests[gitserver.Fetch]; n != want {
			t.Errorf("%s: %d fetches, want %d", what, n, want)
		}
		o.server.ResetCounts()
	}
	o.server.ResetCounts()
	var batch []gitops.Update
	for _, app := range testApps {
		batch = append(batch, o.update("dev", app, "main-0000001"), o.update("dev", app, "main-0000002"))
	}
	o.check(o.write(w, batch...)...)
	fetches(1, "four files that are not here")
	o.check(o.write(w, o.update("dev", "shop", "main-0000003"))...)
	fetches(0, "a file that was written before")
	files, err := w.ReadFiles(t.Context(), testFile("dev", "shop"), testFile("prod", "shop"), testFile("prod", "cart"), "charts", "none")
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{valuesFile("shop", "dev", "main-0000003"), valuesFile("shop", "prod", "none"), valuesFile("cart", "prod", "none")} {
		if string(files[n].Content) != want || files[n].Err != nil {
			t.Errorf("read %q and %v, want %q", files[n].Content, files[n].Err, want)
		}
	}
	if gitops.CodeOf(files[3].Err) != gitops.Invalid || gitops.CodeOf(files[4].Err) != gitops.NotFound {
		t.Errorf("of what is no file: %v, %v", files[3].Err, files[4].Err)
	}
	fetches(1, "two files to read that are not here")
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand"), testFile("dev", "new"): valuesFile("new", "dev", "none")}})
	o.check(o.write(w, o.update("dev", "shop", "main-0000004"), o.update("dev", "new", "main-0000004"))...)
	fetches(2, "two files that a person pushed")
	if out := o.server.Counts().BytesOut; out > int64(len(large)) {
		t.Errorf("%d bytes were downloaded", out)
	}
}

// With a bitmap a server leaves out what it believes the client to have. A partial
// snapshot never had the file that comes back, and asks for it by its name.
func TestARevertBehindABitmapPartially(t *testing.T) {
	overEachPartially(t, testARevertBehindABitmapPartially)
}

func testARevertBehindABitmapPartially(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	for n := range 5 {
		o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", fmt.Sprintf("old-%d", n))}})
	}
	w := o.writer()
	o.check(o.write(w, o.update("dev", "cart", "main-0000001"))...)
	o.git("repack", "-adq", "--write-bitmap-index")
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "old-1")}})
	o.check(o.write(w, o.update("dev", "cart", "main-0000002"), o.update("dev", "shop", "main-0000002"))...)
	if n := o.server.Counts().Requests[gitserver.Fetch]; n != 5 {
		t.Errorf("%d fetches, want the tip, a file twice, a catch-up, and the file that came back", n)
	}
}

// A server that cannot send a part is asked for all, and says so once.
func TestAServerWithoutFiltersGetsAFullSnapshot(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		o.partial = true
		o.git("config", "uploadpack.allowFilter", "false")
		o.isFullAndSaysSoOnce("does not send a part of a commit", 3)
	})
}

// A server may offer filters and not allow the one that is wanted.
func TestAServerThatRefusesTheFilter(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		o.partial = true
		o.git("config", "uploadpackfilter.allow", "false")
		o.isFullAndSaysSoOnce("does not leave files out", 4)
		if h := o.history(o.writer(), HistoryQuery{}); !h.Complete || len(h.Versions) < 2 {
			t.Errorf("of the history came %v", brief(h.Versions))
		}
	})
}

// A partial snapshot is searched where the server leaves out files and not trees.
func TestAServerThatRefusesTheFilterOfASearch(t *testing.T) {
	overEachPartially(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		o.git("config", "uploadpackfilter.tree.allow", "false")
		u := o.update("dev", "shop", "main-0000001")
		first := o.write(o.writer(), u)
		o.bury(40, now)
		w := o.writer()
		settled := o.write(w, takenOver(u), takenOver(o.update("dev", "shop", "main-0000002")))
		if settled[0] != first[0] || w.snapshot.files == nil {
			t.Errorf("got %+v, want %+v", settled[0], first[0])
		}
		o.check(settled...)
	})
}

// Over SSH stock git sends commits by name and nothing else.
func TestAServerWithoutSingleFilesGetsAFullSnapshot(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	o.partial = true
	o.isFullAndSaysSoOnce("does not send single files", 5)
}

func (o *origin) isFullAndSaysSoOnce(says string, fetches int) {
	o.Helper()
	var log bytes.Buffer
	w := o.writer(func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"))...)
	o.git("update-ref", "refs/heads/main", "main~1") // whose objects stay, so this one is caught up with
	for id := range o.checked {
		if !strings.Contains(o.git("log", "--format=%B", "main"), id) {
			delete(o.checked, id)
		}
	}
	o.check(o.write(w, o.update("prod", "shop", "v1.0.0"))...)
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
	o.check(o.write(w, o.update("dev", "shop", "main-0000002"))...)
	if w.snapshot.files != nil {
		o.Error("the snapshot is partial")
	}
	if n := o.server.Counts().Requests[gitserver.Fetch]; n != fetches {
		o.Errorf("%d fetches, want %d", n, fetches)
	}
	if err := w.Close(); err != nil { // so that the log may be read
		o.Fatal(err)
	}
	if n := strings.Count(log.String(), "not partial, as configured, but full"); n != 1 || !strings.Contains(log.String(), says) {
		o.Errorf("the log says it %d times, want once: %s", n, &log)
	}
}

// The branch is forced back, and the file is gone, between the fetch of the tip
// and that of the file.
func TestAFileThatIsGoneIsAskedForOnTheNewTip(t *testing.T) {
	overEachPartially(t, testAFileThatIsGoneIsAskedForOnTheNewTip)
}

func testAFileThatIsGoneIsAskedForOnTheNewTip(t *testing.T, newOrigin origins) {
	for _, read := range []bool{false, true} {
		o := newOrigin(t)
		o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
		w := o.writer()
		if err := w.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone := func() {
			o.git("update-ref", "refs/heads/main", o.first)
			o.git("reflog", "expire", "--expire=now", "--all")
			o.git("gc", "--quiet", "--prune=now")
		}
		if read {
			// The refresh still sees the old tip.
			o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Before: gone})
			content, err := w.ReadFile(t.Context(), testFile("dev", "shop"))
			if want := valuesFile("shop", "dev", "none"); err != nil && o.ssh == nil || err == nil && string(content) != want {
				t.Errorf("read %q and %v, want %q", content, err, want)
			}
		} else {
			gone()
		}
		o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
		if w.snapshot.files == nil {
			t.Error("the snapshot is full")
		}
	}
}

// A file that the server has lost is nobody's reason to write something else.
func TestAFileThatTheServerLost(t *testing.T) {
	o := partially(newOrigin)(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := func(answer []byte) []byte { return []byte("0008NAK\n" + emptyPack()) }
	o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Times: -1, Replace: left})
	u := o.update("dev", "shop", "main-0000001")
	if settled, err := w.Write(t.Context(), []gitops.Update{u}); gitops.CodeOf(err) != gitops.Unavailable || len(settled) != 0 {
		t.Errorf("got %v and %v, want nothing and unavailable", settled, err)
	}
	o.server.Heal()
	o.check(o.write(w, u)...)
}

// emptyPack is a pack without objects, in the first band.
func emptyPack() string {
	pack := "PACK\x00\x00\x00\x02\x00\x00\x00\x00"
	sum := sha1.Sum([]byte(pack))
	pack += string(sum[:])
	return fmt.Sprintf("%04x\x01%s0000", len(pack)+5, pack)
}

func TestTheFileCacheKeepsWhatWasUsedLast(t *testing.T) {
	c := newFileCache()
	name := func(n int) git.Hash { return git.Hash{byte(n)} }
	const size, fit = maxCachedFiles / 8, 8
	for n := range 12 {
		c.put(name(n), git.Object{Kind: git.KindBlob, Data: make([]byte, size)})
		c.put(name(n), git.Object{Kind: git.KindBlob, Data: make([]byte, size)}) // is there already
		if _, ok := c.get(name(0)); !ok {
			t.Fatal("what is used in each round was dropped")
		}
	}
	if c.bytes != 12*size {
		t.Errorf("%d bytes before the trim, want all", c.bytes)
	}
	c.trim(nil)
	var kept []int
	for n := range 12 {
		if _, ok := c.get(name(n)); ok {
			kept = append(kept, n)
		}
	}
	if want := "[0 5 6 7 8 9 10 11]"; fmt.Sprint(kept) != want || c.bytes != fit*size || c.used.Len() != fit || len(c.byName) != fit {
		t.Errorf("kept %v in %d bytes, want %s", kept, c.bytes, want)
	}
}

// What one round needs may be more than is kept otherwise: nothing of it is fetched
// twice, and nothing is said to be missing.
func TestARoundKeepsTheFilesThatItNeeds(t *testing.T) {
	t.Parallel()
	o := partially(newOrigin)(t)
	const files = 4
	padding := "# " + strings.Repeat("x", maxCachedFiles/files*11/10) + "\n"
	change := gitserver.Change{Files: make(map[string]string)}
	var paths []string
	round := func(tag string) (batch []gitops.Update) {
		for n := range files {
			batch = append(batch, o.update("dev", fmt.Sprintf("large-%d", n), tag))
		}
		return batch
	}
	for n := range files {
		app := fmt.Sprintf("large-%d", n)
		paths = append(paths, testFile("dev", app))
		change.Files[paths[n]] = valuesFile(app, "dev", "none") + padding
	}
	o.commit(change)
	w := o.writer()
	for range 2 {
		all, err := w.ReadFiles(t.Context(), paths...)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if f.Err != nil || len(f.Content) <= len(padding) {
				t.Errorf("%s has %d bytes: %v", f.Path, len(f.Content), f.Err)
			}
		}
	}
	for _, tag := range []string{"main-0000001", "main-0000002"} {
		o.check(o.write(w, round(tag)...)...)
	}
	if n := o.server.Counts().Requests[gitserver.Fetch]; n != 2 {
		t.Errorf("%d fetches, want the tip and the files", n)
	}
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	if limit := maxCachedFiles + 1<<20; w.snapshot.files.bytes > limit {
		t.Errorf("%d bytes of files are kept afterwards, over %d", w.snapshot.files.bytes, limit)
	}
}
