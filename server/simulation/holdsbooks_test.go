package simulation

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What the checker knows of holds. It is told of each as the store takes it, and reads it
// by rules of its own.

// stint is a time during which a hold was in the store and not lifted.
type stint struct {
	gitops.Hold
	from, to time.Time // true; to is zero while it lasts
}

// covers reports whether the hold is about the app of an update.
func (s *stint) covers(u gitops.Update) bool {
	named := func(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	return named(s.Environments, u.Environment) && named(s.Apps, u.App)
}

// keeps reports whether the hold keeps an update from being written.
func (s *stint) keeps(u gitops.Update) bool {
	before := s.Kind == gitops.HoldFreeze || !s.Since.After(u.AcceptedAt)
	if !before && s.Principal == "git" && gitops.IsPerson(u.Principal) { // it was ordered over the edit
		return false
	}
	if !s.covers(u) || before && u.Terms != nil && slices.Contains(u.Terms.Passes, gitops.BlockKind(s.Kind)) {
		return false
	}
	switch s.Kind {
	case gitops.HoldPin:
		return s.Tag != u.Tag
	case gitops.HoldBad:
		return s.Tag == u.Tag
	}
	return true
}

// quiet is an answer to whoever placed a hold: nothing that it keeps is pushed by that
// replica any more, but for what is under way.
type quiet struct {
	replica  string
	hold     gitops.Hold
	at       time.Time
	underWay []string
}

// act is what a request did that has a key.
type act struct {
	holds    []string
	restores int // that there had been
}

// byHand is a commit by which a person changed an app's tag.
type byHand struct {
	commit hash
	at     time.Time
}

type heldBooks struct {
	taken   map[string]map[string]string // by replica and environment, then by update: the tag that was written last
	holding map[string]bool              // updates that are reported as held now, or as blocked by something else
	stints  []*stint
	quiets  []quiet
	acts    map[string]act
	older   map[string]map[string]string // by replica and environment, then by update: the newer one of its app
	word    map[release]time.Time        // when a person's order of the app was last accepted
	edits   map[release]byHand           // the person's commit that put the tag there that the branch says
}

func newHeldBooks() heldBooks {
	return heldBooks{holding: make(map[string]bool), acts: make(map[string]act), older: make(map[string]map[string]string), word: make(map[release]time.Time), edits: make(map[release]byHand), taken: make(map[string]map[string]string)}
}

func ids(holds []gitops.Hold) (all []string) {
	for _, h := range holds {
		all = append(all, h.ID)
	}
	return all
}

// placed is told of holds that were placed, or were before by the same request.
func (c *checker) placed(p queue.Placement, done queue.Placed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := p.Key
	if p.Order != nil {
		key = p.Order.Key().String()
	}
	first, again := c.acts[key]
	switch {
	case again && first.restores == c.restores && (!done.Duplicate || !slices.Equal(first.holds, ids(done.Holds))):
		c.wrong("the request %s placed %v, and %v when it came again", key, first.holds, ids(done.Holds))
	case again && done.Duplicate:
		met.meet("a person's request came twice")
	}
	if done.Duplicate {
		return
	}
	c.acts[key] = act{ids(done.Holds), c.restores}
	for _, h := range done.Holds {
		c.w.tell("%s: %s of %v in %v at %q by %s until %s", h.ID, h.Kind, h.Apps, h.Environments, h.Tag, h.Actor, h.Until)
		met.meet("a hold was placed: " + string(h.Kind))
		c.stints = append(c.stints, &stint{Hold: h, from: time.Now()})
	}
	c.end(done.Replaced)
}

// lifted is told of holds that a person has lifted.
func (c *checker) lifted(all []gitops.Hold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(all)
}

// end ends holds, and frees what they kept: the lanes are to judge that again. The lock is
// held.
func (c *checker) end(all []gitops.Hold) {
	for _, h := range all {
		for _, s := range c.stints {
			if s.ID == h.ID && s.to.IsZero() && h.Lifted != nil {
				c.w.tell("%s is lifted", h.ID)
				s.to = time.Now()
				c.free(gitops.BlockKind(h.Kind), func(u gitops.Update) bool { return s.covers(u) && (s.Kind != gitops.HoldBad || s.Tag == u.Tag) })
			}
		}
	}
}

func (c *checker) rejudged(kind gitops.BlockKind, environments []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free(kind, func(u gitops.Update) bool { return slices.Contains(environments, u.Environment) })
}

// free ends the blocks of pending updates that are held by a kind. The lock is held.
func (c *checker) free(kind gitops.BlockKind, covers func(gitops.Update) bool) {
	now := c.w.storeTime()
	for _, u := range c.updates {
		held := slices.ContainsFunc(u.BlockedBy, func(b gitops.Block) bool { return b.Kind == kind })
		if u.lost || u.State != gitops.Pending || !held || isReady(u.Update, now) || !covers(u.Update) {
			continue
		}
		u.BlockedBy = slices.Clone(u.BlockedBy)
		for i := range u.BlockedBy {
			u.BlockedBy[i] = u.BlockedBy[i].Ended(now)
		}
	}
}

// isReady reports whether nothing blocks a pending update any more.
func isReady(u gitops.Update, now time.Time) bool {
	return !slices.ContainsFunc(u.BlockedBy, func(b gitops.Block) bool { return b.Until.IsZero() || b.Until.After(now) })
}

// took holds what a lane was given to the books: of what is ready the oldest, so many as
// it asked for, and of what was held, or where the environment coalesces, only the newest of
// each app.
func (c *checker) took(l queue.Lease, o queue.TakeOptions, taken []gitops.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.w.storeTime()
	var ready []*tracked
	newest := make(map[string]*tracked)
	for _, u := range c.updates {
		if !u.lost && u.State == gitops.Pending && u.Environment == l.Name && isReady(u.Update, now) && !slices.Contains(o.Except, u.App) {
			ready = append(ready, u)
			if n := newest[u.App]; n == nil || n.Sequence < u.Sequence {
				newest[u.App] = u
			}
		}
	}
	slices.SortFunc(ready, func(a, b *tracked) int { return cmp.Compare(a.Sequence, b.Sequence) })
	older := make(map[string]string)
	ready = slices.DeleteFunc(ready, func(u *tracked) bool {
		passedOver := newest[u.App] != u && (c.w.coalesce == l.Name || c.w.proposes(l.Name) || u.held && c.w.allAfterHold != l.Name)
		if passedOver && u.held {
			met.meet("an older update that was held is passed over")
			older[u.ID] = newest[u.App].ID
		}
		return passedOver
	})
	written := make(map[string]string)
	for _, u := range taken {
		written[u.ID] = u.WrittenTag
	}
	c.older[l.Holder+" "+l.Name], c.taken[l.Holder+" "+l.Name] = older, written
	for _, u := range ready[:min(o.Limit, len(ready))] {
		if (u.held || u.Attempts > 0) && time.Unix(0, c.w.jumped.Load()).After(u.told) {
			continue // what had lifted lasts again, where the store's clock was set back: the books were not told of it
		}
		if !slices.ContainsFunc(taken, func(t gitops.Update) bool { return t.ID == u.ID }) {
			c.wrong("update %s of %s in %s is ready, and is not taken", u.ID, u.App, u.Environment)
		}
		if u.held {
			met.meet("what was held is taken again")
		}
	}
}

// reporting is told what a lane is about to report. What an earlier report said counts no
// more: the store may have refused it.
func (c *checker) reporting(r queue.Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.holding)
	for _, b := range r.Blocks {
		c.holding[b.Update] = len(b.BlockedBy) > 0 && b.BlockedBy[0].Kind.Held()
	}
}

// allowed is told of updates that a replica is about to push.
func (c *checker) allowed(replica string, updates []gitops.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range updates {
		if newer := c.older[replica+" "+u.Environment][u.ID]; newer != "" {
			c.wrong("update %s was held, and is written although %s is newer and ready", u.ID, newer)
		}
	}
}

func (c *checker) pushEnded(j *judgement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j.ended = time.Now()
}

// lasting are the holds that were not lifted, for a backup. The lock is held.
func (b heldBooks) lasting() (all []gitops.Hold) {
	for _, s := range b.stints {
		if s.to.IsZero() {
			all = append(all, s.Hold)
		}
	}
	return all
}

// bringBack ends the holds that a restore forgets, and begins those again that it brings
// back. The lock is held.
func (b *heldBooks) bringBack(held []gitops.Hold) {
	for _, s := range b.stints {
		if at := slices.IndexFunc(held, func(h gitops.Hold) bool { return h.ID == s.ID && h.Since.Equal(s.Since) }); !s.to.IsZero() || at < 0 {
			s.to = cmp.Or(s.to, time.Now())
		} else {
			held = slices.Delete(slices.Clone(held), at, at+1)
		}
	}
	for _, h := range held {
		b.stints = append(b.stints, &stint{Hold: h, from: time.Now()})
	}
}

// isPersons reports whether an update is a person's order.
func isPersons(u gitops.Update) bool { return strings.HasPrefix(u.Principal, "token:") }
