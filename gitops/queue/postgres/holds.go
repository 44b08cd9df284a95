package postgres

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func errNoHolds() error {
	return gitops.Errorf(gitops.Unavailable, "this store keeps no holds yet")
}

// HoldsInForce implements [queue.Holds].
func (s *Store) HoldsInForce(context.Context) (queue.InForce, error) {
	return queue.InForce{}, errNoHolds()
}

// HoldsRevision implements [queue.Holds].
func (s *Store) HoldsRevision(context.Context) (int64, error) { return 0, errNoHolds() }

// Place implements [queue.Holds].
func (s *Store) Place(context.Context, queue.Placement) (queue.Placed, error) {
	return queue.Placed{}, errNoHolds()
}

// Lift implements [queue.Holds].
func (s *Store) Lift(context.Context, queue.Lifting) (queue.Lifted, error) {
	return queue.Lifted{}, errNoHolds()
}

// Rejudge implements [queue.Holds].
func (s *Store) Rejudge(context.Context, gitops.BlockKind, []string) error { return errNoHolds() }

// HoldsListed implements [queue.Holds].
func (s *Store) HoldsListed(context.Context, queue.HoldFilter, queue.Page) ([]gitops.Hold, string, error) {
	return nil, "", errNoHolds()
}
