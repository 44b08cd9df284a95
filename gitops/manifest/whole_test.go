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
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// inParts are origins that send single files. Over HTTP git does so by itself, over
// SSH when it is told to.
func inParts(newOrigin origins) origins {
	return func(t *testing.T) *origin {
		o := newOrigin(t)
		o.git("config", "uploadpack.allowAnySHA1InWant", "true")
		return o
	}
}

// inWhole are origins that send files only with their commit.
func inWhole(newOrigin origins) origins {
	return func(t *testing.T) *origin {
		o := newOrigin(t)
		o.git("config", "uploadpack.allowFilter", "false")
		return o
	}
}

// What holds over HTTP, where files come alone, and over SSH, where they come with
// their commit, holds the other way round.
func TestTheOtherWayRound(t *testing.T) {
	t.Parallel()
	overSSH := []string{"one update", "a batch", "a late file", "forced back", "an unknown fate", "a view", "a lost file"}
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
		"a view":           testFilesAreReadFromTheBranchAsItIsNow,
		"a lost file":      testAFileThatWasThrownAwayIsSentAgain,
	} {
		t.Run(name+", http", func(t *testing.T) { t.Parallel(); test(t, inWhole(newOrigin)) })
		if slices.Contains(overSSH, name) { // there the rest is the same
			t.Run(name+", ssh", func(t *testing.T) { t.Parallel(); test(t, inParts(newSSHOrigin)) })
		}
	}
}

func TestFilesComeWhenTheyAreNeeded(t *testing.T) {
	t.Parallel()
	t.Run("http", func(t *testing.T) { testFilesComeWhenTheyAreNeeded(t, newOrigin) })
	t.Run("ssh", func(t *testing.T) { testFilesComeWhenTheyAreNeeded(t, inParts(newSSHOrigin)) })
}

func testFilesComeWhenTheyAreNeeded(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	large := strings.Repeat("# a line that nobody needs to download\n", 10_000)
	o.commit(gitserver.Change{Files: map[string]string{"large.txt": large + fmt.Sprint(o.ids)}})
	w := o.writer()
	fetches := func(want int, what string) {
		t.Helper()
		if n := o.server.Counts().Requests[gitserver.Fetch]; n != want {
			t.Errorf("%s: %d fetches, want %d", what, n, want)
		}
		o.server.ResetCounts()
	}
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	fetches(3, "the trees, the files that updates can change, and the latest history")
	var batch []gitops.Update
	for _, app := range testApps {
		batch = append(batch, o.update("dev", app, "main-0000001"), o.update("dev", app, "main-0000002"))
	}
	o.check(o.write(w, batch...)...)
	fetches(0, "four files that are here")
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand"), testFile("dev", "new"): valuesFile("new", "dev", "none")}})
	o.check(o.write(w, o.update("dev", "shop", "main-0000004"), o.update("dev", "new", "main-0000004"))...)
	fetches(2, "two files that a person pushed")
	o.commit(gitserver.Change{Files: map[string]string{testFile("prod", "cart"): valuesFile("cart", "prod", "by hand")}})
	v, err := w.View(t.Context(), 0, testFile("dev", "new"), "README.md")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		testFile("dev", "shop"): valuesFile("shop", "dev", "main-0000004"), testFile("prod", "cart"): valuesFile("cart", "prod", "by hand"),
		testFile("dev", "new"): valuesFile("new", "dev", "main-0000004"), "README.md": "Manifests\n",
	} {
		if content, err := v.ReadFile(path); err != nil || string(content) != want {
			t.Errorf("%s says %q and %v, want %q", path, content, err, want)
		}
	}
	if _, err := v.ReadFile("run.sh"); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("a file that was not asked for: %v", err)
	}
	fetches(2, "a catch-up, and the files that are not here")
	o.commit(gitserver.Change{Files: map[string]string{testFile("prod", "cart"): valuesFile("cart", "prod", "again"), "README.md": "Changed\n"}})
	if v, err = w.View(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if content, err := v.ReadFile(testFile("prod", "cart")); err != nil || string(content) != valuesFile("cart", "prod", "again") {
		t.Errorf("a file that changed says %q, %v", content, err)
	}
	if _, err := v.ReadFile("README.md"); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("a file that changed and that no update can change: %v", err)
	}
	fetches(2, "a catch-up, and the file that changed")
	if out := o.server.Counts().BytesOut; out > int64(len(large)) {
		t.Errorf("%d bytes were downloaded", out)
	}
}

// A server that cannot send a part is asked for all, and that is said once.
func TestAServerThatSendsFilesOnlyWithTheirCommit(t *testing.T) {
	t.Parallel()
	t.Run("no filters", func(t *testing.T) {
		o := newOrigin(t)
		o.git("config", "uploadpack.allowFilter", "false")
		o.comesWholeAndSaysSoOnce("does not send a part of a commit", 3)
	})
	t.Run("another filter", func(t *testing.T) {
		o := newOrigin(t)
		o.git("config", "uploadpackfilter.allow", "false")
		o.comesWholeAndSaysSoOnce("does not leave files out", 4)
	})
	t.Run("no single files", func(t *testing.T) {
		o := newSSHOrigin(t) // stock git sends commits by name there, and nothing else
		o.comesWholeAndSaysSoOnce("does not send single files", 5)
	})
}

func (o *origin) comesWholeAndSaysSoOnce(says string, fetches int) {
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
	if n := o.server.Counts().Requests[gitserver.Fetch]; n > fetches+4 {
		o.Errorf("%d fetches, want %d and the searches", n, fetches)
	}
	if err := w.Close(); err != nil { // so that the log may be read
		o.Fatal(err)
	}
	if n := strings.Count(log.String(), "every file of the branch is fetched"); n != 1 || !strings.Contains(log.String(), says) {
		o.Errorf("the log says it %d times, want once: %s", n, &log)
	}
	if strings.Contains(log.String(), "error=<nil>") {
		o.Errorf("the log names an error that did not happen: %s", &log)
	}
}

// Commits are searched where the server leaves out files and not trees.
func TestAServerThatRefusesTheFilterOfASearch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.git("config", "uploadpackfilter.tree.allow", "false")
	u := o.update("dev", "shop", "main-0000001")
	first := o.write(o.writer(), u)
	o.bury(40, now)
	settled := o.write(o.writer(), takenOver(u), takenOver(o.update("dev", "shop", "main-0000002")))
	if settled[0] != first[0] {
		t.Errorf("got %+v, want %+v", settled[0], first[0])
	}
	o.check(settled...)
}

// The branch is forced back, and the file is gone, between the fetch of the tip
// and that of the file.
func TestAFileThatIsGoneIsAskedForOnTheNewTip(t *testing.T) {
	t.Parallel()
	for name, newOrigin := range map[string]origins{"http": newOrigin, "ssh": inParts(newSSHOrigin), "whole": newSSHOrigin} {
		for _, read := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, read %t", name, read), func(t *testing.T) {
				o := newOrigin(t)
				o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
				w := o.writer(func(c *Config) { c.Files = nil })
				if err := w.Handshake(t.Context()); err != nil {
					t.Fatal(err)
				}
				gone := func() {
					o.git("update-ref", "refs/heads/main", o.first)
					o.git("reflog", "expire", "--expire=now", "--all")
					o.git("gc", "--quiet", "--prune=now")
				}
				if !read {
					gone()
				} else {
					// The look still sees the old tip.
					o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Before: gone})
					v, err := w.View(t.Context(), 0, testFile("dev", "shop"))
					if err != nil && o.ssh == nil {
						t.Fatal(err)
					}
					if want := valuesFile("shop", "dev", "none"); err == nil {
						if content, err := v.ReadFile(testFile("dev", "shop")); err != nil || string(content) != want {
							t.Errorf("read %q and %v, want %q", content, err, want)
						}
					}
				}
				o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
			})
		}
	}
}

// A file that the server has lost is nobody's reason to write something else.
func TestAFileThatTheServerLost(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(func(c *Config) { c.Files = nil })
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := func(answer []byte) []byte { return []byte("0008NAK\n" + emptyPack()) }
	o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Times: -1, Replace: left})
	u := o.update("dev", "shop", "main-0000001")
	if settled, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable || len(settled) != 0 {
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
