package manifest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/message"
)

// commitOf makes the commit of one or several updates.
func commitOf(updates []gitops.Update, c Config, author git.Signature, at time.Time, tree, parent git.Hash) git.Object {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\nparent %s\n", tree, parent)
	for _, role := range []string{"author", "committer"} {
		fmt.Fprintf(&b, "%s %s <%s> %d +0000\n", role, author.Name, author.Email, at.Unix())
	}
	b.WriteByte('\n')
	b.WriteString(c.subjects().Of(updates))
	return git.Object{Kind: git.KindCommit, Data: b.Bytes()}
}

// prove ends a commit's message with its proof, and signs it all.
func (a *actor) prove(o git.Object, at time.Time) (git.Object, git.Commit, error) {
	c, err := git.ParseCommit(o.Data)
	if err != nil {
		return o, c, err
	}
	line, err := a.config.Prover.Sign(c)
	if err != nil {
		return o, c, err
	}
	o.Data = append(o.Data, line...)
	if o, err = git.SignCommit(o, a.signer, at); err != nil {
		return o, c, err
	}
	c, err = git.ParseCommit(o.Data)
	return o, c, err
}

func (c Config) subjects() message.Subjects {
	return message.Subjects{One: c.Subject, Batch: c.BatchSubject}
}
