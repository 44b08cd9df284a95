package manifest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestOneUpdateIsOneCommitThatChangesOneLine(t *testing.T) {
	overEach(t, testOneUpdateIsOneCommitThatChangesOneLine)
}

func testOneUpdateIsOneCommitThatChangesOneLine(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := o.update("dev", "shop", "main-1a2b3c4")
	settled := o.write(w, u)
	if got := settled[0].Action; got != gitops.ActionCommit {
		t.Fatalf("state %s (%s), want committed", got, settled[0].Reason)
	}
	o.check(settled...)

	again := o.write(w, o.update("dev", "shop", "main-1a2b3c4"))
	if got := again[0].Action; got != gitops.ActionConfirm {
		t.Fatalf("the same tag again is %s, want unchanged", got)
	}
	o.check(again...)
}

func TestAFileCanBeReadBack(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	o.write(w, o.update("dev", "shop", "main-1a2b3c4"))
	v, err := w.View(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	content, err := v.ReadFile("charts/shop/values-dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := valuesFile("shop", "dev", "main-1a2b3c4"); string(content) != want {
		t.Errorf("read %q, want %q", content, want)
	}
	if _, err := v.ReadFile("charts/none.yaml"); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("a file that is not there: %v, want not_found", err)
	}
}

func TestFilesAreReadFromTheBranchAsItIsNow(t *testing.T) {
	overEach(t, testFilesAreReadFromTheBranchAsItIsNow)
}

func testFilesAreReadFromTheBranchAsItIsNow(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.commit(gitserver.Change{Files: map[string]string{"README.md": "Changed"}})
	o.server.ResetCounts()
	v, err := w.View(t.Context(), 0, "README.md", "run.sh")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		content string
		code    gitops.Code
	}{
		"README.md": {"Changed", ""}, "charts": {"", gitops.Invalid}, "charts/none": {"", gitops.NotFound},
		"a/../b": {"", gitops.Invalid}, "run.sh": {"#!/bin/sh\n", ""}, "run.sh/x": {"", gitops.Invalid},
	} {
		content, err := v.ReadFile(path)
		if string(content) != want.content || err != nil && gitops.CodeOf(err) != want.code || err == nil && want.code != "" {
			t.Errorf("%s: %q and %v, want %+v", path, content, err, want)
		}
	}
	if log := o.log(); v.Commit() != log[len(log)-1].Hash {
		t.Errorf("the view is of %s", v.Commit())
	}
	o.server.ResetCounts()
	again, err := w.View(t.Context(), 0)
	if err != nil || again.Commit() != v.Commit() || !again.AsOf().After(v.AsOf()) {
		t.Errorf("the branch did not move, and another view is %+v after %+v: %v", again, v, err)
	}
	if n := o.server.Counts().Total(); n > 1 {
		t.Errorf("%d requests, want a look", n)
	}
}

// A view stays as it is, whatever is written.
func TestAViewDoesNotChange(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	v, err := w.View(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		o.check(o.write(w, o.update("dev", "shop", fmt.Sprintf("main-%07d", n)))...)
	}
	content, err := v.ReadFile(testFile("dev", "shop"))
	if want := valuesFile("shop", "dev", "none"); err != nil || string(content) != want || v.Commit() != o.first {
		t.Errorf("the view of %s says %q, %v", v.Commit(), content, err)
	}
	after, err := w.View(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	content, err = after.ReadFile(testFile("dev", "shop"))
	if want := valuesFile("shop", "dev", "main-0000002"); err != nil || string(content) != want {
		t.Errorf("a view afterwards says %q, %v", content, err)
	}
	if got, want := changed(t, after, v), []string{testFile("dev", "shop")}; !slices.Equal(got, want) {
		t.Errorf("changed since the first view: %v, want %v", got, want)
	}
}

// A push goes out while a reader waits for the server, which takes its time.
func TestNoPushWaitsForAReader(t *testing.T) { overEach(t, testNoPushWaitsForAReader) }

func testNoPushWaitsForAReader(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.commit(gitserver.Change{Files: map[string]string{"README.md": "Changed"}})
	for _, on := range []gitserver.Operation{gitserver.FetchRefs, gitserver.Fetch} {
		arrived, release := make(chan struct{}), make(chan struct{})
		o.server.Inject(gitserver.Fault{On: on, Before: func() { close(arrived) }, Wait: release})
		read := make(chan error, 1)
		go func() {
			_, err := w.View(t.Context(), 0)
			read <- err
		}()
		<-arrived
		o.check(o.write(w, o.update("dev", "shop", "main-"+string(on)))...)
		close(release)
		if err := <-read; err != nil {
			t.Errorf("the view: %v", err)
		}
		o.commit(gitserver.Change{Files: map[string]string{"README.md": "Changed again"}})
	}
}

// After a push the writer knows where the branch is: who can do with what was there a
// moment ago has it without asking the server.
func TestAViewAfterAPushAsksNothing(t *testing.T) { overEach(t, testAViewAfterAPushAsksNothing) }

func testAViewAfterAPushAsksNothing(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	view := func(maxAge time.Duration) *View {
		t.Helper()
		v, err := w.View(t.Context(), maxAge)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := view(0)
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	o.server.ResetCounts()
	after := view(time.Hour)
	if n := o.server.Counts().Total(); n != 0 || after.Commit() != o.git("rev-parse", "main") || !after.AsOf().After(before.AsOf()) {
		t.Errorf("%d requests for a view of %s at %s", n, after.Commit(), after.AsOf())
	}
	theirs := o.commit(gitserver.Change{Files: map[string]string{"README.md": "Changed"}})
	for _, c := range []struct {
		maxAge time.Duration
		want   string
	}{{time.Hour, after.Commit()}, {0, theirs}, {time.Hour, theirs}} { // never back to what the push left
		if v := view(c.maxAge); v.Commit() != c.want {
			t.Errorf("at most %s old: %s, want %s", c.maxAge, v.Commit(), c.want)
		}
	}
	settled := o.write(w, o.update("dev", "shop", "main-0000002")) // catches up with theirs
	if v := view(time.Hour); v.Commit() != settled[0].Commit {
		t.Errorf("after another push: %s, want %s", v.Commit(), settled[0].Commit)
	}
}

func changed(t *testing.T, now, since *View) []string {
	t.Helper()
	paths, ok := now.Changed(since)
	if !ok {
		t.Error("it is not known what changed")
	}
	return paths
}

// A view knows which files another does not have alike.
func TestViewsTellWhatChanged(t *testing.T) {
	o := newOrigin(t)
	w := o.writer()
	view := func() *View {
		v, err := w.View(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := view()
	o.commit(gitserver.Change{Files: map[string]string{"README.md": "Changed"}})
	after := view()
	for _, c := range []struct {
		now, since *View
		want       []string
	}{{after, before, []string{"README.md"}}, {before, after, []string{"README.md"}}, {after, after, nil}} {
		if got := changed(t, c.now, c.since); !slices.Equal(got, c.want) {
			t.Errorf("changed %v, want %v", got, c.want)
		}
	}
}
