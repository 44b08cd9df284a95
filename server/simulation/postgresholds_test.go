package simulation

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// A process's calls about holds. What becomes ready by them is no change of an update.

func (p *process) HoldsInForce(context.Context) (queue.InForce, error) {
	return ask(p, "HoldsInForce", func(ctx context.Context, s *postgres.Store) (queue.InForce, error) { return s.HoldsInForce(ctx) }, nil)
}

func (p *process) HoldsRevision(context.Context) (int64, error) {
	return ask(p, "HoldsRevision", func(ctx context.Context, s *postgres.Store) (int64, error) { return s.HoldsRevision(ctx) }, nil)
}

func (p *process) Place(_ context.Context, placement queue.Placement) (queue.Placed, error) {
	return ask(p, "Place", func(ctx context.Context, s *postgres.Store) (queue.Placed, error) { return s.Place(ctx, placement) },
		func(placed queue.Placed, err error) {
			p.look()
			if err == nil && placed.Order != nil {
				p.w.check.accepted(*placed.Order, placed.Duplicate)
			}
		})
}

func (p *process) Lift(_ context.Context, l queue.Lifting) (queue.Lifted, error) {
	return ask(p, "Lift", func(ctx context.Context, s *postgres.Store) (queue.Lifted, error) { return s.Lift(ctx, l) }, nil)
}

func (p *process) Rejudge(_ context.Context, kind gitops.BlockKind, environments []string) error {
	_, err := ask(p, "Rejudge", func(ctx context.Context, s *postgres.Store) (struct{}, error) {
		return struct{}{}, s.Rejudge(ctx, kind, environments)
	}, nil)
	return err
}

func (p *process) HoldsListed(_ context.Context, f queue.HoldFilter, at queue.Page) (found []gitops.Hold, next string, err error) {
	_, err = ask(p, "HoldsListed", func(ctx context.Context, s *postgres.Store) (struct{}, error) {
		found, next, err = s.HoldsListed(ctx, f, at)
		return struct{}{}, err
	}, nil)
	return found, next, err
}

func (s *postgresStore) HoldsInForce(ctx context.Context) (queue.InForce, error) {
	return s.people().HoldsInForce(ctx)
}

func (s *postgresStore) Lift(ctx context.Context, l queue.Lifting) (queue.Lifted, error) {
	return s.people().Lift(ctx, l)
}
