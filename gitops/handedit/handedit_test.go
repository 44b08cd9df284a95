package handedit_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
	"github.com/tallyman-dev/tallyman/gitops/proof"
)

var prover = proof.New(gitops.ProofKeyOf(gitops.ProofSecret{1}, time.Unix(1_700_000_000, 0)))

const path = "charts/shop/values.yaml"

// origin is a real git server with one repository.
type origin struct {
	*testing.T
	server *gitserver.Server
	repo   *gitserver.Repository
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	server, repo := gittest.Start(t, "myshop/manifests.git")
	o := &origin{t, server, repo}
	o.byHand("Everything", "v0")
	return o
}

func (o *origin) git(args ...string) string {
	o.Helper()
	return gittest.Git(o, o.repo, args...)
}

func file(tag string) string { return "tag: " + tag + "\nother: v3\n" }

func (o *origin) commit(c gitserver.Change) string {
	o.Helper()
	return gittest.Commit(o, o.repo, c)
}

func (o *origin) byHand(message, tag string) string {
	o.Helper()
	return o.commit(gitserver.Change{Message: message, Files: map[string]string{path: file(tag)}})
}

func trailers(environment, app string) string {
	return gitops.Update{
		ID: "up-1", Delivery: gitops.DeliveryKey{Source: "github", ID: "1"}, Environment: environment, App: app, AcceptedAt: time.Unix(1_700_000_000, 0),
	}.Trailers()
}

// written commits files as tallyman does.
func (o *origin) written(environment, app string, files map[string]string) {
	o.Helper()
	made := o.commit(gitserver.Change{Message: "chore: bump\n\n" + trailers(environment, app), Files: files})
	c, err := git.ParseCommit([]byte(o.git("cat-file", "commit", made) + "\n"))
	if err != nil {
		o.Fatal(err)
	}
	line, err := prover.Sign(c)
	if err != nil {
		o.Fatal(err)
	}
	o.git("update-ref", "refs/heads/main", o.git("commit-tree", made+"^{tree}", "-p", made+"^", "-m", string(c.Message)+strings.TrimSuffix(line, "\n")))
}

// bury puts commits that change nothing on top of the branch.
func (o *origin) bury(n int) {
	o.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter Another <another@example.com> %d +0000\ndata 1\nx\n", time.Now().Unix())
		if i == 0 {
			b.WriteString("from refs/heads/main^0\n")
		}
	}
	if err := o.repo.Import(strings.NewReader(b.String())); err != nil {
		o.Fatal(err)
	}
}

func readKey(key string) func(context.Context, string, []byte) (string, error) {
	return func(_ context.Context, _ string, content []byte) (string, error) {
		for line := range bytes.Lines(content) {
			if value, ok := bytes.CutPrefix(line, []byte(key+": ")); ok {
				return string(bytes.TrimSpace(value)), nil
			}
		}
		return "", gitops.Errorf(gitops.NotFound, "no such key")
	}
}

var question = handedit.Question{Environment: "prod", App: "shop", Path: path, Read: readKey("tag")}

func (o *origin) finder(memory int64, within time.Duration) *handedit.Finder {
	o.Helper()
	remote, err := git.NewRemote(git.Config{URL: o.repo.URL})
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(remote.Close)
	return handedit.New(remote, "main", prover, history.Limits{Memory: func() int64 { return memory }}, within)
}

// ask finds out who put the tag there.
func (o *origin) ask(q handedit.Question) handedit.Answer {
	o.Helper()
	a, err := o.finder(40<<20, time.Minute).Find(o.Context(), q)
	if err != nil {
		o.Fatal(err)
	}
	if tip := o.git("rev-parse", "main"); a.Tip.String() != tip {
		o.Errorf("the answer is of %s, and the branch at %s", a.Tip, tip)
	}
	return a
}

// made is a person's edit, as git shows it.
func (o *origin) made(tag, commit string) gitops.HandEdit {
	o.Helper()
	name, at, _ := strings.Cut(o.git("show", "-s", "--format=%an%n%ct", commit), "\n")
	var seconds int64
	if _, err := fmt.Sscan(at, &seconds); err != nil {
		o.Fatal(err)
	}
	return gitops.HandEdit{Tag: tag, Commit: commit, Author: name, At: time.Unix(seconds, 0).UTC()}
}

// Every way in which a tag comes to stand in a file.
func TestWhoPutATagThere(t *testing.T) {
	t.Parallel()
	ours := func(o *origin, tag string) { o.written("prod", "shop", map[string]string{path: file(tag)}) }
	for name, c := range map[string]struct {
		make     func(o *origin) (by string) // "" for tallyman itself
		tag      string
		question handedit.Question
	}{
		"a person":           {func(o *origin) string { ours(o, "v1"); by := o.byHand("fix", "v2"); o.bury(3); return by }, "v2", question},
		"a person, long ago": {func(o *origin) string { ours(o, "v1"); by := o.byHand("fix", "v2"); o.bury(200); return by }, "v2", question},
		"a person, in a file that others change, too": {func(o *origin) string {
			ours(o, "v1")
			by := o.byHand("fix", "v2")
			o.written("prod", "cart", map[string]string{path: "tag: v2\nother: v4\n"})
			return by
		}, "v2", question},
		"a person who takes ours back, with its message": {func(o *origin) string {
			ours(o, "v1")
			ours(o, "v2")
			return o.byHand("Revert \"chore: bump\"\n\n"+o.git("log", "-1", "--format=%B"), "v1")
		}, "v1", question},
		"a squash of ours": {func(o *origin) string {
			ours(o, "v1")
			return o.byHand("Release (#7)\n\n* chore: bump\n\n"+trailers("prod", "shop")+"\n* more", "v2")
		}, "v2", question},
		"a pull request": {func(o *origin) string {
			ours(o, "v1")
			base := o.git("rev-parse", "main")
			by := o.commit(gitserver.Change{Branch: "side", From: base, Message: "fix", Files: map[string]string{path: file("v2")}})
			o.commit(gitserver.Change{From: base, Merge: []string{by}, Message: "Merge pull request", Files: map[string]string{path: file("v2")}})
			return by
		}, "v2", question},
		"a merge that takes neither side": {func(o *origin) string {
			ours(o, "v1")
			base := o.git("rev-parse", "main")
			side := o.commit(gitserver.Change{Branch: "side", From: base, Files: map[string]string{path: file("v3")}})
			return o.commit(gitserver.Change{From: base, Merge: []string{side}, Message: "Merge", Files: map[string]string{path: file("v2")}})
		}, "v2", question},
		"a moved file with another tag": {func(o *origin) string {
			ours(o, "v1")
			return o.commit(gitserver.Change{Message: "move", Delete: []string{path}, Files: map[string]string{"shop.yaml": file("v2")}})
		}, "v2", handedit.Question{Environment: "prod", App: "shop", Path: "shop.yaml", Read: readKey("tag")}},
		"a rewritten history": {func(o *origin) string {
			ours(o, "v2")
			o.git("update-ref", "refs/heads/main", o.git("commit-tree", "main^{tree}", "-m", "all in one\n\n"+trailers("prod", "shop")))
			return o.git("rev-parse", "main")
		}, "v2", question},
		"tallyman, and nobody since": {func(o *origin) string { ours(o, "v1"); ours(o, "v2"); o.bury(100); return "" }, "v2", question},
		"tallyman, for another app": {func(o *origin) string {
			o.written("staging", "shop", map[string]string{path: file("v2")})
			return ""
		}, "v2", question},
		"a person, and tallyman wrote the app at another key since": {func(o *origin) string { ours(o, "v1"); return "" }, "v3", handedit.Question{Environment: "prod", App: "shop", Path: path, Read: readKey("other")}},
		"a person, and tallyman wrote the app in another file since": {func(o *origin) string {
			o.commit(gitserver.Change{Message: "new", Files: map[string]string{"shop.yaml": file("v2")}})
			ours(o, "v1")
			return ""
		}, "v2", handedit.Question{Environment: "prod", App: "shop", Path: "shop.yaml", Read: readKey("tag")}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			by := c.make(o)
			want := handedit.Answer{Tip: o.tip(), Edit: gitops.HandEdit{Tag: c.tag}}
			if by != "" {
				want.ByHand, want.Edit = true, o.made(c.tag, by)
			}
			if diff := cmp.Diff(want, o.ask(c.question)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func (o *origin) tip() git.Hash {
	tip, _ := git.ParseHash(o.git("rev-parse", "main"))
	return tip
}

// The name of an author is one line that can be shown, whoever made the commit.
func TestTheAuthorIsOneLine(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	tree := o.git("rev-parse", "main^{tree}")
	for author, want := range map[string]string{
		"Ann B. <ann@example.com>":             "Ann B.",
		" <ann@example.com>":                   "ann@example.com",
		" <>":                                  handedit.Nobody,
		"\u202eAnn\x1b[31m\u2028B <x@example>": "Ann [31m B",
		strings.Repeat("é", 300) + " <x@y>":    gitops.Clip(git.Sanitize(strings.Repeat("é", 300)), 100),
	} {
		commit := fmt.Sprintf("tree %s\nauthor %s 1700000000 +0000\ncommitter %[2]s 1700000000 +0000\n\nx\n", tree, author)
		o.git("update-ref", "refs/heads/main", o.object(commit))
		if a := o.ask(question); a.Edit.Author != want {
			t.Errorf("%q is shown as %q, want %q", author, a.Edit.Author, want)
		}
	}
}
