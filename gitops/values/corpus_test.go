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

	yaml "go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// corpus is a directory of other people's files, such as checkouts of public
// chart repositories. With -v the table of what became of them is printed.
var corpus = flag.String("corpus", "testdata", "an absolute `directory` whose YAML files TestCorpus sets every image tag in")

// found is one image tag in a file, as a target that sets it.
type found struct {
	target     values.Target
	repository string
	old        string
}

// TestCorpus sets every image tag that it finds, one at a time, and has the
// oracle judge each edit by both readers. A refusal is fine, as long as it has a
// reason; an edit of more than its line, or of another value too, is not.
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
				t.Errorf("%s: %s: %s", path, f.target.Key, outcome)
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
		t.Logf("%.2f %% of the tags that are not templates were edited in one line", 100*float64(table["one line"]+table["one line, unjudged"])/float64(plain))
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
	edit, err := values.Compile([]values.Target{f.target})
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
	if n := linesChanged(file, out); n != 1 {
		return fmt.Sprintf("wrong: %d lines", n)
	}
	want := strings.NewReplacer("{tag}", tag, "{digest}", corpusDigest, "{repository}", f.repository).Replace(f.target.Value)
	judged := 0
	for _, leavesOf := range []func([]byte) (map[string]any, error){helmLeaves, coreLeaves} {
		paths, err := judgeBy(leavesOf, file, out, want)
		switch {
		case errors.Is(err, errUnjudged):
			continue
		case err != nil:
			return "wrong: " + err.Error()
		case len(paths) > 1, len(paths) == 0 && !bytes.Equal(withoutQuotes(file), withoutQuotes(out)):
			return fmt.Sprintf("wrong: differs at %v", paths)
		}
		judged++
	}
	if judged == 0 {
		return "one line, unjudged"
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

// imageTags finds what people have bots set: tag: beside an image's name,
// newTag: of a kustomization, and whole references.
func imageTags(file []byte) []found {
	var all []found
	d := yaml.NewDecoder(bytes.NewReader(file))
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); err != nil || len(doc.Content) == 0 {
			return all
		}
		all = findTags(all, doc.Content[0], "", "")
	}
}

func findTags(all []found, n *yaml.Node, path, name string) []found {
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			all = findTags(all, item, fmt.Sprintf("%s[%d]", path, i), name)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			at := step(path, k.Value)
			if f, ok := tagAt(n, k.Value, v, at, name); ok && v.Kind != yaml.MappingNode && v.Kind != yaml.SequenceNode {
				f.old = v.Value
				all = append(all, f)
				continue
			}
			all = findTags(all, v, at, k.Value)
		}
	}
	return all
}

func step(path, key string) string {
	if path == "" {
		path = "."
	}
	return path + `["` + key + `"]`
}

func tagAt(m *yaml.Node, key string, v *yaml.Node, path, parent string) (found, bool) {
	lower := strings.ToLower(key)
	tag := found{target: values.Target{Key: path, Value: "{tag}"}}
	if strings.Contains(v.Value, "@sha256:") { // who pins goes on pinning
		tag.target.Value = "{tag}@{digest}"
	}
	switch {
	case lower == "newtag":
		if name := valueOf(m, "name"); name != "" && parent == "images" {
			tag.target.Key = fmt.Sprintf(`.images[] | select(.name == "%s") | .newTag`, name)
		}
		return tag, true
	case lower == "tag":
		isImage := strings.HasSuffix(strings.ToLower(parent), "image")
		for _, sibling := range []string{"repository", "registry", "pullPolicy", "digest"} {
			isImage = isImage || has(m, sibling)
		}
		return tag, isImage
	case strings.HasSuffix(lower, "imagetag"), strings.HasSuffix(lower, "image_tag"):
		return tag, true
	case lower == "image" && v.Kind == yaml.ScalarNode:
		image, _, pinned := strings.Cut(v.Value, "@")
		colon := strings.LastIndex(image, ":")
		if colon <= 0 || strings.Contains(image[colon:], "/") {
			return found{}, false
		}
		tag.target.Value = "{repository}:{tag}"
		if pinned {
			tag.target.Value += "@{digest}"
		}
		tag.repository = image[:colon]
		return tag, true
	}
	return found{}, false
}

func valueOf(m *yaml.Node, key string) string {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1].Value
		}
	}
	return ""
}

func has(m *yaml.Node, key string) bool {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return true
		}
	}
	return false
}
