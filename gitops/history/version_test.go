package history

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proof"
)

// People write what they like into messages, and nothing of it may be mistaken.
func TestWhatACommitSaysOfItself(t *testing.T) {
	for message, want := range map[string]Version{
		"":                              {},
		"One line":                      {Subject: "One line"},
		"\n\nLate\tand \x1b[31mred":     {Subject: "Late and [31mred"},
		"x\n\nTallyman-Actor: nobody's": {Subject: "x"},
		"x\n\nTallyman-Update: u\x1b\nTallyman-Delivery: none": {Subject: "x", Updates: []gitops.UpdateTrailer{{Update: "u"}}},
		"x\n\nTallyman-Update: u\nTallyman-Reason: it \x1b[31mfails\nTallyman-Rolls-Back: v2\n": {Subject: "x", Updates: []gitops.UpdateTrailer{{
			Update: "u", Terms: &gitops.Terms{Reason: "it [31mfails", RollsBack: "v2"},
		}}},
	} {
		want.Commit, want.Author, want.At = git.Hash{}.String(), git.Signature{Name: "A", Email: "b <c@d"}, time.Unix(1_700_000_000, 0).UTC()
		data := "tree 1111111111111111111111111111111111111111\nauthor A <b <c@d> 1 +0000\ncommitter A <a@b> 1700000000 +0200\ngpgsig -----BEGIN\n author Not Me <x@y> 1 +0\n\n" + message
		c, err := git.ParseCommit([]byte(data))
		if diff := cmp.Diff(want, versionOf(git.Hash{}, c, prover)); diff != "" || err != nil {
			t.Errorf("%q: %v %s", message, err, diff)
		}
	}
}

// prover has the key of the tests' store.
var prover = proof.New(gitops.ProofKeyOf(gitops.ProofSecret{1}, time.Unix(1_700_000_000, 0)))

// A person may copy every line of a commit, and its proof does not come along.
func TestOnlyAProvedCommitHasAProof(t *testing.T) {
	c := git.Commit{Tree: git.Hash{1}, Parents: []git.Hash{{2}}, Author: git.Signature{Name: "Bot", Email: "bot@example.com"}, Message: []byte("x\n\nTallyman-Update: u\n")}
	line, err := prover.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Message = append(c.Message, line...)
	v := versionOf(git.Hash{}, c, prover)
	if len(v.Updates) != 1 || v.Proof == "" || !strings.Contains(line, v.Proof) {
		t.Errorf("%d updates, proved by %q", len(v.Updates), v.Proof)
	}
	c.Parents[0] = git.Hash{3}
	if v = versionOf(git.Hash{}, c, prover); len(v.Updates) != 1 || v.Proof != "" {
		t.Errorf("on another parent: %d updates, proved by %q", len(v.Updates), v.Proof)
	}
}

// Whatever stands in a commit, what is shown of it is printable text.
func FuzzVersionOf(f *testing.F) {
	f.Add([]byte("tree x\nauthor A <c@d> 1 +0000\ncommitter A <a@b> 1700000000 +0200\n\nx\n\nTallyman-Update: u\nTallyman-Delivery: a/b\nTallyman-Actor: c\n"))
	f.Add([]byte("author <\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _ := git.ParseCommit(data) // what could be read of it is shown all the same
		v := versionOf(git.Hash{}, c, prover)
		texts := []string{v.Author.Name, v.Author.Email, v.Subject}
		for _, u := range v.Updates {
			texts = append(texts, u.Update, u.Delivery.Source, u.Delivery.ID, u.Actor, u.Environment, u.App)
		}
		for _, text := range texts {
			if strings.ContainsFunc(text, func(c rune) bool { return c != ' ' && !unicode.IsPrint(c) }) {
				t.Errorf("%q is shown", text)
			}
		}
	})
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{gitops.Errorf(gitops.TooLarge, "larger than what may be read"), true},
		{gitops.Errorf(gitops.Invalid, "not a path"), true},
		{git.PublicError(fmt.Errorf("reading: %w", git.ErrMissingObject)), true},
		{gitops.Errorf(gitops.Unavailable, "the git server is down"), false},
		{gitops.Errorf(gitops.RateLimited, "slowly"), false},
		{nil, false},
	} {
		if got := Unreadable(c.err); got != c.want {
			t.Errorf("%v: %t, want %t", c.err, got, c.want)
		}
	}
}
