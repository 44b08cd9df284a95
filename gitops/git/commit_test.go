package git

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A header that stands in another place than git reads it from, which git takes from
// anybody who pushes, changes nothing of what is read.
func TestFurtherHeadersOfACommitMeanNothing(t *testing.T) {
	const tree, parent = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	const other = "3333333333333333333333333333333333333333"
	plain := "tree " + tree + "\nparent " + parent + "\nauthor A <a@x> 5 +0000\ncommitter C <c@x> 7 +0000\n"
	want, err := ParseCommit([]byte(plain + "\nm\n"))
	if err != nil || want.Tree.String() != tree || len(want.Parents) != 1 || want.Author != (Signature{"A", "a@x"}) || !want.Made.Equal(time.Unix(7, 0)) {
		t.Fatalf("%+v, %v", want, err)
	}
	for _, further := range []string{
		"tree " + other, "parent " + other, "author B <b@x> 9 +0000", "committer B <b@x> 9 +0000", "encoding UTF-16", "tree x",
		"gpgsig x\n tree " + other, "mergetag object " + other + "\n parent " + other,
	} {
		c, err := ParseCommit([]byte(plain + further + "\n\nm\n"))
		if err != nil || c.Tree != want.Tree || !slices.Equal(c.Parents, want.Parents) || c.Author != want.Author || !c.Made.Equal(want.Made) || string(c.Message) != "m\n" {
			t.Errorf("with %q: %+v, %v", further, c, err)
		}
	}
	for _, malformed := range []string{
		"parent " + parent + "\n" + plain, "author A <a@x> 5 +0000\ntree " + tree + "\n", strings.Replace(plain, parent, "x", 1), strings.ToUpper(plain), "",
	} {
		if c, err := ParseCommit([]byte(malformed + "\nm\n")); err == nil {
			t.Errorf("%q is taken: %+v", malformed, c)
		}
	}
}
