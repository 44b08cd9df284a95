package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// What the checker knows of images. It is told of each answer of a registry when it is
// given, and of what the store records.

// answerOf is what a registry said of a tag to a replica.
type answerOf struct {
	replica string
	at      time.Time
	digest  string // "" where it was not there
	last    bool   // it was asked for thoroughly
}

// imageBooks are the checker's of images. Of those by repository and tag a restore takes
// back what was seen.
type imageBooks struct {
	looks map[string][]answerOf
	seen  map[string][]string  // digests that count, the first one first
	first map[string]time.Time // when the first of them was recorded

	sentAt map[gitops.DeliveryKey]time.Time // when an event was first sent
	pollBooks
}

func newImageBooks() imageBooks {
	return imageBooks{looks: make(map[string][]answerOf), seen: make(map[string][]string), first: make(map[string]time.Time), sentAt: make(map[gitops.DeliveryKey]time.Time), pollBooks: newPollBooks()}
}

func imageOf(u gitops.Update) string { return u.Repository + ":" + u.Tag }

// looked is told of an answer.
func (c *checker) looked(replica string, q image.Question, a image.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := q.Repository + ":" + q.Tag
	c.looks[name] = append(c.looks[name], answerOf{replica, time.Now(), a.Digest, q.Thorough})
	if a.Presence == image.Absent {
		met.meet("an image was not there")
	}
}

// Within which time before a push an answer counts: for five minutes, by a clock that may
// jump meanwhile; and a process may be stopped between both, or try the push again.
const (
	answerCounts = 5 * time.Minute
	pushTries    = 3 * time.Minute
	clockJump    = 10 * time.Minute
)

// answerFor is the latest answer to a replica that found an update's image before a time;
// nil without one that counts. The lock is held.
func (c *checker) answerFor(u gitops.Update, replica string, before time.Time) *answerOf {
	from := before.Add(-answerCounts - pushTries)
	if !c.w.sweeps {
		from = from.Add(-clockJump)
	}
	all := c.looks[imageOf(u)]
	for i, a := range slices.Backward(all) {
		if a.digest != "" && a.replica == replica && !a.at.After(before) && a.at.After(from) && (u.Digest == "" || u.Digest == a.digest) {
			return &all[i]
		}
	}
	return nil
}

// sending is told that an event is sent.
func (c *checker) sending(d *dispatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := gitops.DeliveryKey{Source: d.source, ID: d.id}
	if _, again := c.sentAt[key]; !again {
		c.sentAt[key] = time.Now()
	}
}

// imageIsThere checks that nothing is pushed whose image was not there when it was looked
// for, or is another than the tag was known to name when that was. The lock is held.
func (c *checker) imageIsThere(replica string, sent time.Time, u *tracked) {
	rules, inspected := c.w.inspects(u.Environment)
	if !inspected {
		return
	}
	found := c.answerFor(u.Update, replica, sent)
	switch {
	case found == nil:
		c.wrong("update %s was pushed, and its image %s was not there when it was looked for", u.ID, imageOf(u.Update))
	case !rules.AllowMoved && !c.counts(u.Update, found.digest) && !isNamed(u.Update) && c.first[imageOf(u.Update)].Before(found.at):
		c.wrong("update %s was pushed, and its tag %s has moved", u.ID, imageOf(u.Update))
	default:
		met.meet("an image was found and its update pushed")
	}
}

// counts reports whether a digest is one that an update's tag may name. The lock is held.
func (c *checker) counts(u gitops.Update, digest string) bool {
	seen := c.seen[imageOf(u)]
	return len(seen) == 0 || slices.Contains(seen, digest)
}

// isNamed reports whether an update is an order that names its image by the digest.
func isNamed(u gitops.Update) bool { return u.Digest != "" && !gitops.TellsOfImages(u.Principal) }

// records takes down an image that the store records. The first digest stays, but for one
// that an order named. The lock is held.
func (c *checker) records(repository, tag, digest string, named bool) {
	name := repository + ":" + tag
	c.known[name] = true
	if seen := c.seen[name]; digest != "" && !slices.Contains(seen, digest) && (len(seen) == 0 || named) {
		if len(seen) == 0 {
			c.first[name] = time.Now()
		}
		c.seen[name] = append(seen, digest)
	}
}

// tells takes down what an accepted delivery says of images, of which none may have moved.
// The lock is held.
func (c *checker) tells(d gitops.Delivery) {
	if !gitops.TellsOfImages(d.Principal) {
		return
	}
	for _, u := range d.Updates {
		rules, inspected := c.w.inspects(u.Environment)
		first, seen := c.first[imageOf(u)]
		known := seen && first.Before(c.sentAt[d.Key()]) // of two at the same moment neither knows of the other's image
		if inspected && !rules.AllowMoved && u.Digest != "" && !c.counts(u, u.Digest) && known && c.restores == 0 {
			c.wrong("update %s was accepted from an event, and its tag %s has moved", u.ID, imageOf(u))
		}
	}
	for _, u := range d.Updates {
		if u.Digest != "" {
			c.records(u.Repository, u.Tag, u.Digest, false)
		}
	}
}

// found checks what a report says of an update's image: a registry said so. The lock is
// held.
func (c *checker) foundImage(holder string, u *tracked) {
	if u.Found == nil || !u.State.Written() && u.State != gitops.Proposed {
		return
	}
	if u.State.Written() && u.Proposal != nil { // it was found when it was proposed
		return
	}
	said := func(a answerOf) bool { return a.replica == holder && a.digest == u.Found.Digest }
	if !slices.ContainsFunc(c.looks[imageOf(u.Update)], said) {
		c.wrong("update %s is written with image %s, which no registry told %s of", u.ID, u.Found.Digest, holder)
	}
	c.records(u.Repository, u.Tag, u.Found.Digest, u.Found.Named)
}

// imageFails reports whether an update failed because of its image, and checks that it may:
// it was not there at the end of the wait, it moved, or it is another than was ordered.
// That a registry is away is no reason. The lock is held.
func (c *checker) imageFails(holder string, u *tracked) bool {
	rules, inspected := c.w.inspects(u.Environment)
	if !inspected || u.Code != gitops.NotFound && u.Code != gitops.Rejected || strings.Contains(u.Reason, "set aside") {
		return false
	}
	since := u.at
	if u.RetriedAt.After(u.AcceptedAt) {
		since = since.Add(u.RetriedAt.Sub(u.AcceptedAt))
	}
	var may func(a answerOf) bool
	switch {
	case strings.HasPrefix(u.Reason, "registry ") && strings.Contains(u.Reason, ": looked for from "):
		met.meet("an update failed because its image never came")
		may = func(a answerOf) bool {
			return a.digest == "" && a.last && (!c.w.sweeps || a.at.Sub(since) >= rules.Wait-clockSlack)
		}
	case strings.Contains(u.Reason, " has moved: "):
		met.meet("an update failed because its tag had moved")
		may = func(a answerOf) bool { return !rules.AllowMoved && a.digest != "" && !c.counts(u.Update, a.digest) }
	case strings.Contains(u.Reason, " was ordered as "):
		met.meet("an update failed because its digest is another")
		may = func(a answerOf) bool { return a.digest != "" && a.digest != u.Digest }
	default:
		return false
	}
	ofHolder := func(a answerOf) bool { return a.replica == holder && may(a) }
	if !slices.ContainsFunc(c.looks[imageOf(u.Update)], ofHolder) {
		c.wrong("update %s failed because of its image, and no registry said so: %s", u.ID, u.Reason)
	}
	return true
}

// seenImages copies what was seen, for a restore.
func (c *checker) seenImages() map[string][]string {
	seen := make(map[string][]string)
	for name, digests := range c.seen {
		seen[name] = slices.Clone(digests)
	}
	return seen
}

// remembers holds what the store says of images to the books. The lock is not held.
func (c *checker) remembers(repository string, tags []string, told []gitops.SeenImage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range tags {
		var digests []string
		for _, s := range told {
			if s.Repository == repository && s.Tag == name && s.Digest != "" {
				digests = append(digests, s.Digest)
			}
		}
		if want := c.seen[repository+":"+name]; fmt.Sprint(digests) != fmt.Sprint(want) {
			c.wrong("the store says of %s:%s that %v were seen, and %v were", repository, name, digests, want)
		}
	}
}

// imagesInTime is how long after everything has healed an update may wait for its image, which
// is there by then: a registry that was away is asked again within minutes, and the lane is
// told. That it judges everything again every quarter of an hour is for a store that went back in time.
const imagesInTime = 10 * time.Minute

// inTime checks that an update whose image is there was written when that was known, and not
// much later. The lock is held.
func (c *checker) inTime(u *tracked) {
	rules, inspected := c.w.inspects(u.Environment)
	began := c.healed
	if u.at.After(began) {
		began = u.at
	}
	if late := u.ended.Sub(began); inspected && u.State.Written() && c.restores == 0 && late > imagesInTime+rules.Wait {
		c.wrong("update %s was written %s after its image could be found", u.ID, late)
	}
}
