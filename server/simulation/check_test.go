package simulation

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// checker holds a schedule to what was promised. It is told of every change of
// the branch and of the store while it happens, and keeps books of its own:
//
//   - Every push of ours goes forward from where the branch was. It is never forced.
//   - Each commit of ours has one parent, carries one accepted update (several where
//     the environment squashes), and changes their scalars and not one byte besides.
//   - No update is on the branch twice, and none that ended as failed, unchanged,
//     superseded or cancelled is on it at all. A push that was sent before the
//     cancellation cannot be called back, nor one by a replica that does not know yet
//     that it has lost the lane: these alone may bring what was cancelled.
//   - Of one app nothing comes onto the branch after what was accepted later. What was
//     answered before another was sent has the smaller sequence.
//   - An update is superseded at its acceptance when a newer event of its app was
//     accepted (for a push where tags are versions: a newer order, or a newer push of
//     the same or a higher version), or when it is a push's and its version is lower than that which its app
//     has or waits for; and only then. No push's commit lowers the version of its file.
//   - Every accepted update is one that its sender may order, and says by which rule.
//     Of an order of several everything is accepted, or nothing.
//     Whatever its id, a dispatch with the body of an accepted one is accepted no more.
//   - An update ends once. Committed names a commit that was on the branch, which a
//     replica pushed or which does exactly what the update asks, whatever others say
//     that they committed; Unchanged and Failed say what was true of the branch while the update waited.
//   - Under an older token nothing changes.
//   - A delivery for an app that nobody knows yet waits, and is decided once, when the app
//     is known. Of its app it counts by when it happened.
//   - A file that kills whoever parses it kills two processes, and two more each time
//     it was cleared, came back, or seemed to because the git server lagged. Then its own updates fail, and no others. What was cleared and kills
//     no more is written.
//   - Nothing is pushed that the store said to be held when it was asked right before, and
//     nobody pushes without asking. A push that is under way when a hold comes is not called
//     back; a replica that has said it is quiet pushes nothing more of what the hold is about.
//   - What a hold no longer holds is taken: of each app the newest, or all where the
//     environment is configured so. What was rolled back does not come back while it is
//     marked as bad, automation does not follow a person's order that is newer, and writes
//     nothing over an edit by hand before that was kept.
//   - Where images are inspected nothing is pushed whose image a registry did not have in the
//     five minutes before, or whose tag has moved, unless an order names its digest. No event of
//     a moved tag is accepted, and nothing fails because of its image unless a registry said so.
//   - Where registries are polled, a poll orders what was never seen before and is above every
//     version that was ever accepted in its environment, and its first scan orders nothing.
//     Nothing that was written once comes back by a poll. The highest of what no event
//     told of is ordered in the end. An environment that polls nothing gets nothing from polls.
//   - What is said to run has run since it was accepted, and what is said to have failed cannot run.
//     A rollout that is over stays as it is, and in the end each is over; what was written last of an
//     app is healthy where it can run.
//   - A request of a person's that comes twice is one act.
//   - In the end every accepted update has ended, what was blocked too, and the tags on
//     the branch are those of the last updates: of pushes where tags are versions,
//     that of the highest, unless an order came after it.
//
// A restore takes the store back, and not the branch. Where clocks are right, and
// the backup is not from before another restore, it is promised besides:
//
//   - No update is committed twice, and none comes onto the branch after one of its
//     app that was accepted later, whether the store still knows that one or not. A
//     recovered delivery counts by the time of its event, in whole seconds. Who sends
//     a lost delivery again means it now.
//   - Every delivery of GitHub's is accepted again, by the sweep: of those with the same
//     body any one.
//
// Not promised is: that a lost delivery of ECR's that was never written is written;
// that an update which landed before the restore is called committed afterwards (it
// may be superseded or cancelled instead, unseen); and that what a replica had in hand
// when the store failed over under it is not written, when the sweep has taken that
// in again meanwhile.
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
	setBack     map[release]bool     // a clock was set back between receipts of the app's orders
	restores    int                  // how often the store went back in time
	rested      time.Time            // when the wait for all to end was over
	ever        map[string][]hash    // each update's commits that were ever on the branch
	by          map[string]string    // who pushed the last of them
	ours        map[hash]bool        // commits that a replica pushed
	exact       map[hash]bool        // of the others that carry updates: it does exactly what they ask
	keyless     bool                 // the store has lost the key of before
	wasForced   bool                 // a person threw commits away
	said        map[release][]saying
	hands       map[release]bool // a person changed what the branch says of it
	answers     []*dispatch
	parsing     parsing
	waiting     map[gitops.DeliveryKey]bool // deliveries that wait for the newcomer
	heldBooks
	imageBooks
	proposalBooks
	clusterBooks
}

// tracked is an accepted update.
type tracked struct {
	gitops.Update
	at, told  time.Time // when it was accepted, and when the store last changed it, by the true time
	receipt   time.Time // of its delivery, by a replica's clock or the store's
	retried   bool      // a person had it tried again
	raised    bool      // it was written, and not superseded before: its version counts
	order     int64     // of its acceptance, which a restore does not take back
	lost      bool      // by a restore
	wasLost   bool      // and accepted again since
	ended     time.Time // by the true time
	landings  int       // how often the store had been restored when it landed
	endedBy   string    // the holder that reported so
	byHand    bool      // an edit by hand superseded it
	held      bool      // it was, when something was last reported of it
	unknown   bool      // it failed because nobody could tell whether it is on the branch
	proposed  bool      // it was reported to be
	takenBack bool      // it was merged, and a person has put another tag there since
	onItsWay  bool      // it landed after it was cancelled, by a push that was made before
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
		w: w, parsing: newParsing(), heldBooks: newHeldBooks(), imageBooks: newImageBooks(), proposalBooks: newProposalBooks(), clusterBooks: newClusterBooks(), updates: make(map[string]*tracked), tokens: make(map[string]int64), on: make(map[string]hash), lastOf: make(map[release]*tracked), blurred: make(map[release]bool), setBack: make(map[release]bool),
		waiting: make(map[gitops.DeliveryKey]bool), ever: make(map[string][]hash), by: make(map[string]string), said: make(map[release][]saying), hands: make(map[release]bool), ours: make(map[hash]bool), exact: make(map[hash]bool),
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

func (c *checker) accepted(d gitops.Delivery, duplicate bool) {
	if duplicate {
		met.meet("a delivery was known already")
		if d.Source == poll.Source {
			met.meet("a poll found again what it had ordered")
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits(d)
	if twin := c.sameBody(d.Key()); twin != nil && len(d.Updates) > 0 {
		c.wrong("delivery %s was accepted, and has the body of %s, which counts once", d.Key(), twin.Delivery)
	}
	c.whole(d)
	c.tells(d)
	for _, u := range d.Updates {
		if u.Sequence <= c.highest {
			c.wrong("update %s has sequence %d after %d", u.ID, u.Sequence, c.highest)
		}
		c.highest = u.Sequence
		c.authorized(d, u)
		c.enter(d, u)
	}
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
		met.meet(call + " was refused under an old token")
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
	switch {
	case after.State == gitops.Pending && after.Attempts > before.Attempts: // what has lifted is not told of
		known.held = c.holding[after.ID]
	case after.RetriedAt.After(before.RetriedAt):
		known.held = false
	}
	known.Update, known.told = after, time.Now()
	switch {
	case l.Name == "" && before.State == gitops.Failed:
		met.meet("a person decided to " + map[bool]string{true: "dismiss", false: "retry"}[after.State == gitops.Cancelled])
		if known.retried = known.retried || after.State == gitops.Pending; after.State == gitops.Pending {
			if higher, certain := c.higherThan(after); certain {
				c.wrong("update %s, of a push, is a lower version than update %s of its app, and is retried", after.ID, higher)
			}
		}
	case after.State != before.State:
		c.ended(l, before.State, known)
	case len(after.BlockedBy) > 0:
		c.w.tell("%s (%s in %s) is blocked: %s", after.ID, after.App, after.Environment, after.BlockedBy[0].Reason)
		met.meet("an update was blocked: " + string(after.BlockedBy[0].Kind))
	}
}

// ended checks an update's new state. The lock is held.
func (c *checker) ended(l queue.Lease, from gitops.State, u *tracked) {
	u.ended, u.endedBy = time.Now(), l.Holder
	c.w.tell("%s (%s in %s to %s) is %s %s", u.ID, u.App, u.Environment, u.Tag, u.State, u.Reason)
	met.meet("an update " + string(u.State))
	if from.Final() && u.State != gitops.Committed {
		c.wrong("update %s was %s, and became %s", u.ID, from, u.State)
	}
	if u.State == gitops.Committed && c.by[u.ID] != l.Holder {
		met.meet("one replica reported what another had pushed")
	}
	c.foundImage(l.Holder, u)
	if u.State.Written() {
		u.raised = from != gitops.Superseded
	}
	if u.State == gitops.Proposed {
		c.isProposed(u)
		return
	}
	if c.w.proposes(u.Environment) {
		c.endedByPull(u)
	}
	switch u.State {
	case gitops.Superseded:
		c.behindHand(u)
		if c.byTheBranch(u) && strings.Contains(u.Reason, "is in charts/") {
			met.meet("the branch had a higher version")
		}
	case gitops.Committed:
		if !c.w.proposes(u.Environment) && !c.brought(u, u.Commit) {
			c.wrong("update %s is committed as %s, which was never on the branch", u.ID, u.Commit)
		}
		return
	case gitops.Unchanged:
		if !c.saidSince(u, func(tag string) bool { return tag == u.Tag }) {
			c.wrong("update %s is unchanged, and the branch did not say %s while it waited", u.ID, u.Tag)
		}
	case gitops.Failed:
		if c.isSetAside(u) || c.imageFails(l.Holder, u) {
			break
		}
		if u.Code == gitops.Conflict && c.w.limits.History > 0 {
			met.meet("a search was too long")
			u.unknown = true
			return // it may be on the branch, and that is what the reason says
		}
		if u.Code != gitops.NotFound || !c.saidSince(u, func(tag string) bool { return tag == "" }) {
			c.wrong("update %s failed, and its file was there while it waited: %s", u.ID, u.Reason)
		}
	}
	if len(c.ever[u.ID]) > 0 && !c.wasForced && !c.forgotten(u) {
		c.wrong("update %s ended as %s and is on the branch", u.ID, u.State)
	}
}
