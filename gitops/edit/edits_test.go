package edit

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

func keyEdit(t *testing.T, key string) *values.Edit {
	t.Helper()
	edit, err := values.Compile([]values.Target{{Key: key}})
	if err != nil {
		t.Fatal(err)
	}
	return edit
}

// An edit whose file is given up before the update's other files are prepared is read
// again with the edits before it.
func TestAPendingEditIsVerified(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		f := &edited{path: "values.yaml", content: []byte("name: x\ntag: v0\n")}
		if err := f.prepare(keyEdit(t, ".tag"), values.Vars{Tag: "v1"}); err != nil {
			t.Fatal(err)
		}
		if broken {
			copy(f.next, "name: y")
		}
		e := &Edits{files: map[string]*edited{f.path: f}, pending: []*edited{f}}
		e.settle()
		if found := len(e.unverified) > 0; found != broken || f.parsed != nil || f.change.Text != nil {
			t.Errorf("broken %t: said of %q, and it is held: %t", broken, e.unverified, f.parsed != nil)
		}
	}
}

// A file whose edits are verified one by one is read as it is by then, as is one that
// is parsed. What cannot be read is for the edit to refuse.
func TestTheTagOfAFileThatIsEdited(t *testing.T) {
	t.Parallel()
	to := FileEdit{"charts/shop/values-prod.yaml", keyEdit(t, ".image.tag")}
	u := gitops.Update{Environment: "prod", App: "shop", Tag: "1.9.0", OnlyUp: true}
	for _, alone := range []bool{false, true} {
		for content, lower := range map[string]bool{
			"image: {tag: v2.0.0}\n": true, "image: {tag: v1.9.0}\n": false, "image: {tag: none}\n": false, "image: {tag: }\n": false, "image: {}\n": false, "a: b: c\n": false,
		} {
			f := &edited{content: []byte(content), alone: alone}
			if got := f.lowerThan(to, u); (got != "") != lower || lower && !strings.Contains(got, "lower than v2.0.0, which is in "+to.File) {
				t.Errorf("alone %t: %q: %s", alone, content, got)
			}
		}
		f := &edited{content: []byte("image: {tag: v2.0.0}\n"), alone: alone}
		if err := f.prepare(to.Editor, values.Vars{Tag: "1.0.0"}); err != nil {
			t.Fatal(err)
		}
		if got := f.lowerThan(to, u); got == "" {
			t.Errorf("alone %t: an edit that is not made has gone down", alone)
		}
		f.make()
		f.content = f.next
		if got := f.lowerThan(to, u); got != "" {
			t.Errorf("alone %t: after an order went down: %s", alone, got)
		}
	}
}
