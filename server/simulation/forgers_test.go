package simulation

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What people make of the trailers of commits: they may write any line, copy those of
// another commit with its proof, and rebase what a replica has pushed.

// forge has a person push commits that say they are ours.
func (w *world) forge(r *rand.Rand) {
	o := w.origin
	o.mu.Lock()
	defer o.mu.Unlock()
	u, any := w.check.anyUpdate(r)
	if o.tip.IsZero() || !any {
		return
	}
	kind, to := r.IntN(7), hash{}
	note := func() []byte { return fmt.Appendf(nil, "number %d\n", len(o.stood)) }
	commit := func(tree hash, message string, parents ...hash) hash {
		return o.all.commit(tree, strings.TrimSuffix(message, "\n"), time.Now(), parents...)
	}
	tree := o.all[o.tip].tree
	files := o.all.files(tree)
	said := "by hand\n\n" + u.Trailers()
	if r.IntN(2) == 0 {
		said += o.someProof()
	}
	switch {
	case kind == 0: // a commit that does something else
		to = commit(o.all.with(tree, "NOTES.md", note()), said, o.tip)
	case kind == 1: // a merge that keeps the lines of what was squashed
		from := o.back(1 + r.IntN(4))
		side := commit(o.all.with(o.all[from].tree, "SIDE.md", note()), "aside", from)
		to = commit(o.all.with(tree, "SIDE.md", note()), said, o.tip, side)
	case kind == 2: // a side branch with the lines
		from := o.back(1 + r.IntN(4))
		side := commit(o.all.with(o.all[from].tree, "SIDE.md", note()), said, from)
		to = commit(o.all.with(tree, "SIDE.md", note()), "Merge", o.tip, side)
	case kind == 3: // a release from far ahead
		u.AcceptedAt, u.Sequence, u.EventTime, u.ID = u.AcceptedAt.AddDate(70, 0, 0), 1<<40, u.AcceptedAt.AddDate(70, 0, 0), "made-up"
		to = commit(o.all.with(tree, "NOTES.md", note()), "by hand\n\n"+u.Trailers()+o.someProof(), o.tip)
	case kind < 6: // exactly the update's edits, or only some of them, and perhaps another after it
		edited := make(map[string][]byte)
		if !o.all.edit(u, files, edited) {
			return
		}
		if r.IntN(3) == 0 {
			delete(edited, one(r, filesOf(u.Environment, u.App)...))
		}
		by := tree
		for path, content := range edited {
			by = o.all.with(by, path, content)
		}
		if by == tree {
			return
		}
		if to = commit(by, said, o.tip); kind == 5 {
			to = commit(tree, "Revert", to)
		}
	case kind == 6 && w.check.isOurs(o.tip): // our last commit is rebased, by force
		parent := o.all[o.tip].parents[0]
		between := commit(o.all.with(o.all[parent].tree, "NOTES.md", note()), "in between", parent)
		to = commit(o.all.with(tree, "NOTES.md", note()), messageOf(o.all[o.tip]), between)
		w.check.forced()
		met.meet("a person rebased a commit of ours")
	default:
		return
	}
	met.meet("a person forged a trailer")
	w.tell("a person moves the branch to %s, which says it is ours: %s", to.String()[:7], u.ID)
	o.move(to)
	w.check.moved(to)
}

// someProof is the proof of one of the latest commits, to be copied.
func (o *origin) someProof() string {
	for n := range 5 {
		if _, line, ok := strings.Cut(messageOf(o.all[o.back(n)]), gitops.TrailerProof); ok {
			return gitops.TrailerProof + line
		}
	}
	return gitops.TrailerProof + ": 00000000 " + strings.Repeat("0", 64) + "\n"
}

func messageOf(o *object) string {
	_, message, _ := strings.Cut(string(o.data), "\n\n")
	return message
}

// anyUpdate is one of those that were ever accepted, whatever has become of it.
func (c *checker) anyUpdate(r *rand.Rand) (gitops.Update, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.updates) == 0 {
		return gitops.Update{}, false
	}
	return c.updates[one(r, slices.Sorted(maps.Keys(c.updates))...)].Update, true
}

func (c *checker) isOurs(commit hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ours[commit]
}

// claims takes down which updates a person's commit has brought, although it has no
// proof: those of one that does exactly what they ask. The lock is held.
func (c *checker) claims(commit hash) {
	o := c.w.origin.all[commit]
	if _, judged := c.exact[commit]; !judged {
		c.exact[commit] = c.isExact(o)
	}
	for _, id := range o.updates {
		if c.exact[commit] { // and what came after it may be of a person, too
			c.hands[release{c.updates[id].Environment, c.updates[id].App}] = true
		}
	}
}

// isExact reports whether a commit changes what its updates ask and nothing besides.
func (c *checker) isExact(o *object) bool {
	all := c.w.origin.all
	if len(o.parents) == 0 {
		return false
	}
	want := all.files(all[o.parents[0]].tree)
	edited := make(map[string][]byte)
	for _, id := range o.updates {
		u := c.updates[id]
		if u == nil {
			return false
		}
		if !all.edit(u.Update, want, edited) {
			return false
		}
	}
	is := all.files(o.tree)
	for path, made := range edited {
		if blob, ok := is[path]; !ok || !bytes.Equal(all[blob].data, made) {
			return false
		}
		delete(is, path)
		delete(want, path)
	}
	return maps.Equal(is, want)
}

// brought reports whether a commit has brought an update onto the branch.
func (c *checker) brought(u *tracked, commit string) bool {
	for name, exact := range c.exact {
		if exact && name.String() == commit && slices.Contains(c.w.origin.all[name].updates, u.ID) {
			return true
		}
	}
	return slices.ContainsFunc(c.ever[u.ID], func(h hash) bool { return h.String() == commit })
}

// keyLost says that the store has another key from now on: what the last one proved is
// found by what it does, and its releases count no more.
func (c *checker) keyLost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wasForced, c.keyless = true, true
}
