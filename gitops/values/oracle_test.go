package values_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	yaml4 "go.yaml.in/yaml/v4"
	"sigs.k8s.io/yaml"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// The oracle judges an edit without anything of this package: it decodes both
// texts into values, with aliases and merge keys applied, by the reader that Helm
// itself uses and by a YAML 1.2 reader, flattens them to paths, and compares. It
// shares no code with the verification it checks.

var (
	documentStart = regexp.MustCompile(`(?m)^---(?:[ \t]|\r?$)`)
	// What the split at --- would misread: document ends and directives.
	unsplittable = regexp.MustCompile(`(?m)^(\.\.\.|%)`)
	errUnjudged  = errors.New("the oracle cannot read this file")
)

// helmLeaves returns the scalars of all documents by their paths.
func helmLeaves(file []byte) (map[string]any, error) {
	if unsplittable.Match(file) {
		return nil, errUnjudged
	}
	leaves := map[string]any{}
	for i, doc := range documentStart.Split(string(bytes.TrimPrefix(file, []byte("\ufeff"))), -1) {
		var v any
		if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnjudged, err)
		}
		flatten(leaves, fmt.Sprint(i), v)
	}
	return leaves, nil
}

// coreLeaves does the same by the YAML 1.2 reader, without its types: 1.10 and
// "1.10" are not the same, but 2024-01-01 is a date and 1 a number here alone.
func coreLeaves(file []byte) (map[string]any, error) {
	leaves := map[string]any{}
	d := yaml4.NewDecoder(bytes.NewReader(file))
	for i := 0; ; i++ {
		var v any
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return leaves, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errUnjudged, err)
		}
		flatten(leaves, fmt.Sprint(i), v)
	}
}

func flatten(leaves map[string]any, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, below := range v {
			flatten(leaves, path+"/"+k, below)
		}
	case []any:
		for i, below := range v {
			flatten(leaves, fmt.Sprintf("%s/%d", path, i), below)
		}
	case map[any]any:
		for k, below := range v {
			flatten(leaves, fmt.Sprintf("%s/%v", path, k), below)
		}
	case float64:
		leaves[path] = fmt.Sprintf("float %v", v) // .nan is not equal to itself
	case time.Time:
		leaves[path] = "time " + v.String()
	default:
		leaves[path] = v
	}
}

// judge returns the paths at which after differs from before, or an error when
// one of them does not now have one of the wanted texts, as a string.
func judge(before, after []byte, wanted ...string) ([]string, error) {
	return judgeBy(helmLeaves, before, after, wanted...)
}

func judgeBy(leavesOf func([]byte) (map[string]any, error), before, after []byte, wanted ...string) ([]string, error) {
	old, err := leavesOf(before)
	if err != nil {
		return nil, err
	}
	now, err := leavesOf(after)
	if err != nil {
		return nil, fmt.Errorf("the edited file cannot be read: %s", err)
	}
	var paths []string
	for path, v := range now {
		if was, ok := old[path]; ok && was == v {
			continue
		}
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%s is now %v, which is no string", path, v)
		}
		found := false
		for _, w := range wanted {
			found = found || w == text
		}
		if !found {
			return nil, fmt.Errorf("%s is now %q", path, text)
		}
		paths = append(paths, path)
	}
	for path, v := range old {
		if _, ok := now[path]; !ok && !becameMap(path, v, now) {
			return nil, fmt.Errorf("%s is gone", path)
		}
	}
	return paths, nil
}

// becameMap says that an empty value got an entry.
func becameMap(path string, v any, now map[string]any) bool {
	for p := range now {
		if v == nil && strings.HasPrefix(p, path+"/") {
			return true
		}
	}
	return false
}

func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

func TestOracle(t *testing.T) {
	judged := 0
	for _, c := range loadCases(t) {
		if c.Refusal != "" {
			continue
		}
		if slices.ContainsFunc(c.Set, func(s values.Target) bool { return s.Inside != "" || s.KeepType }) {
			continue // another text around the value, or no text: the cases' expected files judge those
		}
		var wanted []string
		for _, s := range c.Set {
			if s.Value == "" {
				s.Value = "{tag}"
			}
			wanted = append(wanted, strings.NewReplacer("{tag}", c.Tag, "{digest}", c.Digest, "{digestHex}", hexOf(c.Digest), "{repository}", c.Repository).Replace(s.Value))
			if s.Value == "{digest}" {
				wanted = append(wanted, hexOf(c.Digest))
			}
		}
		t.Run(c.name, func(t *testing.T) {
			paths, err := judge(c.original, c.expected, wanted...)
			if errors.Is(err, errUnjudged) {
				return
			}
			judged++
			if err != nil {
				t.Fatal(err)
			}
			if len(paths) > len(c.Set) && !strings.Contains(c.name, "follow") {
				t.Fatalf("%d paths differ: %v", len(paths), paths)
			}
		})
	}
	if judged < 100 {
		t.Fatalf("only %d cases could be judged", judged)
	}
}
