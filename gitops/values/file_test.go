package values

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// The files of this test, and keys in them: some that several edits set, some that
// are refused, created (+), follow their anchor (&), or are inside of .v (>).
var shared = []struct{ file, keys string }{
	{"a: {image: {tag: v0}}\nb:\n  image:\n    tag: 1.10 # float\nc: {tag: ''}\nd:\n  tag:\n", ".a.image.tag .b.image.tag .c.tag .d.tag .none"},
	{"images:\n  - name: shop\n    newTag: v0\n  - name: cart\n    newTag: \"v0\"\n", `.images[]|select(.name=="shop")|.newTag .images[]|select(.name=="cart")|.newTag .images[0].newTag`},
	{"base: &base\n  tag: v0\none:\n  <<: *base\n  x: 1\ntwo:\n  <<: *base\n  tag: own\n", ".base.tag .one.x .two.tag .one.tag"},
	{"---\ntag: v0\n---\nkind: b\ntag: 'v0'\n", `select(document_index==0)|.tag select(.kind=="b")|.tag .tag`},
	{"image:\n  repository: r\nother: {tag: v0}\n", "+.image.tag .other.tag"},
	{"v: &v v0\na: {tag: *v}\nb: {tag: v0}\n", ".v .b.tag .a.tag &.v &.a.tag"},
	{"base: &base {image: {tag: v0}}\nprod: {<<: *base}\nb: v0\n", ".base.image.tag &.base.image.tag .b .prod.image.tag"},
	{"{\"a\": {\"tag\": 1.10}, \"b\": null}\n", ".a.tag .b +.c.tag +.a.d"},
	{"v: |\n  tag: v0\n  x: {tag: v0}\nw: v0\n", ">.tag >.x.tag .w >+.y .v"},
	{"image: r.example/a:v0\nlist: [v0, v1]\n", ".list[0] .list[1] .list[-1] .image"},
}

// set prepares an edit and makes it.
func (f *File) set(e *Edit, v Vars) (Result, error) {
	c, err := f.Prepare(e, v)
	if err == nil {
		c.Make()
	}
	return c.Result, err
}

// Edits of one file give what they give one by one, and say the same, as do the tags
// that they find. An edit that is prepared and not made leaves nothing.
func TestEditsOfAnOpenFileGiveWhatTheyGiveAlone(t *testing.T) {
	tags := []string{"v0", "v1", "1.10", "main-1a2b3c4", "1.2.3", "7e3"}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := shared[random.IntN(len(shared))]
		var edits []*Edit
		for key := range strings.FieldsSeq(s.keys) {
			target := Target{}
			key, inside := strings.CutPrefix(strings.ReplaceAll(key, "|", " | "), ">")
			if inside {
				target.Inside = ".v"
			}
			key, target.Create = strings.CutPrefix(key, "+")
			key, follow := strings.CutPrefix(key, "&")
			if follow {
				target.Anchor = "follow"
			}
			target.Key = key
			e, err := Compile([]Target{target})
			if err != nil {
				t.Fatal(err)
			}
			edits = append(edits, e)
		}
		alone := []byte(s.file)
		open, err := Open(alone, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			e, v := edits[random.IntN(len(edits))], Vars{Tag: tags[random.IntN(len(tags))]}
			want, wantErr := e.Set(alone, v)
			if random.IntN(3) == 0 { // an edit that is not made
				_, _ = open.Prepare(edits[random.IntN(len(edits))], Vars{Tag: tags[random.IntN(len(tags))]})
			}
			got, gotErr := open.set(e, v)
			if diff := cmp.Diff(want, got); gitops.PublicOf(wantErr) != gitops.PublicOf(gotErr) || wantErr == nil && diff != "" {
				t.Fatalf("seed %d, %s to %s in\n%s\nalone: %v, in the open file: %v\n-alone +open\n%s", seed, e.targets[0].key.text, v.Tag, alone, wantErr, gotErr, diff)
			}
			if wantErr == nil {
				alone = want.Text
			}
			for _, e := range edits { // each finds the tag that the file has by now
				want, wantErr := e.ReadTag(alone)
				if got, err := open.Tag(e); got != want || gitops.PublicOf(err) != gitops.PublicOf(wantErr) {
					t.Fatalf("seed %d, the tag of %s in\n%s\nis %q, %v; in the open file %q, %v", seed, e.targets[0].key.text, alone, want, wantErr, got, err)
				}
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
	f, err := Open([]byte("tag: v0\nother: v0\n"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(); err != nil {
		t.Errorf("without an edit: %v", err)
	}
	if _, err := f.set(e, Vars{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	f.text = []byte("tag: v1\nother: v1\n")
	if err := f.Verify(); err == nil || !strings.Contains(err.Error(), ".other") {
		t.Errorf("another value changed, and it says %v", err)
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
	file := manyApps(1000)
	f, err := Open(file, Limits{MaxFile, MaxNodes})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 500 {
		e, err := Compile([]Target{{Key: fmt.Sprintf(".app-%04d.image.tag", i)}})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := f.set(e, Vars{Tag: "v1"}); err != nil || !r.Changed {
			t.Fatal(r.Changed, err)
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
	open, err := Open(original, Limits{})
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
		r, err := open.set(e, Vars{Tag: tag})
		if err != nil || !r.Changed {
			t.Fatalf("changed %t, %v", r.Changed, err)
		}
		texts = append(texts, r.Text)
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
