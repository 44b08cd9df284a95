package values_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// corpus is a directory of other people's files, such as checkouts of public
// chart repositories. With -v the table of what became of them is printed.
var corpus = flag.String("corpus", "testdata", "an absolute `directory` whose YAML files TestCorpus sets every image tag in")

// TestCorpus sets every image tag that it finds, one at a time and with the digest
// that pins it, and has the oracle judge each edit by both readers. A refusal is fine,
// as long as it has a reason; an edit of more than its lines, or of another value too,
// is not.
func TestCorpus(t *testing.T) {
	table := map[string]int{}
	err := filepath.WalkDir(*corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isYAML(path) {
			return err
		}
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		table["files"]++
		targets := imageTags(file)
		if len(targets) > 0 {
			table["files with tags"]++
		}
		for i, f := range targets {
			table["edits"]++
			tag := corpusTags[(i+len(path))%len(corpusTags)]
			if tag == f.old {
				tag = "v0.0.1-other"
			}
			outcome := try(file, f, tag)
			table[outcome]++
			if strings.HasPrefix(outcome, "wrong") || strings.HasPrefix(outcome, "panic") {
				t.Errorf("%s: %s: %s", path, f.targets[0].Key, outcome)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range slices.Sorted(maps.Keys(table)) {
		t.Logf("%-40s %6d", row, table[row])
	}
	if plain := table["edits"] - table["refused placeholder"]; plain > 0 {
		t.Logf("%.2f %% of the tags that are not templates were edited in one line", 100*float64(table["one line"]+table["one line, with its digest"]+table["one line, unjudged"])/float64(plain))
	}
	if table["edits"] == 0 {
		t.Errorf("no image tag in %s", *corpus)
	}
}

func isYAML(path string) bool {
	return strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml") || strings.HasSuffix(path, ".json")
}

// corpusTags are what pipelines make, and what YAML misreads.
var corpusTags = []string{"v9.8.7", "main-1a2b3c4", "1.10", "8f3c2d1", "1234567", "12345e7", "2024-01-01", "yes", "1.2.3-rc.1", "0123"}

const corpusDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// try makes one edit and says what became of it.
func try(file []byte, f found, tag string) (outcome string) {
	defer func() {
		if p := recover(); p != nil {
			outcome = fmt.Sprint("panic: ", p)
		}
	}()
	edit, err := values.Compile(f.targets)
	if err != nil {
		return "key cannot be said in yq"
	}
	out, changed, err := edit.Apply(file, values.Vars{Tag: tag, Digest: corpusDigest, Repository: f.repository})
	var refusal values.Refusal
	switch {
	case errors.As(err, &refusal):
		return "refused " + string(refusal)
	case err != nil:
		return "wrong: no refusal: " + err.Error()
	case !changed:
		return "wrong: unchanged"
	}
	if n := linesChanged(file, out); n < 1 || n > len(f.targets) {
		return fmt.Sprintf("wrong: %d lines for %d values", n, len(f.targets))
	}
	want := strings.NewReplacer("{tag}", tag, "{digest}", corpusDigest, "{repository}", f.repository).Replace(f.targets[0].Value)
	judged := 0
	for _, leavesOf := range []func([]byte) (map[string]any, error){helmLeaves, coreLeaves} {
		paths, err := judgeBy(leavesOf, file, out, want, corpusDigest, hexOf(corpusDigest))
		switch {
		case errors.Is(err, errUnjudged):
			continue
		case err != nil:
			return "wrong: " + err.Error()
		case len(paths) > len(f.targets), len(paths) == 0 && !bytes.Equal(withoutQuotes(file), withoutQuotes(out)):
			return fmt.Sprintf("wrong: differs at %v", paths)
		}
		judged++
	}
	switch {
	case judged == 0:
		return "one line, unjudged"
	case len(f.targets) > 1:
		return "one line, with its digest"
	}
	return "one line"
}

func linesChanged(before, after []byte) int {
	b, a := bytes.SplitAfter(before, []byte("\n")), bytes.SplitAfter(after, []byte("\n"))
	if len(b) != len(a) {
		return len(a) + len(b)
	}
	n := 0
	for i := range b {
		if !bytes.Equal(b[i], a[i]) {
			n++
		}
	}
	return n
}
