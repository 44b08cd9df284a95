package manifest

import (
	"fmt"
	"slices"
	"testing"

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
	v, err := w.View(t.Context())
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
	v, err := w.View(t.Context(), "README.md", "run.sh")
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
		id, idErr := v.FileID(path)
		if (idErr == nil) != (err == nil) || err == nil && id != o.git("rev-parse", "main:"+path) {
			t.Errorf("%s has the id %q, %v", path, id, idErr)
		}
	}
	if log := o.log(); v.Commit() != log[len(log)-1].Hash {
		t.Errorf("the view is of %s", v.Commit())
	}
	o.server.ResetCounts()
	again, err := w.View(t.Context())
	if err != nil || again != v {
		t.Errorf("the branch did not move, and there is another view: %v", err)
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
	v, err := w.View(t.Context())
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
	after, err := w.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content, err = after.ReadFile(testFile("dev", "shop"))
	if want := valuesFile("shop", "dev", "main-0000002"); err != nil || string(content) != want {
		t.Errorf("a view afterwards says %q, %v", content, err)
	}
	for _, path := range testFiles() {
		was, err := v.FileID(path)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := after.FileID(path); err != nil || (is == was) != (path != testFile("dev", "shop")) {
			t.Errorf("%s was %s and is %s, %v", path, was, is, err)
		}
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
			_, err := w.View(t.Context())
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

// A view knows which files another does not have alike.
func TestViewsTellWhatChanged(t *testing.T) {
	o := newOrigin(t)
	w := o.writer()
	view := func() *View {
		v, err := w.View(t.Context())
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
		if got := c.now.Changed(c.since); !slices.Equal(got, c.want) {
			t.Errorf("changed %v, want %v", got, c.want)
		}
	}
}
