package values

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Trees has what an edit could set, as text, and nothing that is only there by an alias.
func TestTrees(t *testing.T) {
	t.Parallel()
	d, err := Read([]byte("a: &a {b: 1.20, c: [x, null]}\nd: *a\ne:\n  <<: *a\n  f: yes\n? [g]\n: h\n---\ntext\n"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []any{
		map[string]any{"a": map[string]any{"b": "1.20", "c": []any{"x", nil}}, "d": nil, "e": map[string]any{"f": "yes"}},
		"text",
	}
	if diff := cmp.Diff(want, d.Trees()); diff != "" {
		t.Error(diff)
	}
}

// A file of JSON is read as well.
func TestTreesOfJSON(t *testing.T) {
	t.Parallel()
	d, err := Read([]byte(`{"image": {"tag": "v1\/2"}}`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{map[string]any{"image": map[string]any{"tag": "v1/2"}}}, d.Trees()); diff != "" {
		t.Error(diff)
	}
}
