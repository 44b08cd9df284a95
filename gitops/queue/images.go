package queue

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Images remembers which images were seen, for ever: a tag that names another image than
// before is known, whatever was pruned since. Safe for concurrent use.
//
// What is accepted and what is written is recorded with it, in its transaction: Accept
// records the images of a delivery of kind push or poll that has a digest, and Report those
// of the transitions that have Found.
type Images interface {
	// SeenImages returns what is recorded of a repository's tags, by tag and then in the order
	// in which it was recorded. Of tags that are not known there is nothing. It is one read.
	SeenImages(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error)

	// RecordImages records images in one transaction. Of a tag the first digest stays: what
	// has another is left out, unless it is Named, and a tag that was known without a digest
	// gets its first. What is recorded already is no error, and changes nothing.
	RecordImages(ctx context.Context, seen []gitops.SeenImage) error
}
