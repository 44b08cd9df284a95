package queue

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Images remembers which images were seen, for ever: a tag that names another image than
// before is known, whatever was pruned since. Safe for concurrent use.
//
// What is accepted and what is written is recorded with it, in its transaction: Accept
// records [ImagesOf] the delivery, and Report those of the transitions that have Found, with
// the update's delivery. Each is recorded as RecordImages does.
type Images interface {
	// SeenImages returns what is recorded of a repository's tags, by tag and then in the order
	// in which it was recorded. Of tags that are not known there is nothing. It is one read.
	SeenImages(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error)

	// RecordImages records images in one transaction, in their order; the store sets the
	// time. Of a tag the first digest stays: what has another is left out, unless it is
	// Named, and a tag that was known without a digest gets its first, with its time and its
	// delivery. What is recorded already is no error, and changes nothing.
	RecordImages(ctx context.Context, seen []gitops.SeenImage) error
}

// ImagesOf are the images that a delivery says are in a registry, each once: those of the
// updates that have a digest, where [gitops.TellsOfImages] of its principal.
func ImagesOf(d gitops.Delivery) (seen []gitops.SeenImage) {
	if !gitops.TellsOfImages(d.Principal) {
		return nil
	}
	known := make(map[gitops.SeenImage]bool)
	for _, u := range d.Updates {
		image := gitops.SeenImage{Repository: u.Repository, Tag: u.Tag, Digest: u.Digest, By: d.Key()}
		if u.Digest == "" || known[image] {
			continue
		}
		known[image] = true
		seen = append(seen, image)
	}
	return seen
}
