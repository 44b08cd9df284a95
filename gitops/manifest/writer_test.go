package manifest

import (
	"context"
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
	if got := settled[0].State; got != gitops.Committed {
		t.Fatalf("state %s (%s), want committed", got, settled[0].Reason)
	}
	o.check(settled...)

	again := o.write(w, o.update("dev", "shop", "main-1a2b3c4"))
	if got := again[0].State; got != gitops.Unchanged {
		t.Fatalf("the same tag again is %s, want unchanged", got)
	}
	o.check(again...)
}

func TestAFileCanBeReadBack(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	o.write(w, o.update("dev", "shop", "main-1a2b3c4"))
	content, err := w.ReadFile(context.Background(), "charts/shop/values-dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := valuesFile("shop", "dev", "main-1a2b3c4"); string(content) != want {
		t.Errorf("read %q, want %q", content, want)
	}
	if _, err := w.ReadFile(t.Context(), "charts/none.yaml"); gitops.CodeOf(err) != gitops.NotFound {
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
	files, err := w.ReadFiles(t.Context(), "README.md", "charts", "charts/none", "a/../b", "run.sh", "run.sh/x")
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		content string
		code    gitops.Code
	}{{"Changed", ""}, {"", gitops.Invalid}, {"", gitops.NotFound}, {"", gitops.Invalid}, {"#!/bin/sh\n", ""}, {"", gitops.Invalid}}
	for i, f := range files {
		if string(f.Content) != want[i].content || f.Err != nil && gitops.CodeOf(f.Err) != want[i].code || f.Err == nil && want[i].code != "" {
			t.Errorf("%s: %q and %v, want %+v", f.Path, f.Content, f.Err, want[i])
		}
	}
	if n := o.server.Counts().Total(); n != 2 {
		t.Errorf("%d requests, want a look and a catch-up", n)
	}
	tip, err := w.Tip(t.Context())
	if log := o.log(); err != nil || tip != log[len(log)-1].Hash {
		t.Errorf("the tip is %s, %v", tip, err)
	}
}
