package simulation

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// sending is a push on its way.
type sending struct {
	at     time.Time
	judged *judgement // what was said right before it; nil when nobody was asked
}

// clockSlack is how far a replica's idea of the store's clock may be ahead of it: as much as
// the answer that told it took. For as long as a clock is known a jump is not noticed.
const (
	clockSlack = 15 * time.Second
	clockKnown = 10 * time.Second
)

// mayBeWritten checks that nothing held an update when the store was asked right before
// its push. A push that is under way when a hold comes is not called back. The lock is held.
func (c *checker) mayBeWritten(replica string, sent sending, u *tracked) {
	j := sent.judged
	if j == nil || !j.updates[u.ID] {
		c.wrong("update %s was pushed, and its holds were not checked", u.ID)
		return
	}
	clock := j.read.Sub(j.jumped) > clockKnown
	for _, s := range c.stints {
		before := s.from.Before(j.read) && (s.to.IsZero() || s.to.After(j.read))
		lasts := s.Until.IsZero() || clock && s.Until.After(j.store.Add(clockSlack))
		switch {
		case !s.keeps(u.Update):
		case before && lasts && s.Kind == gitops.HoldBad && isRolledBack(s.Hold):
			c.wrong("update %s brings %s back, which was rolled back", u.ID, u.Tag)
		case before && lasts:
			c.wrong("update %s is held by %s, a %s, and was pushed", u.ID, s.ID, s.Kind)
		case s.from.After(j.read) && s.to.IsZero():
			met.meet("a push was under way when a hold came")
		}
	}
	passes := u.Terms != nil && slices.Contains(u.Terms.Passes, gitops.BlockFreeze)
	if clock && !passes && c.w.frozen.holds(j.freezes, u.Update, j.store) && c.w.frozen.holds(j.freezes, u.Update, j.store.Add(clockSlack)) {
		c.wrong("update %s is held by a freeze of the configuration, and was pushed", u.ID)
	}
	c.afterAnswer(replica, j, u)
}

// afterAnswer checks that a replica pushes nothing after it has told whoever placed a hold
// that it is quiet. The lock is held.
func (c *checker) afterAnswer(replica string, j *judgement, u *tracked) {
	for _, q := range c.quiets {
		i := slices.IndexFunc(c.stints, func(s *stint) bool { return s.ID == q.hold.ID && s.Since.Equal(q.hold.Since) })
		began := i >= 0 && j.read.Before(c.stints[i].from)
		if q.replica == replica && began && c.stints[i].keeps(u.Update) && (j.ended.IsZero() || j.ended.After(q.at)) {
			c.wrong("update %s came after %s had said that nothing comes that %s holds", u.ID, replica, q.hold.ID)
		}
	}
}

// answeredQuiet is told that a replica has answered whoever placed a hold.
func (c *checker) answeredQuiet(replica string, h gitops.Hold, underWay []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(underWay) > 0 {
		met.meet("a hold's answer named what was under way")
	}
	c.quiets = append(c.quiets, quiet{replica, h, time.Now(), underWay})
}

// isRolledBack reports whether a bad mark is a rollback's.
func isRolledBack(h gitops.Hold) bool { return h.Reason == rollbackReason }

// behindWord is whether an event happened before a person ordered something of its app, as
// far as two clocks can tell. The lock is held.
func (c *checker) behindWord(u gitops.Update) bool {
	word := c.word[release{u.Environment, u.App}]
	return !isPersons(u) && !u.EventTime.IsZero() && !word.After(u.AcceptedAt) && word.Sub(u.EventTime) > time.Minute
}

// hears takes down a person's order. One that was accepted by a clock that was ahead counts
// no more. The lock is held.
func (c *checker) hears(u gitops.Update) {
	if r := (release{u.Environment, u.App}); isPersons(u) && u.State == gitops.Pending && (u.AcceptedAt.After(c.word[r]) || c.word[r].After(u.AcceptedAt)) {
		c.word[r] = u.AcceptedAt
		met.meet("a person ordered something")
	}
}

// handEdited is told that a person's commit put tags into apps' files.
func (c *checker) handEdited(by hash, edited []release) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range edited {
		if tag := c.firstTag(by, r); tag != "" && tag != c.firstTag(c.w.origin.all[by].parents[0], r) {
			c.edits[r] = byHand{by, time.Now()}
		}
	}
}

var byHandIn = regexp.MustCompile(` by hand in commit ([0-9a-f]{12}),`)

// behindHand holds what is superseded because of a person's edit to that: the commit is on
// the branch, is none of ours, and the environment respects it. The lock is held.
func (c *checker) behindHand(u *tracked) {
	said := byHandIn.FindStringSubmatch(u.Reason)
	if said == nil {
		return
	}
	met.meet("an edit by hand superseded an update")
	for commit := range c.w.origin.all {
		if strings.HasPrefix(commit.String(), said[1]) && !c.ours[commit] && u.Environment != c.w.overwrites && (!isPersons(u.Update) || u.Attempts > 1) { // an order that was held
			u.byHand = true
		}
	}
	if !u.byHand && !c.keyless {
		c.wrong("update %s was superseded by an edit by hand, which is none: %s", u.ID, u.Reason)
	}
}

// respects checks that automation writes nothing over a person's edit, before the edit's
// pin was placed: over a tag in the first of the app's files that is neither the one that was
// written last when the lane took the update, nor what the writer has put there since.
// A person's order from after the edit is the newer word. The lock is held.
func (c *checker) respects(u *tracked, replica string, parent hash) {
	r := release{u.Environment, u.App}
	edit, edited := c.edits[r]
	delete(c.edits, r)
	written := c.taken[replica+" "+u.Environment][u.ID]
	if !edited || c.word[r].After(edit.at) || u.Environment == c.w.overwrites || isPersons(u.Update) || written == "" {
		return
	}
	second := edit.at.Truncate(time.Second) // a commit says no more
	pinned := slices.ContainsFunc(c.stints, func(s *stint) bool {
		return strings.HasPrefix(s.Reason, "edited by hand in ") && !s.from.Before(second) && s.Environments[0] == r.environment && s.Apps[0] == r.app
	})
	met.meet("an update was written over an edit by hand")
	if tag := c.firstTag(parent, r); !pinned && tag != u.Tag && tag != written && !c.saysItself(u, tag) && !c.isReplacedSoon(u, edit) && slices.Contains(c.w.origin.all.history(parent, nil), edit.commit) {
		c.wrong("update %s is written over the edit %s by hand, which nothing has kept", u.ID, edit.commit)
	}
}

// saysItself reports whether an older update of the app asks for the tag that a person has
// put there. It changes nothing, and those that come after it are the newer word. The lock is held.
func (c *checker) saysItself(u *tracked, tag string) bool {
	for _, older := range c.updates {
		if older.Environment == u.Environment && older.App == u.App && older.Sequence < u.Sequence && older.Tag == tag && isReady(older.Update, c.w.storeTime()) &&
			older.State == gitops.Pending && !older.lost && c.w.coalesce != u.Environment {
			return true
		}
	}
	return false
}

// isReplacedSoon reports whether a person's order of the app that comes after the update is
// about to be written, and counts as newer than the edit: it is, or the edit's time is in the
// future by the store's clock, and says nothing. The lock is held.
func (c *checker) isReplacedSoon(u *tracked, edit byHand) bool {
	now := c.w.storeTime()
	for _, order := range c.updates {
		newer := order.Sequence > u.Sequence && (edit.at.After(now) || !order.AcceptedAt.Before(edit.at))
		if newer && order.Environment == u.Environment && order.App == u.App && isPersons(order.Update) && order.State == gitops.Pending && !order.lost && isReady(order.Update, now) {
			return true
		}
	}
	return false
}

// firstTag is what a commit says of an app in the first of its files.
func (c *checker) firstTag(commit hash, r release) string {
	all := c.w.origin.all
	_, rest, _ := bytes.Cut(all.content(fileOf(r.environment, r.app), all.files(all[commit].tree), nil), []byte(`tag: "`))
	tag, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(tag)
}
