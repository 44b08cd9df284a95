package simulation

import (
	"bytes"
	"fmt"
	"maps"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// commit checks one commit of ours, which is now the branch's newest.
func (c *checker) commit(replica string, sent sending, name hash) {
	o := c.w.origin.all[name]
	c.ours[name] = true
	var carried []*tracked
	for _, id := range o.updates {
		u := c.updates[id]
		if u == nil {
			c.wrong("commit %s carries %q, which nobody accepted", name, id)
			return
		}
		carried = append(carried, u)
	}
	if len(carried) == 0 || len(carried) > 1 && carried[0].Environment != c.w.squash {
		c.wrong("commit %s carries the updates %q", name, o.updates)
		return
	}
	if c.w.proposes(carried[0].Environment) {
		c.wrong("%s pushes update %s to the base branch, and its environment is written by pull request", replica, carried[0].ID)
	}
	want := fmt.Sprintf("chore: bump %s to %s (%s)", carried[0].App, carried[0].Tag, carried[0].Environment)
	if t := carried[0].Terms; t != nil && t.RollsBack != "" {
		want = fmt.Sprintf("revert: %s back to %s (%s)", carried[0].App, carried[0].Tag, carried[0].Environment)
	}
	if len(carried) > 1 {
		want = fmt.Sprintf("chore: %d updates (%s)", len(carried), c.w.squash)
		met.meet("one commit had several updates")
	}
	if o.subject != want {
		c.wrong("commit %s says %q, not %q", name, o.subject, want)
	}
	c.onlyScalars(carried, o)
	for _, u := range carried {
		c.mayBeWritten(replica, sent, u)
		c.imageIsThere(replica, sent.at, u)
		c.respects(u, replica, o.parents[0])
		c.landed(u, replica, sent.at, name)
		c.by[u.ID] = replica
	}
}

// landed checks that an update may be on the branch, and takes down that it is. A
// push cannot be called back: what was sent before a cancellation may arrive after it.
func (c *checker) landed(u *tracked, replica string, sent time.Time, commit hash) {
	if before, twice := c.on[u.ID]; twice && !c.keyless {
		c.wrong("update %s is on the branch twice, as %s and %s", u.ID, before, commit)
	}
	if len(c.ever[u.ID]) > 0 && !c.wasForced {
		c.wrong("update %s was committed again as %s", u.ID, commit)
	}
	if s := u.State; u.unknown {
		u.onItsWay = true
	} else if s == gitops.Cancelled && (!sent.After(u.ended) || replica != u.endedBy) {
		met.meet("a push that was on its way brought what was cancelled")
		u.onItsWay = true
	} else if u.wasLost && u.cameLate() {
		u.onItsWay = true // by a replica that took it before the restore
	} else if s.Final() && s != gitops.Committed {
		c.wrong("update %s ended as %s and comes onto the branch all the same", u.ID, s)
	}
	r := release{u.Environment, u.App}
	if last := c.lastOf[r]; last != nil && u.order <= last.order && !c.keyless && !(u.Recovered && u.released().Unix() >= last.released().Unix()) {
		c.wrong("update %s comes onto the branch after %s of its app, which was accepted later", u.ID, last.ID)
	}
	c.on[u.ID], c.lastOf[r] = commit, u
	u.landings = c.restores
	if u.lost {
		u.landings--
	}
	c.ever[u.ID] = append(c.ever[u.ID], commit)
	c.say(r, u.Tag)
}

// onlyScalars checks that a commit changes what its updates say, one after the
// other, and nothing else.
func (c *checker) onlyScalars(carried []*tracked, o *object) {
	all := c.w.origin.all
	before, after := all.files(all[o.parents[0]].tree), all.files(o.tree)
	want := make(map[string][]byte)
	for _, u := range carried {
		c.goesUp(u, all.content(fileOf(u.Environment, u.App), before, want))
		if !all.edit(u.Update, before, want) {
			c.wrong("the commit of update %s has no change for it, or one of its files is not there", u.ID)
			return
		}
	}
	for path, made := range want {
		if blob, ok := after[path]; !ok || !bytes.Equal(all[blob].data, made) {
			c.wrong("the commit of update %s makes of %s something else than\n%s", carried[0].ID, path, made)
		}
		delete(before, path)
		delete(after, path)
	}
	if !maps.Equal(before, after) {
		c.wrong("the commit of update %s changes other files: %v became %v", carried[0].ID, before, after)
	}
}

// content is that of a file with edits; nil when it is not there.
func (all objects) content(path string, files map[string]hash, edited map[string][]byte) []byte {
	if content, ok := edited[path]; ok {
		return content
	}
	if blob, ok := files[path]; ok {
		return all[blob].data
	}
	return nil
}

// edit adds to the edits of files what an update asks of all of its own. It is false where
// one of them is not there, and where none changes.
func (all objects) edit(u gitops.Update, files map[string]hash, edited map[string][]byte) (changes bool) {
	for _, path := range filesOf(u.Environment, u.App) {
		made, changed, err := lineEditor{}.Apply(all.content(path, files, edited), vars(u.Tag))
		if err != nil {
			return false
		}
		edited[path] = made
		changes = changes || changed
	}
	return changes
}
