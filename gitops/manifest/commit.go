package manifest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// commitOf makes the commit of one or several updates.
func commitOf(updates []gitops.Update, c Config, author git.Signature, at time.Time, tree, parent git.Hash) git.Object {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\nparent %s\n", tree, parent)
	for _, role := range []string{"author", "committer"} {
		fmt.Fprintf(&b, "%s %s <%s> %d +0000\n", role, author.Name, author.Email, at.Unix())
	}
	b.WriteByte('\n')
	if len(updates) == 1 {
		fmt.Fprintf(&b, "%s\n", subjectOf(c.Subject, updates[0]))
	} else {
		fmt.Fprintf(&b, "%s\n\n", batchSubjectOf(c.BatchSubject, updates))
		for _, u := range updates {
			fmt.Fprintf(&b, "- %s to %s\n", u.App, u.Tag)
		}
	}
	b.WriteByte('\n')
	for _, u := range updates {
		b.WriteString(u.Trailers())
	}
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

// checkMessage refuses an update that would write lines of its own into the
// message: one of them could look like the trailer of another update. The names
// are checked where they come in; this is the last place before they are written.
func checkMessage(u gitops.Update) error {
	for _, text := range []string{u.ID, u.Delivery.Source, u.Delivery.ID, u.Actor, u.App, u.Environment, u.Tag, u.Digest, u.Repository} {
		if strings.ContainsAny(text, "\r\n\x00") {
			return gitops.Errorf(gitops.Invalid, "a name in the update is more than one line")
		}
	}
	return nil
}

// placeholders are what a subject may name of an update.
var placeholders = []string{"{app}", "{tag}", "{env}", "{digest}", "{repository}"}

func subjectOf(template string, u gitops.Update) string {
	return strings.NewReplacer(
		"{app}", u.App, "{tag}", u.Tag, "{env}", u.Environment, "{digest}", u.Digest, "{repository}", u.Repository,
	).Replace(template)
}

// batchPlaceholders are what the subject of several updates may name.
var batchPlaceholders = []string{"{count}", "{env}"}

func batchSubjectOf(template string, updates []gitops.Update) string {
	return strings.NewReplacer("{count}", strconv.Itoa(len(updates)), "{env}", updates[0].Environment).Replace(template)
}
