package poll

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// choice is what one scan has found for each place: the best of what was never seen. It
// holds an image for each place at most.
type choice struct {
	best map[place]Image
}

// add chooses among images that were never seen, given the places whose rules take each, and
// returns those that no place orders, or not any more. Of a tag that is there twice the
// first counts.
func (c *choice) add(found []Image, takers func(tag string) []place) (passed []Image) {
	if c.best == nil {
		c.best = make(map[place]Image)
	}
	before := c.chosen()
	for _, image := range found {
		before[image.Tag] = image
		for _, at := range takers(image.Tag) {
			if best, ok := c.best[at]; !ok || at.isBetter(image, best) {
				c.best[at] = image
			}
		}
	}
	return without(before, c.chosen())
}

// chosen are the images that are some place's best, by tag.
func (c *choice) chosen() map[string]Image {
	images := make(map[string]Image, len(c.best))
	for _, image := range c.best {
		images[image.Tag] = image
	}
	return images
}

// drop leaves out the places that are not among these any more, and returns the images that
// no other place orders.
func (c *choice) drop(still []place) (passed []Image) {
	before := c.chosen()
	maps.DeleteFunc(c.best, func(at place, _ Image) bool { return !slices.Contains(still, at) })
	return without(before, c.chosen())
}

// without are those of some images that are not among others.
func without(images, others map[string]Image) (rest []Image) {
	for tag, image := range images {
		if _, there := others[tag]; !there {
			rest = append(rest, image)
		}
	}
	return rest
}

// isBetter reports whether an image is newer than another for the place. Which tag is the
// greater text says nothing.
func (p place) isBetter(image, than Image) bool {
	if p.versions {
		return gitops.VersionKey(image.Tag) > gitops.VersionKey(than.Tag)
	}
	return image.PushedAt.After(than.PushedAt)
}

// isNews reports whether an image is newer than everything that was ever accepted for the
// place. Times of events are in whole seconds. Without a time it is not known to be.
func (p place) isNews(image Image, head gitops.Head, now time.Time) bool {
	if p.versions {
		return gitops.VersionKey(image.Tag) > head.AcceptedVersion && !isBeforeWord(image, head, now)
	}
	_, late := head.Late(gitops.EventMoment{Event: image.PushedAt, Receipt: now, Accepted: now, Recovered: true})
	return !late && image.PushedAt.Unix() > head.NewestEvent.Unix()
}

// isBeforeWord reports whether an image is known to have been pushed before a person's last
// order: then the order is newer, whatever the versions say, as it is than a late event.
func isBeforeWord(image Image, head gitops.Head, now time.Time) bool {
	_, before := gitops.Head{Word: head.Word}.Late(gitops.EventMoment{Event: image.PushedAt, Receipt: now, Accepted: now})
	return before
}

// find is what is ordered of one tag: for places that compare versions without a time, since
// an old image may have got a new tag, and for all others as of its push.
type find struct {
	Image
	timed bool
	late  bool // it was pushed before what was accepted last
	at    []gitops.Place
}

// finds are what is to be ordered, given what is known of each place. Left is what is not
// newer than what was accepted.
func (c *choice) finds(heads map[gitops.Place]gitops.Head, now time.Time) (ordered, left []find) {
	type key struct {
		tag               string
		timed, news, late bool
	}
	byKey := make(map[key]*find)
	for at, image := range c.best {
		k := key{tag: image.Tag, timed: !at.versions, news: at.isNews(image, heads[at.Place], now)}
		k.late = !k.news && (k.timed || isBeforeWord(image, heads[at.Place], now))
		if byKey[k] == nil {
			byKey[k] = &find{Image: image, timed: k.timed, late: k.late}
		}
		byKey[k].at = append(byKey[k].at, at.Place)
	}
	for k, f := range byKey {
		slices.SortFunc(f.at, func(a, b gitops.Place) int {
			return cmp.Or(strings.Compare(a.Environment, b.Environment), strings.Compare(a.App, b.App))
		})
		if k.news {
			ordered = append(ordered, *f)
		} else {
			left = append(left, *f)
		}
	}
	slices.SortFunc(ordered, func(a, b find) int { return strings.Compare(a.Tag, b.Tag) })
	return ordered, left
}

// event is the delivery of what was found.
func (f find) event(name, registry string) gitops.Event {
	e := gitops.Event{
		Delivery:  gitops.DeliveryKey{Source: Source, ID: deliveryID(name, f)},
		Principal: gitops.Principal{Poll: registry},
		Push:      &gitops.ImagePush{Image: name, Tag: f.Tag, Digest: f.Digest, For: f.at},
	}
	e.Actor = e.Principal.Actor()
	if f.timed {
		e.Time = f.PushedAt
	}
	return e
}

// deliveryID is the same for the same tag of the same image, and says which that is as far
// as an id has room for it: the name's last part, the tag, and a digest of all of it.
func deliveryID(name string, f find) string {
	const room = 40 // of each of the two
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%s@%s %t", name, f.Tag, f.Digest, f.timed))
	last := name[strings.LastIndexByte(name, '/')+1:]
	return fmt.Sprintf("%s:%s-%x", last[:min(len(last), room)], f.Tag[:min(len(f.Tag), room)], sum[:16])
}
