package simulation

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Where tags are versions, what is pushed goes up only. The rule of the service is not
// used here: versions are compared by a library.

// inventVersion is mostly a higher one than all before.
func inventVersion(r *rand.Rand, n int) string {
	return fmt.Sprintf("%s1.%d.0", one(r, "", "", "v"), max(0, n-one(r, 0, 0, 0, 1, 3, 10, 30)))
}

// lower reports whether a tag is a lower version than another.
func lower(tag, than string) bool {
	a, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	if err != nil {
		return false
	}
	b, err := semver.StrictNewVersion(strings.TrimPrefix(than, "v"))
	return err == nil && a.LessThan(b)
}

// onlyUp reports whether an update may not lower a version: it is a push's or a
// poll's, where tags are versions.
func onlyUp(u gitops.Update) bool {
	return (u.Delivery.Source == "eventbridge" || isPolls(u)) && u.Environment == "prod"
}

// higherThan is the update whose version one that only goes up would lower: of its app
// one that is open, or the last that was written. What was ever marked as bad may count or
// not: then certain is false. The lock is held.
func (c *checker) higherThan(u gitops.Update) (id string, certain bool) {
	if !onlyUp(u) {
		return "", false
	}
	var written *tracked
	for _, other := range c.updates {
		switch {
		case other.ID == u.ID || other.lost || other.Environment != u.Environment || other.App != u.App:
		case !other.State.Final() && lower(u.Tag, other.Tag):
			if id, certain = other.ID, !c.wasBad(other); certain {
				return id, true
			}
		case other.raised && other.State.Written() && (written == nil || other.Sequence > written.Sequence):
			written = other
		}
	}
	if written != nil && lower(u.Tag, written.Tag) {
		return written.ID, !c.wasBad(written)
	}
	return id, false
}

// wasBad reports whether the update's tag was ever marked as bad. The lock is held.
func (c *checker) wasBad(u *tracked) bool {
	return slices.ContainsFunc(c.stints, func(s *stint) bool { return s.Kind == gitops.HoldBad && s.Tag == u.Tag && s.covers(u.Update) })
}

// lastPush is the push that was accepted last of an app's that only go up, before one; nil
// when there is none. The lock is held.
func (c *checker) lastPush(than gitops.Update) (last *tracked) {
	for _, u := range c.updates {
		if onlyUp(than) && onlyUp(u.Update) && u.ID != than.ID && u.App == than.App && !u.lost && !u.cameLate() && (last == nil || u.Sequence > last.Sequence) {
			last = u
		}
	}
	return last
}

// behindPush is when an update of the same app happened, if it makes a push late that is
// older: an order, or a push of a version that is not lower. It is zero for others. The
// times at which an order was received and a push happened are of two clocks.
func (u *tracked) behindPush(push gitops.Update, receipt time.Time) time.Time {
	switch {
	case onlyUp(u.Update) && lower(u.Tag, push.Tag):
		return time.Time{}
	case onlyUp(u.Update) || !u.EventTime.IsZero():
		return u.EventTime
	case u.receipt.After(receipt) || u.receipt.Sub(push.EventTime) <= time.Minute:
		return time.Time{}
	}
	return u.receipt
}

// highestWins checks that what was written last of an app is no lower version than any
// that was pushed, unless an order came after that or something was out of the service's
// hands. In which order the pushes arrived makes no difference.
func (c *checker) highestWins(r release, last *tracked) {
	if c.hands[r] || c.wasForced || c.restores > 0 {
		return
	}
	var highest *tracked
	for _, u := range c.updates {
		switch {
		case u.Environment != r.environment || u.App != r.app:
		case u.State == gitops.Failed || u.State == gitops.Cancelled || u.retried:
			return // while it waited it counted
		case c.wasBad(u): // it may have counted for nothing
		case onlyUp(u.Update) && !c.byTheBranch(u) && (highest == nil || lower(highest.Tag, u.Tag)):
			highest = u
		}
	}
	if highest == nil || !lower(last.Tag, highest.Tag) {
		return
	}
	for _, u := range c.updates {
		if u.Environment == r.environment && u.App == r.app && !onlyUp(u.Update) && (u.Sequence > highest.Sequence || u.AcceptedAt.After(highest.EventTime) || u.EventTime.After(highest.EventTime)) {
			return
		}
	}
	c.wrong("%s is the highest version that was pushed of %s in %s, and %s was written last", highest.Tag, r.app, r.environment, last.Tag)
}

// goesUp checks that an update does not lower the version of the file that it edits.
func (c *checker) goesUp(u *tracked, file []byte) {
	if before, err := (lineEditor{}).ReadTag(file); err == nil && onlyUp(u.Update) && lower(u.Tag, before) {
		c.wrong("update %s, of a push, lowers the version of %s in %s from %s to %s", u.ID, u.App, u.Environment, before, u.Tag)
	}
}

// byTheBranch reports whether an update is superseded because the branch said a higher
// version.
func (c *checker) byTheBranch(u *tracked) bool {
	return onlyUp(u.Update) && c.saidSince(u, func(tag string) bool { return lower(u.Tag, tag) })
}

// ReadTag is the tag of a file, for the writer.
func (lineEditor) ReadTag(file []byte) (string, error) {
	_, rest, _ := bytes.Cut(file, []byte(`tag: "`))
	tag, _, ok := bytes.Cut(rest, []byte(`"`))
	if !ok {
		return "", gitops.Errorf(gitops.NotFound, "the key .image.tag is not in the file")
	}
	return string(tag), nil
}
