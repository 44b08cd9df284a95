package lane

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Holds says what holds updates: the holds in the store and the freezes of the
// configuration. Safe for concurrent use. An error is an outage of the store.
type Holds interface {
	// Judge returns what holds each of the updates now, in their order; nil for what
	// nothing holds. An error means that it is not known.
	Judge(ctx context.Context, updates []gitops.Update) ([][]gitops.Block, error)

	// HandEdited is told that the file of an update's app was edited by hand. It pins the
	// app to the tag that the file has, once for each commit: after that pin has ended
	// it places no other.
	HandEdited(ctx context.Context, u gitops.Update, e gitops.HandEdit) error

	// Rejudge makes ready what was held in an environment by freezes that have changed
	// since. It is called by the lane's holder, before it takes anything and after each
	// change of the configuration.
	Rejudge(ctx context.Context, environment string) error
}

// noHolds holds nothing.
type noHolds struct{}

func (noHolds) Judge(_ context.Context, updates []gitops.Update) ([][]gitops.Block, error) {
	return make([][]gitops.Block, len(updates)), nil
}

func (noHolds) HandEdited(context.Context, gitops.Update, gitops.HandEdit) error { return nil }

func (noHolds) Rejudge(context.Context, string) error { return nil }
