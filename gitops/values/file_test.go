package values

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// The files of this test, and keys in them: some that several edits set, one that is
// refused, one that is created.
var shared = []struct{ file, keys string }{
	{"a: {image: {tag: v0}}\nb:\n  image:\n    tag: 1.10 # float\nc: {tag: ''}\nd:\n  tag:\n", ".a.image.tag .b.image.tag .c.tag .d.tag .none"},
	{"images:\n  - name: shop\n    newTag: v0\n  - name: cart\n    newTag: \"v0\"\n", `.images[]|select(.name=="shop")|.newTag .images[]|select(.name=="cart")|.newTag .images[0].newTag`},
	{"base: &base\n  tag: v0\none:\n  <<: *base\n  x: 1\ntwo:\n  <<: *base\n  tag: own\n", ".base.tag .one.x .two.tag .one.tag"},
	{"---\ntag: v0\n---\nkind: b\ntag: 'v0'\n", `select(document_index==0)|.tag select(.kind=="b")|.tag .tag`},
	{"image:\n  repository: r\nother: {tag: v0}\n", "+.image.tag .other.tag"},
	{"image: r.example/a:v0\nlist: [v0, v1]\n", ".list[0] .list[1] .list[-1] .image"},
}

// Edits of one file give what they give one by one, and say the same.
func TestEditsOfAnOpenFileGiveWhatTheyGiveAlone(t *testing.T) {
	tags := []string{"v0", "v1", "1.10", "main-1a2b3c4", "1.2.3", "7e3"}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := shared[random.IntN(len(shared))]
		var edits []*Edit
		for key := range strings.FieldsSeq(s.keys) {
			name, create := strings.CutPrefix(strings.ReplaceAll(key, "|", " | "), "+")
			e, err := Compile([]Target{{Key: name, Create: create}})
			if err != nil {
				t.Fatal(err)
			}
			edits = append(edits, e)
		}
		alone := []byte(s.file)
		open, err := Open(alone)
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			e, v := edits[random.IntN(len(edits))], Vars{Tag: tags[random.IntN(len(tags))]}
			want, changed, wantErr := e.Apply(alone, v)
			got, alsoChanged, gotErr := open.Apply(e, v)
			if gitops.PublicOf(wantErr) != gitops.PublicOf(gotErr) || wantErr == nil && (changed != alsoChanged || !bytes.Equal(want, got)) {
				t.Fatalf("seed %d, %s to %s in\n%s\nalone: %t %v\n%s\nin the open file: %t %v\n%s", seed, e.targets[0].key.text, v.Tag, alone, changed, wantErr, want, alsoChanged, gotErr, got)
			}
			if wantErr == nil {
				alone = want
			}
		}
		if err := open.Verify(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestWhatDoesNotVerifyIsSaid(t *testing.T) {
	e, err := Compile([]Target{{Key: ".tag"}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open([]byte("tag: v0\nother: v0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(); err != nil {
		t.Errorf("without an edit: %v", err)
	}
	if _, _, err := f.Apply(e, Vars{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	f.text = []byte("tag: v1\nother: v1\n")
	if err := f.Verify(); err == nil {
		t.Error("another value changed, and it verifies")
	}
}

// manyApps is a file of so many apps, of about 3 KB each.
func manyApps(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "app-%04d:\n  image:\n    repository: registry.example/app-%04d\n    tag: \"v0\"\n  env:\n", i, i)
		for e := range 60 {
			fmt.Fprintf(&b, "    - name: VARIABLE_%02d\n      value: some value of it\n", e)
		}
	}
	return []byte(b.String())
}

// Five hundred edits of a large file do not read it five hundred times.
func TestManyEditsOfALargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("a large file")
	}
	file := manyApps(1000)
	f, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 500 {
		e, err := Compile([]Target{{Key: fmt.Sprintf(".app-%04d.image.tag", i)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, changed, err := f.Apply(e, Vars{Tag: "v1"}); err != nil || !changed {
			t.Fatal(changed, err)
		}
	}
	t.Logf("500 edits of %d KiB took %s", len(file)>>10, time.Since(began))
	if err := f.Verify(); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(f.text, []byte(`"v1"`)); n != 500 {
		t.Errorf("%d values are set", n)
	}
	t.Logf("with the verification %s", time.Since(began))
}

// A text is written over only when two later ones are there, and not while it is kept.
func TestTextsOfAnOpenFileAreUsedAgain(t *testing.T) {
	e, err := Compile([]Target{{Key: ".tag"}})
	if err != nil {
		t.Fatal(err)
	}
	original := []byte("tag: v0\n")
	open, err := Open(original)
	if err != nil {
		t.Fatal(err)
	}
	texts := [][]byte{original}
	want := func(at int, tag string) {
		t.Helper()
		if got := string(texts[at]); got != "tag: "+tag+"\n" {
			t.Errorf("text %d says %q, want the tag %s", at, got, tag)
		}
	}
	set := func(tag string) {
		t.Helper()
		text, changed, err := open.Apply(e, Vars{Tag: tag})
		if err != nil || !changed {
			t.Fatalf("changed %t, %v", changed, err)
		}
		texts = append(texts, text)
		want(len(texts)-1, tag)
	}
	set("v1")
	open.Keep()
	set("v2")
	set("v3")
	set("v4") // over v2, which nobody keeps
	want(0, "v0")
	want(1, "v1")
	want(2, "v4")
	want(3, "v3")
	open.Keep() // v4, and v1 no more
	set("v5")
	set("v6")
	set("v7")
	want(0, "v0")
	want(2, "v4")
	if err := open.Verify(); err != nil {
		t.Error(err)
	}
}
