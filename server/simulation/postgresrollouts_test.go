package simulation

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

func (p *process) ReportRollouts(_ context.Context, l queue.Lease, reports []queue.RolloutReport) ([]gitops.Rollout, error) {
	return ask(p, "ReportRollouts", func(ctx context.Context, s *postgres.Store) ([]gitops.Rollout, error) {
		return s.ReportRollouts(ctx, l, reports)
	}, func(_ []gitops.Rollout, err error) {
		p.w.check.fenced("ReportRollouts", l, gitops.CodeOf(err) != gitops.Conflict)
		p.changed(l)
	})
}

func (p *process) OpenRollouts(context.Context) ([]gitops.Update, error) {
	return ask(p, "OpenRollouts", func(ctx context.Context, s *postgres.Store) ([]gitops.Update, error) { return s.OpenRollouts(ctx) }, nil)
}

func (p *process) Changes(_ context.Context, after string, limit int) ([]queue.Change, error) {
	return ask(p, "Changes", func(ctx context.Context, s *postgres.Store) ([]queue.Change, error) {
		return s.Changes(ctx, after, limit)
	}, nil)
}

func (p *process) Latest(context.Context) (string, error) {
	return ask(p, "Latest", func(ctx context.Context, s *postgres.Store) (string, error) { return s.Latest(ctx) }, nil)
}
