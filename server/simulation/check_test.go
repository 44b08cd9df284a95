package simulation

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// checker holds a schedule to what was promised. It is told of every change of
// the branch and of the store while it happens, and keeps books of its own:
//
//   - Every push of ours goes forward from where the branch was. It is never forced.
//   - Each commit of ours has one parent, carries one accepted update (several where
//     the environment squashes), and changes their scalars and not one byte besides.
//   - No update is on the branch twice, and none that was settled as failed,
//     unchanged or superseded is on it at all.
//   - The commits of an environment stand on the branch in acceptance order, but for
//     what was left out or failed and was tried again; those of an app without
//     exception. What was answered before another was sent has the smaller sequence.
//   - An update is settled once. Committed names a commit that was on the branch,
//     Unchanged and Failed say what was true of the branch while the update waited.
//   - Under an older token nothing changes.
//   - In the end every accepted update is settled, and the tags on the branch are
//     those of the last updates.
type checker struct {
	w *world

	mu         sync.Mutex
	violations []string
	updates    map[string]*tracked
	highest    int64             // sequence
	tokens     map[string]int64  // of the last claim, by environment
	on         map[string]hash   // the updates on the branch as it is now, with their commits
	last       map[string]int64  // the highest sequence on the branch as it is now, by environment
	lastOf     map[release]int64 // the same by app
	ever       map[string][]hash // each update's commits that were ever on the branch
	by         map[string]string // who pushed the last of them
	wasForced  bool              // a person threw commits away
	said       map[release][]saying
	hands      map[release]bool // a person changed what the branch says of it
	answers    []*dispatch
}

// tracked is an accepted update.
type tracked struct {
	gitops.Update
	at      time.Time // when it was accepted, by the true time
	retried bool      // a person had it tried again
}

// saying is what the branch said of an app from a time on; no tag is no file.
type saying struct {
	at  time.Time
	tag string
}

func newChecker(w *world) *checker {
	return &checker{
		w: w, updates: make(map[string]*tracked), tokens: make(map[string]int64), on: make(map[string]hash), last: make(map[string]int64), lastOf: make(map[release]int64),
		ever: make(map[string][]hash), by: make(map[string]string), said: make(map[release][]saying), hands: make(map[release]bool),
	}
}

func (c *checker) violated(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong(format, args...)
}

// wrong takes down a violation. The lock is held.
func (c *checker) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.violations = append(c.violations, text)
	c.w.tell("VIOLATION: %s", text)
}

// The store tells of these.

func (c *checker) accepted(d gitops.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range d.Updates {
		if u.Sequence <= c.highest {
			c.wrong("update %s has sequence %d after %d", u.ID, u.Sequence, c.highest)
		}
		c.highest = u.Sequence
		c.updates[u.ID] = &tracked{Update: u, at: time.Now()}
	}
}

func (c *checker) claimed(l queue.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w.tell("%s claims %s with token %d", l.Holder, l.Environment, l.Token)
	if l.Token <= c.tokens[l.Environment] {
		c.wrong("%s was claimed with token %d after %d", l.Environment, l.Token, c.tokens[l.Environment])
	}
	c.tokens[l.Environment] = l.Token
}

func (c *checker) changed(what string, l queue.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.Token != c.tokens[l.Environment] {
		c.wrong("%s by %s under token %d of %s, which stands at %d", what, l.Holder, l.Token, l.Environment, c.tokens[l.Environment])
	}
}

func (c *checker) settled(l queue.Lease, u gitops.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w.tell("%s (%s in %s to %s) ends as %s %s", u.ID, u.App, u.Environment, u.Tag, u.State, u.Reason)
	known := c.updates[u.ID]
	if known == nil || known.State.Settled() {
		c.wrong("update %s is settled as %s, and was never accepted or has ended before", u.ID, u.State)
		return
	}
	known.Update = u
	met.meet("an update " + string(u.State))
	if u.State == gitops.Committed && c.by[u.ID] != l.Holder {
		met.meet("one replica settled what another had pushed")
	}
	switch u.State {
	case gitops.Committed:
		if !slices.ContainsFunc(c.ever[u.ID], func(h hash) bool { return h.String() == u.Commit }) {
			c.wrong("update %s is committed as %s, which was never on the branch", u.ID, u.Commit)
		}
		return
	case gitops.Unchanged:
		if !c.saidSince(known, u.Tag) {
			c.wrong("update %s is unchanged, and the branch did not say %s while it waited", u.ID, u.Tag)
		}
	case gitops.Failed:
		if u.Code != gitops.NotFound || !c.saidSince(known, "") {
			c.wrong("update %s failed, and its file was there while it waited: %s", u.ID, u.Reason)
		}
	}
	if len(c.ever[u.ID]) > 0 && !c.wasForced {
		c.wrong("update %s ended as %s and is on the branch", u.ID, u.State)
	}
}

// longestLag is how old the answer of a server that lags behind may be.
const longestLag = 41 * time.Second

// saidSince reports whether the branch said this tag at a time at which the
// writer may have looked.
func (c *checker) saidSince(u *tracked, tag string) bool {
	history := c.said[release{u.Environment, u.App}]
	from := u.at
	if c.w.network > 0 {
		from = from.Add(-longestLag)
	}
	for i, s := range history {
		if s.tag == tag && (i == len(history)-1 || history[i+1].at.After(from)) {
			return true
		}
	}
	return u.App == ghost && tag == ""
}

// saidOnce is a tag that the branch says of an app, or has said.
func (c *checker) saidOnce(r *rand.Rand, of release) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	history := c.said[of]
	if len(history) == 0 || !strings.HasPrefix(history[len(history)-1].tag, "main-") {
		return ""
	}
	return one(r, history[len(history)-1], history[r.IntN(len(history))]).tag
}

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

// pushed checks a push by a replica. What it brought is in the repository.
func (c *checker) pushed(replica string, from, to hash) {
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
		c.commit(replica, commit)
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
	clear(c.last)
	clear(c.lastOf)
	for _, commit := range all.history(tip, nil) {
		for _, id := range all[commit].updates {
			c.on[id] = commit
			if u := c.updates[id]; u != nil {
				r := release{u.Environment, u.App}
				c.last[u.Environment], c.lastOf[r] = max(c.last[u.Environment], u.Sequence), max(c.lastOf[r], u.Sequence)
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

// tags is what a commit says of each app.
func (c *checker) tags(tip hash) map[release]string {
	all := c.w.origin.all
	files := all.files(all[tip].tree)
	tags := make(map[release]string)
	for _, environment := range environments {
		for _, app := range apps {
			tag := ""
			if blob, ok := files[fileOf(environment, app)]; ok {
				_, rest, _ := bytes.Cut(all[blob].data, []byte(`tag: "`))
				quoted, _, _ := bytes.Cut(rest, []byte(`"`))
				tag = string(quoted)
			}
			tags[release{environment, app}] = tag
		}
	}
	return tags
}

func (c *checker) answered(d *dispatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, d)
	for _, u := range d.updates {
		if c.updates[u.ID] == nil {
			c.wrong("%s was answered with update %s, which was never accepted", d.id, u.ID)
		}
	}
}

// retried is told when a person has a failed update tried again.
func (c *checker) retried(u gitops.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.updates[u.ID]
	if known.State != gitops.Failed {
		c.wrong("update %s was %s, and is tried again", u.ID, known.State)
	}
	known.Update, known.retried = u, true
	met.meet("a person had a failed update tried again")
}
