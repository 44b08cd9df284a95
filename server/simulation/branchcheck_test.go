package simulation

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Origin tells of these.

func (c *checker) refusedPack(thin bool, err error) {
	if thin || err != errThin {
		c.violated("a pack that git does not take: %v", err)
	}
	met.meet("a thin pack was refused")
}

// forced says that a person throws commits away.
func (c *checker) forced() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wasForced = true
}

// pushed checks a push that a replica sent at a time. What it brought is in the
// repository.
func (c *checker) pushed(replica string, sent sending, from, to hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w.tell("%s moves the branch from %s to %s", replica, from.String()[:7], to.String()[:7])
	all := c.w.origin.all
	var commits []hash
	for at := to; at != from; at = all[at].parents[0] {
		commits = append(commits, at)
		if len(all[at].parents) != 1 {
			c.wrong("%s pushed %s, which does not stand on %s", replica, to, from)
			return
		}
	}
	for _, commit := range slices.Backward(commits) {
		c.commit(replica, sent, commit)
	}
	met.meet("a push landed")
}

func vars(tag string) values.Vars { return values.Vars{Tag: tag} }

// say takes down what the branch says from now on.
func (c *checker) say(r release, tag string) {
	c.said[r] = append(c.said[r], saying{time.Now(), tag})
}

// moved takes down where a person has put the branch.
func (c *checker) moved(tip hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.w.origin.all
	clear(c.on)
	clear(c.lastOf)
	for _, commit := range all.history(tip, nil) {
		if !c.ours[commit] {
			c.claims(commit)
			continue
		}
		for _, id := range all[commit].updates {
			c.on[id] = commit
			if u := c.updates[id]; u != nil {
				r := release{u.Environment, u.App}
				if last := c.lastOf[r]; last == nil || last.order < u.order {
					c.lastOf[r] = u
				}
			}
		}
	}
	for r, tag := range c.tags(tip) {
		if history := c.said[r]; len(history) == 0 {
			c.say(r, tag)
		} else if history[len(history)-1].tag != tag {
			c.say(r, tag)
			c.hands[r] = true
		}
	}
}

// tags is what a commit says of each app: nothing where one of its files is not there, and
// every tag where they do not agree.
func (c *checker) tags(tip hash) map[release]string {
	all := c.w.origin.all
	files := all.files(all[tip].tree)
	tags := make(map[release]string)
	for _, environment := range environments {
		for _, app := range filed {
			var found []string
			for _, path := range filesOf(environment, app) {
				_, rest, _ := bytes.Cut(all.content(path, files, nil), []byte(`tag: "`))
				tag, _, _ := bytes.Cut(rest, []byte(`"`))
				found = append(found, string(tag))
			}
			if found = slices.Compact(found); slices.Contains(found, "") {
				found = nil
			}
			tags[release{environment, app}] = strings.Join(found, " and ")
		}
	}
	return tags
}

// forgotten reports whether an update landed before a restore, and ended since as
// something that says less than that: the store has no record of the commit, and
// nobody looked for it because nothing of the update was to be written any more.
func (c *checker) forgotten(u *tracked) bool {
	return u.landings < c.restores && (u.State == gitops.Superseded || u.State == gitops.Cancelled)
}

// longestLag is how old the answer of a server that lags behind may be.
const longestLag = 41 * time.Second

// saidSince reports whether the branch said such a tag at a time at which the writer
// may have looked.
func (c *checker) saidSince(u *tracked, is func(tag string) bool) bool {
	history := c.said[release{u.Environment, u.App}]
	from := u.at
	if c.w.network > 0 {
		from = from.Add(-longestLag)
	}
	for i, s := range history {
		if is(s.tag) && (i == len(history)-1 || history[i+1].at.After(from)) {
			return true
		}
	}
	return u.App == ghost && is("")
}
