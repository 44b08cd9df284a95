package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// harmful are files of which a parser would make hundreds of megabytes or more.
var harmful = []func() string{
	func() string { return "image: {tag: main-0000000}\nl: [" + strings.Repeat("a,", 2_600_000) + "]\n" },
	func() string { return "image: {tag: main-0000000}\nl:\n" + strings.Repeat("- a\n", 1_300_000) },
	func() string { return "image: {tag: main-0000000}\nl:\n" + strings.Repeat("-\n", 2_600_000) },
	func() string { return "image: {tag: main-0000000}\n" + strings.Repeat("---\na\n", 600_000) },
	func() string { return "image: {tag: main-0000000}\n" + numbered("k%d: a\n", 460_000) },
	func() string { return "images:\n" + numbered("- name: a%d\n  newTag: b\n", 150_000) },
	func() string {
		return "image: {tag: main-0000000}\nl: [\n" + strings.Repeat("#\na,\n", 600_000) + "]\n"
	},
	func() string {
		return "x: &a 1\nimage: {tag: main-0000000}\nl: [" + strings.Repeat("*a,", 800_000) + "]\n"
	},
	func() string { // within every bound but what the aliases stand for
		var b strings.Builder
		b.WriteString("image: {tag: main-0000000}\na0: &a0 [1,1,1,1,1,1,1,1,1,1]\n")
		for n := range 8 {
			fmt.Fprintf(&b, "a%d: &a%d [%s]\n", n+1, n+1, strings.Repeat(fmt.Sprintf("*a%d,", n), 10))
		}
		return b.String()
	},
	func() string { // within the size, not the nodes
		return "image: {tag: main-0000000}\nl: [" + strings.Repeat("a,", 500_000) + "]\n"
	},
}

func numbered(line string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i)
	}
	return b.String()
}

// The branch has harmful files, each an app's in dev, and huge files that are nobody's:
// each update of such a file fails with the reason, staging goes on, status is answered,
// and the process is the same all the time.
func TestHarmfulFilesFailAlone(t *testing.T) {
	s := newSite(t, len(harmful)+1)
	ctx := deadline(t)
	change := gitserver.Change{Message: "Harm", Files: map[string]string{}}
	for n, file := range harmful {
		change.Files[fmt.Sprintf("charts/app-%02d/values-dev.yaml", n)] = file()
	}
	for n := range 6 {
		change.Files[fmt.Sprintf("unrelated-%d.bin", n)] = strings.Repeat(fmt.Sprint(n), 16<<20)
	}
	_, err := s.repository.Commit(change)
	s.must(err)
	c, base, _ := s.start(ctx)
	s.commandLine(base)
	last := fmt.Sprintf("app-%02d", len(harmful))
	for n := range harmful {
		app := fmt.Sprintf("app-%02d", n)
		if _, errs, exit := run(t, "update", app, "main-1111111", "--env", "dev"); exit != 0 {
			t.Fatal(errs)
		}
	}
	if _, errs, exit := run(t, "update", last, "main-2222222", "--env", "staging", "--wait"); exit != 0 {
		t.Errorf("staging: exit %d, %.300s", exit, errs)
	}
	s.must(c.awaitEnds(ctx, len(harmful)+1))
	updates, _, _ := run(t, "updates", "--env", "dev", "--state", "failed", "-o", "json")
	status, _, _ := run(t, "status", "-o", "json")
	for n := range harmful {
		file := fmt.Sprintf("charts/app-%02d/values-dev.yaml: the file", n)
		for what, text := range map[string]string{"the reasons": updates, "status": status} {
			if !strings.Contains(text, file) && what == "the reasons" || !strings.Contains(text, "limits.file.") {
				t.Errorf("%s do not name %s", what, file)
			}
		}
	}
	if _, errs, exit := run(t, "update", last, "main-3333333", "--env", "dev", "--wait"); exit != 0 {
		t.Errorf("dev: exit %d, %.300s", exit, errs)
	}
	s.must(c.stop())
}
