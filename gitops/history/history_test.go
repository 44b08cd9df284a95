package history

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestHistoryTellsWhoBroughtWhichVersion(t *testing.T) {
	overEachServer(t, testHistoryTellsWhoBroughtWhichVersion)
}

func testHistoryTellsWhoBroughtWhichVersion(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	r := o.reader()
	file := shop
	person := func(content string) {
		o.commit(gitserver.Change{Message: "By hand", Files: map[string]string{file: content}})
	}
	o.write(shop, "main-0000001", 1)
	o.write("charts/cart/values-dev.yaml", "main-0000001", 1) // another file
	person(valuesFile("main-0000001") + "more: true\n")
	o.write(shop, "main-0000002", 2)
	person(valuesFile("main-0000001")) // taken back
	person("a: 1\n")
	o.commit(gitserver.Change{Message: "Away", Delete: []string{file}})
	o.bury(80)
	person(valuesFile("again"))
	// A side branch began before the bot's last commit, and is merged as a person
	// does who pulls and pushes: the bot's commit is on the second parent.
	fork := o.git("rev-parse", "main")
	o.write(shop, "main-0000003", 1)
	tip := o.git("rev-parse", "main")
	side := o.commit(gitserver.Change{Branch: "side", From: fork, Files: map[string]string{"README.md": "side\n"}})
	o.commit(gitserver.Change{From: side, Merge: []string{tip}, Message: "Merge main", Files: map[string]string{file: valuesFile("main-0000003")}})

	h := o.file(r, Query{})
	want := []string{
		"main-0000003 by A Person, up-0005 github/guid-0005 octocat",
		"again by A Person",
		"missing by A Person",
		"the key .image.tag is not in the file by A Person",
		"main-0000001 by A Person",
		"main-0000002 by A Person, up-0003 github/guid-0003 octocat, up-0004 github/guid-0004 octocat",
		"main-0000001 by A Person, up-0001 github/guid-0001 octocat",
		"none by A Person",
	}
	if diff := cmp.Diff(want, brief(h.Versions)); diff != "" {
		t.Error(diff)
	}
	if !h.Complete || h.Tip != o.git("rev-parse", "main") || h.Commits != 91 {
		t.Errorf("complete %t, %d commits from %s", h.Complete, h.Commits, h.Tip)
	}
	for _, v := range h.Versions {
		at, subject, _ := strings.Cut(o.git("show", "-s", "--format=%ct %s", v.Commit), " ")
		if at != fmt.Sprint(v.At.Unix()) || subject != v.Subject || v.At.Location() != time.UTC {
			t.Errorf("commit %s is of %s, %q; git says %s, %q", v.Commit, v.At, v.Subject, at, subject)
		}
	}
	if v := h.Versions[1]; v.Subject != "By hand" || v.Author.Email != "person@example.com" {
		t.Errorf("the person's version is %+v", v)
	}

	gone := o.file(r, Query{Path: "charts/none/values.yaml"})
	if len(gone.Versions) != 0 || !gone.Complete {
		t.Errorf("what never was has %v", brief(gone.Versions))
	}
	if dir := o.file(r, Query{Path: "charts"}); len(dir.Versions) != 0 {
		t.Errorf("a directory has %v", brief(dir.Versions))
	}
	if _, err := r.File(t.Context(), Query{Path: "../x", Read: readTag}); gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("no path: %v", err)
	}
}

// What is found is what git log finds, page after page.
func TestALongHistoryIsReadInPages(t *testing.T) { overEachServer(t, testALongHistoryIsReadInPages) }

func testALongHistoryIsReadInPages(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	file := shop
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for n := range 700 {
		message := fmt.Sprintf("Change %d", n)
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter A Person <person@example.com> %d +0000\ndata %d\n%s\n", 1_700_000_000+60*n, len(message), message)
		if n == 0 {
			fmt.Fprintf(&b, "from refs/heads/main^0\n")
		}
		path, content := "charts/cart/values-prod.yaml", fmt.Sprint(n)
		if random.IntN(20) == 0 { // often the content of some time before
			path, content = file, valuesFile(fmt.Sprintf("v%d", random.IntN(5)))
		}
		fmt.Fprintf(&b, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
	}
	if err := o.repo.Import(strings.NewReader(b.String())); err != nil {
		t.Fatal(err)
	}
	o.git("repack", "-adq", "--write-bitmap-index")
	r := o.reader()
	h := o.file(r, Query{Limit: 1000})
	want := strings.Split(o.git("log", "--format=%H", "main", "--", file), "\n")
	var got []string
	for _, v := range h.Versions {
		got = append(got, v.Commit)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 20 {
		t.Errorf("of %d commits: %s", len(want), diff)
	}
	for _, v := range h.Versions {
		if content := o.git("show", v.Commit+":"+file); !strings.Contains(content, fmt.Sprintf("tag: %q", v.Value)) {
			t.Errorf("%s is said to have %s, and has %s", v.Commit, v.Value, content)
		}
	}
	if h.Commits != 701 || !h.Complete {
		t.Errorf("%d commits, complete %t", h.Commits, h.Complete)
	}

	if all := o.file(r, Query{Limit: len(want)}); !all.Complete || len(all.Versions) != len(want) {
		t.Errorf("%d versions of %d, complete %t", len(all.Versions), len(want), all.Complete)
	}
	few := o.file(r, Query{Limit: 3})
	if diff := cmp.Diff(h.Versions[:3], few.Versions); diff != "" || few.Complete {
		t.Errorf("the newest three, complete %t: %s", few.Complete, diff)
	}
	bounded := o.file(r, Query{Limit: 1000, Commits: 150})
	n := len(bounded.Versions) - 1
	if diff := cmp.Diff(h.Versions[:n], bounded.Versions[:n]); diff != "" || bounded.Complete || bounded.Commits != 149 {
		t.Errorf("150 commits deep, complete %t, %d: %s", bounded.Complete, bounded.Commits, diff)
	}
	if last := bounded.Versions[n]; last.Commit != "" || last.Value != h.Versions[n].Value || last.Subject != "" {
		t.Errorf("the version whose commit was not reached is %+v, want the value %s alone", last, h.Versions[n].Value)
	}
	since := h.Versions[5].At
	recent := o.file(r, Query{Limit: 1000, Since: since})
	if n := len(recent.Versions); n < 6 || n == len(h.Versions) || recent.Complete || recent.Until.Before(since.Add(-(git.OldRun+1)*time.Minute)) {
		t.Errorf("since %s: %d versions back to %s", since, n, recent.Until)
	}
}

// Versions that are too large are said to be, and take no memory.
func TestAFileThatWasTooLarge(t *testing.T) {
	t.Parallel()
	for _, files := range []string{"true", "false"} { // that come alone, and with their commits
		o := origins(newSSHOrigin).sends("true", files)(t)
		random := rand.New(rand.NewPCG(5, 6))
		large := make([]byte, 1<<20+100)
		for i := range large {
			large[i] = byte('a' + random.IntN(16))
		}
		o.commit(gitserver.Change{Files: map[string]string{shop: string(large)}})
		o.commit(gitserver.Change{Files: map[string]string{shop: string(large) + "b"}})
		o.write(shop, "main-0000001", 1)
		o.git("repack", "-adq")
		h := o.file(o.reader(), Query{})
		want := []string{
			"main-0000001 by A Person, up-0001 github/guid-0001 octocat", "the file had more than 1048576 bytes: it is not read; limits.file.bytes can be raised by A Person", "none by A Person",
		}
		if diff := cmp.Diff(want, brief(h.Versions)); diff != "" || !h.Complete {
			t.Errorf("files %s, complete %t: %s", files, h.Complete, diff)
		}
	}
}

// One history is read at a time, and who gives up waiting is let go.
func TestHistoriesTakeTurns(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		r := o.reader()
		arrived, release := make(chan struct{}), make(chan struct{})
		o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Before: func() { close(arrived) }, Wait: release})
		done := make(chan error, 1)
		go func() {
			_, err := r.File(t.Context(), Query{Path: shop, Read: readTag})
			done <- err
		}()
		<-arrived
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.File(ctx, Query{Path: shop, Read: readTag}); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("a reader that gave up waiting: %v", err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestHistoryEndsWithItsReader(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		r := o.reader()
		arrived := make(chan struct{})
		o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Before: func() { close(arrived) }, Wait: make(chan struct{})})
		done := make(chan error, 1)
		q := Query{Path: shop, Read: readTag}
		go func() {
			_, err := r.File(t.Context(), q)
			done <- err
		}()
		<-arrived
		r.Close()
		if err := <-done; gitops.CodeOf(err) != gitops.Unavailable || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a history under way: %v, want it to end with the reader", err)
		}
		if _, err := r.File(t.Context(), q); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("a history after the end: %v", err)
		}
	})
}

// Between two pages the branch is replaced, and its old tip is gone.
func TestHistoryBeginsAgainWhenTheBranchIsReplaced(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		o.bury(200)
		r := o.reader()
		pages := 0
		first := gitserver.Fault{On: gitserver.Fetch} // the first page
		if o.ssh != nil {                             // there each fetch begins with the refs
			first = gitserver.Fault{On: gitserver.FetchRefs, Times: 2}
		}
		o.server.Inject(first)
		o.server.Inject(gitserver.Fault{On: first.On, Before: func() {
			pages++
			orphan := o.git("commit-tree", o.first+"^{tree}", "-m", "A new beginning")
			o.git("update-ref", "refs/heads/main", orphan)
			o.git("reflog", "expire", "--expire=now", "--all")
			o.git("gc", "--quiet", "--prune=now")
		}})
		h := o.file(r, Query{})
		if diff := cmp.Diff([]string{"none by A Person"}, brief(h.Versions)); diff != "" || h.Versions[0].Subject != "A new beginning" {
			t.Errorf("%+v: %s", h.Versions, diff)
		}
		if pages != 1 {
			t.Errorf("the branch was replaced %d times", pages)
		}
	})
}

// A server that says how long it wants to be left alone means everybody who shares
// the breaker.
func TestHistoryKeepsAwayWhileTheServerAsksForIt(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	breaker := git.NewBreaker(time.Now)
	o.server.Inject(gitserver.Fault{On: gitserver.FetchRefs, Status: 429, Header: map[string][]string{"Retry-After": {"60"}}})
	for range 2 {
		if _, err := o.reader(breaker.Guard).File(t.Context(), Query{Path: shop, Read: readTag}); gitops.CodeOf(err) != gitops.RateLimited {
			t.Errorf("got %v, want rate_limited", err)
		}
	}
	if n := o.server.Counts().Total(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func emptyPack() []byte {
	pack := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

func TestADamagedHistoryIsAnError(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"truncated": func(b []byte) []byte { return b[:len(b)-30] },
		"no pack": func([]byte) []byte {
			return fmt.Appendf(nil, "0008NAK\n%04x\x01%s0000", len(emptyPack())+5, emptyPack())
		},
	} {
		o := newOrigin(t)
		r := o.reader()
		o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Times: -1, Replace: damage})
		if _, err := r.File(t.Context(), Query{Path: shop, Read: readTag}); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
}
