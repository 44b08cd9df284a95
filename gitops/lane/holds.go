package lane

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Holds says what holds updates: the holds in the store and the freezes of the
// configuration.
type Holds interface {
	// Judge returns what holds each of the updates now, in their order; nil for what
	// nothing holds. An error means that it is not known, and an outage of the store.
	Judge(ctx context.Context, updates []gitops.Update) ([][]gitops.Block, error)

	// HandEdited is told that the file of an update's app was edited by hand. It pins the
	// app to the tag that the file has, once for each commit, and reports whether that pin
	// is in force.
	HandEdited(ctx context.Context, u gitops.Update, e gitops.HandEdit) (pinned bool, err error)
}
