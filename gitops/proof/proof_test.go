package proof

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

var (
	older = gitops.ProofKeyOf(gitops.ProofSecret{1}, time.Unix(1_700_000_000, 0))
	newer = gitops.ProofKeyOf(gitops.ProofSecret{2}, time.Unix(1_800_000_000, 0))
)

func hash(n byte) (h git.Hash) {
	h[0] = n
	return h
}

func draft() git.Commit {
	return git.Commit{
		Tree: hash(1), Parents: []git.Hash{hash(2)}, Author: git.Signature{Name: "Bot", Email: "bot@example.com"},
		Message: []byte("chore: bump\n\nTallyman-Update: one\nTallyman-Delivery: github/1\n"),
	}
}

// proved is a commit with its proof under the last of the keys.
func proved(t *testing.T, keys ...gitops.ProofKey) git.Commit {
	t.Helper()
	c := draft()
	line, err := New(keys...).Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Message = append(c.Message, line...)
	return c
}

func TestACommitIsProved(t *testing.T) {
	c := proved(t, older, newer)
	if lines := strings.Split(strings.TrimSuffix(string(c.Message), "\n"), "\n"); !strings.HasPrefix(lines[len(lines)-1], "Tallyman-Proof: "+newer.ID+" ") {
		t.Errorf("the last line is %q", lines[len(lines)-1])
	}
	if key, ok := New(older, newer).Verify(c); !ok || key != newer.ID {
		t.Errorf("proved by %q, %t; want %s", key, ok, newer.ID)
	}
	if key, ok := New(older, newer).Verify(proved(t, older)); !ok || key != older.ID {
		t.Errorf("a commit of before the newer key: %q, %t", key, ok)
	}
	c.Made = time.Unix(5, 0)
	if _, ok := New(newer).Verify(c); !ok {
		t.Error("another date voids the proof")
	}
	for name, p := range map[string]*Prover{"no key": New(), "another key": New(older)} {
		if _, ok := p.Verify(c); ok {
			t.Errorf("%s proves the commit", name)
		}
	}
	renamed := older
	renamed.ID = newer.ID
	if _, ok := New(renamed).Verify(c); ok {
		t.Error("another secret under the same id proves the commit")
	}
}

func TestWithoutAKeyNothingIsSigned(t *testing.T) {
	p := New()
	if _, err := p.Sign(draft()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	p.SetKeys([]gitops.ProofKey{older})
	if _, err := p.Sign(draft()); err != nil {
		t.Error(err)
	}
}

// Whatever of a commit is another, the proof is void.
func TestAChangedCommitIsNotProved(t *testing.T) {
	replace := func(old, with string) func(*git.Commit) {
		return func(c *git.Commit) {
			if !bytes.Contains(c.Message, []byte(old)) {
				t.Fatalf("the message has no %q", old)
			}
			c.Message = bytes.Replace(c.Message, []byte(old), []byte(with), 1)
		}
	}
	for name, change := range map[string]func(*git.Commit){
		"another tree":                   func(c *git.Commit) { c.Tree = hash(9) },
		"another parent":                 func(c *git.Commit) { c.Parents = []git.Hash{hash(9)} },
		"a further parent":               func(c *git.Commit) { c.Parents = append(c.Parents, hash(9)) },
		"no parent":                      func(c *git.Commit) { c.Parents = nil },
		"another author":                 func(c *git.Commit) { c.Author.Name = "Ann" },
		"another address":                func(c *git.Commit) { c.Author.Email = "ann@example.com" },
		"a letter that moves":            func(c *git.Commit) { c.Author = git.Signature{Name: "Botb", Email: "ot@example.com"} },
		"another subject":                replace("chore", "fix"),
		"another update":                 replace("one", "two"),
		"another delivery":               replace("github/1", "github/2"),
		"a further trailer":              replace("Tallyman-Proof", "Tallyman-Update: two\nTallyman-Proof"),
		"a trailer less":                 replace("Tallyman-Delivery: github/1\n", ""),
		"the trailers in another order":  replace("Tallyman-Update: one\nTallyman-Delivery: github/1", "Tallyman-Delivery: github/1\nTallyman-Update: one"),
		"a line behind the proof":        func(c *git.Commit) { c.Message = append(c.Message, "Tallyman-Update: two\n"...) },
		"an empty line behind the proof": func(c *git.Commit) { c.Message = append(c.Message, '\n') },
		"no end of the last line":        func(c *git.Commit) { c.Message = c.Message[:len(c.Message)-1] },
		"a shorter MAC":                  func(c *git.Commit) { c.Message = append(c.Message[:len(c.Message)-3], '\n') },
		"a MAC that is no number":        func(c *git.Commit) { c.Message = append(c.Message[:len(c.Message)-2], "g\n"...) },
		"the proof of a proof": func(c *git.Commit) {
			c.Message = append(c.Message, c.Message[bytes.Index(c.Message, []byte(gitops.TrailerProof)):]...)
		},
		"an unknown key":                   replace(older.ID, newer.ID),
		"no key":                           replace(older.ID+" ", ""),
		"no message":                       func(c *git.Commit) { c.Message = nil },
		"nothing but the proof":            func(c *git.Commit) { c.Message = c.Message[bytes.Index(c.Message, []byte(gitops.TrailerProof)):] },
		"spaces before the proof":          replace("Tallyman-Proof", " Tallyman-Proof"),
		"a message in front (a squash)":    func(c *git.Commit) { c.Message = append([]byte("Squashed\n\n"), c.Message...) },
		"carriage returns (a web form)":    func(c *git.Commit) { c.Message = bytes.ReplaceAll(c.Message, []byte("\n"), []byte("\r\n")) },
		"a proof in capitals is malformed": func(c *git.Commit) { c.Message = bytes.ToUpper(c.Message) },
	} {
		c := proved(t, older)
		if _, ok := New(older).Verify(c); !ok {
			t.Fatal("the commit was not proved to begin with")
		}
		change(&c)
		if _, ok := New(older).Verify(c); ok {
			t.Errorf("%s: still proved:\n%s", name, c.Message)
		}
	}
}

// TestAHeaderDoesNotLendAProof has the tree and the author of a proved commit as further
// headers of a commit with another tree, which git takes.
func TestAHeaderDoesNotLendAProof(t *testing.T) {
	c := proved(t, older)
	text := func(tree git.Hash, author git.Signature, further string) []byte {
		return fmt.Appendf(nil, "tree %s\nparent %s\nauthor %s <%s> 1 +0000\ncommitter x <y> 1 +0000\n%s\n%s", tree, c.Parents[0], author.Name, author.Email, further, c.Message)
	}
	eve := git.Signature{Name: "Eve", Email: "eve@example.com"}
	for name, w := range map[string]struct {
		data []byte
		want bool
	}{
		"as it was":      {text(c.Tree, c.Author, ""), true},
		"another tree":   {text(hash(9), c.Author, fmt.Sprintf("tree %s\n", c.Tree)), false},
		"another author": {text(c.Tree, eve, fmt.Sprintf("author %s <%s> 1 +0000\n", c.Author.Name, c.Author.Email)), false},
	} {
		read, err := git.ParseCommit(w.data)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := New(older).Verify(read); ok != w.want {
			t.Errorf("%s: proved is %t", name, ok)
		}
	}
}

func BenchmarkProof(b *testing.B) {
	p := New(older)
	c := draft()
	line, err := p.Sign(c)
	if err != nil {
		b.Fatal(err)
	}
	c.Message = append(c.Message, line...)
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Sign(c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if _, ok := p.Verify(c); !ok {
				b.Fatal("not proved")
			}
		}
	})
}
