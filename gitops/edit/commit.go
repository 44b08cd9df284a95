package edit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/message"
)

// Prover proves commits. [*proof.Prover] is one. Safe for concurrent use.
type Prover interface {
	// Sign returns the last line of the commit's message, with its end.
	Sign(c git.Commit) (line string, err error)

	// Verify reports whether a commit has such a line, which a tallyman with the same
	// store made for it.
	Verify(c git.Commit) (key string, ok bool)
}

// Committer makes the commits of updates. It belongs to one goroutine.
type Committer struct {
	Subjects message.Subjects
	Prover   Prover
	Signer   git.Signer    // nil when commits are not signed
	Author   git.Signature // and committer; what is empty is found out by Identify
	// Identify says who the author is; nil when Author is complete.
	Identify func(ctx context.Context) (git.Signature, error)

	author git.Signature // zero until it is known
}

// Validate reports the first thing that cannot be right, as a [gitops.Invalid] error that
// names the field.
func (c *Committer) Validate() error {
	if c.Prover == nil {
		return gitops.FieldErrorf("prover", "is missing")
	}
	author := c.Author
	if c.Identify != nil { // what is empty is found out later
		author = author.Or(git.Signature{Name: "later", Email: "later"})
	}
	return cmp.Or(author.Validate(), c.Subjects.Validate())
}

// Ready finds out who the author is, where that is not configured and not known yet, within
// a time.
func (c *Committer) Ready(ctx context.Context, within time.Duration) error {
	if c.author != (git.Signature{}) {
		return nil
	}
	author := c.Author
	if author.Validate() != nil {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		found, err := c.Identify(ctx)
		if err != nil {
			return err
		}
		if author = author.Or(found); author.Validate() != nil {
			return gitops.Errorf(gitops.Unavailable, "the git server's account has an invalid author name or email")
		}
	}
	c.author = author
	return nil
}

// Commit makes one commit of updates, whose edits are the changes, on top of a snapshot. It
// puts what is new into the draft, and returns the snapshot of the commit. The committer is
// [Committer.Ready].
func (c *Committer) Commit(on *branch.Snapshot, changes []git.Change, draft *git.Draft, updates []gitops.Update, at time.Time) (*branch.Snapshot, error) {
	root, err := on.Root.Replace(changes, draft)
	if err != nil {
		return nil, err
	}
	o, head, err := c.prove(c.object(updates, at, root.Name, on.Tip), at)
	if err != nil {
		return nil, err
	}
	return &branch.Snapshot{Tip: draft.Put(o, git.Base{}), Head: head, Root: root}, nil
}

// object makes the commit of one or several updates, without its proof.
func (c *Committer) object(updates []gitops.Update, at time.Time, tree, parent git.Hash) git.Object {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\nparent %s\n", tree, parent)
	for _, role := range []string{"author", "committer"} {
		fmt.Fprintf(&b, "%s %s <%s> %d +0000\n", role, c.author.Name, c.author.Email, at.Unix())
	}
	b.WriteByte('\n')
	b.WriteString(c.Subjects.Of(updates))
	return git.Object{Kind: git.KindCommit, Data: b.Bytes()}
}

// prove ends a commit's message with its proof, and signs it all.
func (c *Committer) prove(o git.Object, at time.Time) (git.Object, git.Commit, error) {
	commit, err := git.ParseCommit(o.Data)
	if err != nil {
		return o, commit, err
	}
	line, err := c.Prover.Sign(commit)
	if err != nil {
		return o, commit, err
	}
	o.Data = append(o.Data, line...)
	if o, err = git.SignCommit(o, c.Signer, at); err != nil {
		return o, commit, err
	}
	commit, err = git.ParseCommit(o.Data)
	return o, commit, err
}
