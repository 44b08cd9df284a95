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
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
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

	mu          sync.Mutex
	violations  []string
	updates     map[string]*tracked
	highest     int64                // sequence
	tokens      map[string]int64     // of the last claim, by environment
	on          map[string]hash      // the updates on the branch as it is now, with their commits
	lastOf      map[release]*tracked // what was accepted last of what is on the branch as it is now
	acceptances int64                // how many updates were ever accepted
	blurred     map[release]bool     // an event of the app was dated by a clock that was ahead
	wasRestored bool                 // the store went back in time
	ever        map[string][]hash    // each update's commits that were ever on the branch
	by          map[string]string    // who pushed the last of them
	wasForced   bool                 // a person threw commits away
	said        map[release][]saying
	hands       map[release]bool // a person changed what the branch says of it
	answers     []*dispatch
}

// tracked is an accepted update.
type tracked struct {
	gitops.Update
	at       time.Time // when it was accepted, by the true time
	retried  bool      // a person had it tried again
	order    int64     // of its acceptance, which a restore does not take back
	lost     bool      // by a restore
	wasLost  bool      // and accepted again since
	ended    time.Time // by the true time
	onItsWay bool      // it landed after it was cancelled, by a push that was made before
}

// release is an app in an environment.
type release struct{ environment, app string }

// saying is what the branch said of an app from a time on; no tag is no file.
type saying struct {
	at  time.Time
	tag string
}

func newChecker(w *world) *checker {
	return &checker{
		w: w, updates: make(map[string]*tracked), tokens: make(map[string]int64), on: make(map[string]hash), lastOf: make(map[release]*tracked), blurred: make(map[release]bool),
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

// found reports whether a violation says this.
func (c *checker) found(text string) bool {
	return slices.ContainsFunc(c.violations, func(v string) bool { return strings.Contains(v, text) })
}

// The store tells of these.

func (c *checker) hooks() queuetest.Hooks {
	return queuetest.Hooks{Accepted: c.accepted, Claimed: c.claimed, Fenced: c.fenced, Changed: c.changed}
}

func (c *checker) accepted(d gitops.Delivery, duplicate bool) {
	if duplicate {
		met.meet("a delivery was known already")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range d.Updates {
		if u.Sequence <= c.highest {
			c.wrong("update %s has sequence %d after %d", u.ID, u.Sequence, c.highest)
		}
		c.highest = u.Sequence
		c.enter(d, u)
	}
}

// enter takes down a new update, or one that was lost. The lock is held.
func (c *checker) enter(d gitops.Delivery, u gitops.Update) {
	known := c.updates[u.ID]
	if known == nil {
		known = &tracked{}
		c.updates[u.ID] = known
	} else if !known.lost {
		c.wrong("update %s was accepted twice", u.ID)
	} else {
		met.meet("a lost delivery was taken in again")
	}
	if known.order == 0 || !u.Recovered { // who sends it again means it now
		c.acceptances++
		known.order = c.acceptances
	}
	known.Update, known.at, known.lost = u, time.Now(), false
	c.order(d, u)
}

func (c *checker) claimed(l queue.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w.tell("%s claims %s with token %d", l.Holder, l.Name, l.Token)
	if l.Token <= c.tokens[l.Name] {
		c.wrong("%s was claimed with token %d after %d", l.Name, l.Token, c.tokens[l.Name])
	}
	c.tokens[l.Name] = l.Token
}

// fenced is told of each use of a lease.
func (c *checker) fenced(call string, l queue.Lease, passed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if passed && l.Token != c.tokens[l.Name] {
		c.wrong("%s by %s under token %d of %s, which stands at %d", call, l.Holder, l.Token, l.Name, c.tokens[l.Name])
	}
	if !passed {
		met.meet("a call under an old token was refused")
		met.meet("a " + call + " under an old token was refused")
	}
}

// changed is told of each change of an update after its acceptance.
func (c *checker) changed(l queue.Lease, before, after gitops.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.updates[after.ID]
	if known == nil || known.State != before.State {
		c.wrong("update %s was %s, and the books have it otherwise", after.ID, before.State)
		return
	}
	known.Update = after
	switch {
	case l.Name == "" && before.State == gitops.Failed:
		met.meet("a person decided to " + map[bool]string{true: "dismiss", false: "retry"}[after.State == gitops.Cancelled])
		known.retried = known.retried || after.State == gitops.Pending
	case after.State != before.State:
		c.ended(l, before.State, known)
	case len(after.BlockedBy) > 0:
		c.w.tell("%s (%s in %s) is blocked: %s", after.ID, after.App, after.Environment, after.BlockedBy[0].Reason)
		met.meet("an update was blocked: " + string(after.BlockedBy[0].Kind))
	}
}

// ended checks an update's new state. The lock is held.
func (c *checker) ended(l queue.Lease, from gitops.State, u *tracked) {
	u.ended = time.Now()
	c.w.tell("%s (%s in %s to %s) is %s %s", u.ID, u.App, u.Environment, u.Tag, u.State, u.Reason)
	met.meet("an update " + string(u.State))
	if from.Final() && u.State != gitops.Committed {
		c.wrong("update %s was %s, and became %s", u.ID, from, u.State)
	}
	if u.State == gitops.Committed && c.by[u.ID] != l.Holder {
		met.meet("one replica reported what another had pushed")
	}
	switch u.State {
	case gitops.Committed:
		if !slices.ContainsFunc(c.ever[u.ID], func(h hash) bool { return h.String() == u.Commit }) {
			c.wrong("update %s is committed as %s, which was never on the branch", u.ID, u.Commit)
		}
		return
	case gitops.Unchanged:
		if !c.saidSince(u, u.Tag) {
			c.wrong("update %s is unchanged, and the branch did not say %s while it waited", u.ID, u.Tag)
		}
	case gitops.Failed:
		if u.Code == gitops.Conflict && c.w.limits.History > 0 {
			met.meet("a search was too long")
			return // it may be on the branch, and that is what the reason says
		}
		if u.Code != gitops.NotFound || !c.saidSince(u, "") {
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

// pushed checks a push that a replica sent at a time. What it brought is in the
// repository.
func (c *checker) pushed(replica string, sent time.Time, from, to hash) {
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
