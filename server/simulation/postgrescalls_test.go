package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// A process's calls, and what the checker is told of each: what the store has
// answered, and what its tables then hold.

func (p *process) Accept(_ context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	return p.take("Accept", func(ctx context.Context, s *postgres.Store) (a acceptance, err error) {
		a.stored, a.duplicate, err = s.Accept(ctx, d)
		return a, err
	})
}

// take makes a call that brings updates into the store.
func (p *process) take(name string, call func(context.Context, *postgres.Store) (acceptance, error)) (gitops.Delivery, bool, error) {
	a, err := ask(p, name, call, func(a acceptance, err error) {
		added, changed := p.look()
		if err != nil {
			return
		}
		p.w.check.accepted(a.stored, a.duplicate)
		if a.duplicate {
			a.stored.Updates = nil
		}
		same := func(a, b gitops.Update) bool { return a.ID == b.ID && isSame(a, b) && !isChanged(a, b) }
		if len(changed) > 0 || !slices.EqualFunc(added, a.stored.Updates, same) {
			p.w.check.violated("the store answered with %+v, and has added %+v and changed %+v", a.stored, added, changed)
		}
	})
	return a.stored, a.duplicate, err
}

func (p *process) Claim(_ context.Context, holder string, names []string, ttl time.Duration) ([]queue.Lease, error) {
	return ask(p, "Claim", func(ctx context.Context, s *postgres.Store) ([]queue.Lease, error) {
		return s.Claim(ctx, holder, names, ttl)
	}, func(claimed []queue.Lease, err error) {
		for _, l := range claimed {
			p.w.check.claimed(l)
		}
	})
}

func (p *process) Extend(_ context.Context, leases []queue.Lease, ttl time.Duration) ([]queue.Lease, error) {
	return ask(p, "Extend", func(ctx context.Context, s *postgres.Store) ([]queue.Lease, error) {
		return s.Extend(ctx, leases, ttl)
	}, func(kept []queue.Lease, err error) {
		for _, l := range leases {
			p.w.check.fenced("Extend", l, slices.ContainsFunc(kept, func(k queue.Lease) bool { return k.Name == l.Name && k.Token == l.Token }))
		}
	})
}

// Release is no error for a lease that is no longer the caller's: whether it was shows
// in the lane.
func (p *process) Release(_ context.Context, l queue.Lease, clean bool) error {
	_, err := ask(p, "Release", func(ctx context.Context, s *postgres.Store) (released bool, err error) {
		before, err := p.laneRow(ctx, l.Name)
		if err != nil {
			return false, err
		}
		if err := s.Release(ctx, l, clean); err != nil {
			return false, err
		}
		after, err := p.laneRow(ctx, l.Name)
		return before != after, err
	}, func(released bool, err error) { p.w.check.fenced("Release", l, released) })
	return err
}

func (p *process) Take(_ context.Context, l queue.Lease, o queue.TakeOptions) ([]gitops.Update, error) {
	return ask(p, "Take", func(ctx context.Context, s *postgres.Store) ([]gitops.Update, error) { return s.Take(ctx, l, o) },
		func(_ []gitops.Update, err error) { p.w.check.fenced("Take", l, err == nil) })
}

func (p *process) Report(_ context.Context, l queue.Lease, r queue.Report) ([]gitops.Update, error) {
	return ask(p, "Report", func(ctx context.Context, s *postgres.Store) ([]gitops.Update, error) { return s.Report(ctx, l, r) },
		func(_ []gitops.Update, err error) {
			p.w.check.fenced("Report", l, gitops.CodeOf(err) != gitops.Conflict)
			p.changed(l)
		})
}

func (p *process) Decide(_ context.Context, d queue.Decision) (gitops.Update, error) {
	return ask(p, "Decide", func(ctx context.Context, s *postgres.Store) (gitops.Update, error) { return s.Decide(ctx, d) },
		func(gitops.Update, error) { p.changed(queue.Lease{}) })
}

// changed tells the checker of what a report or a decision did.
func (p *process) changed(l queue.Lease) {
	added, changed := p.look()
	for _, c := range changed {
		p.w.check.changed(l, c.before, c.after)
	}
	if len(added) > 0 {
		p.w.check.violated("the store has updates that nobody brought: %+v", added)
	}
}

// The rest changes nothing that the checker knows of.

func (p *process) Ready(_ context.Context, environments []string) ([]string, error) {
	return ask(p, "Ready", func(ctx context.Context, s *postgres.Store) ([]string, error) { return s.Ready(ctx, environments) }, nil)
}

func (p *process) Backlogs(context.Context) ([]queue.Backlog, error) {
	return ask(p, "Backlogs", func(ctx context.Context, s *postgres.Store) ([]queue.Backlog, error) { return s.Backlogs(ctx) }, nil)
}

func (p *process) ExistingIDs(_ context.Context, source string, ids []string) ([]string, error) {
	return ask(p, "ExistingIDs", func(ctx context.Context, s *postgres.Store) ([]string, error) { return s.ExistingIDs(ctx, source, ids) }, nil)
}

func (p *process) ProofKeys(context.Context) ([]gitops.ProofKey, error) {
	return ask(p, "ProofKeys", func(ctx context.Context, s *postgres.Store) ([]gitops.ProofKey, error) { return s.ProofKeys(ctx) }, nil)
}

func (p *process) Checkpoint(_ context.Context, name string) (string, error) {
	return ask(p, "Checkpoint", func(ctx context.Context, s *postgres.Store) (string, error) { return s.Checkpoint(ctx, name) }, nil)
}

func (p *process) SetCheckpoint(_ context.Context, name, value string) error {
	_, err := ask(p, "SetCheckpoint", func(ctx context.Context, s *postgres.Store) (struct{}, error) {
		return struct{}{}, s.SetCheckpoint(ctx, name, value)
	}, nil)
	return err
}

func (p *process) BeginParsing(_ context.Context, holder string, objects []gitops.ParsedObject, deaths int) ([]gitops.Suspect, error) {
	return ask(p, "BeginParsing", func(ctx context.Context, s *postgres.Store) ([]gitops.Suspect, error) {
		return s.BeginParsing(ctx, holder, objects, deaths)
	}, nil)
}

func (p *process) EndParsing(_ context.Context, holder string, objects []string) error {
	_, err := ask(p, "EndParsing", func(ctx context.Context, s *postgres.Store) (struct{}, error) {
		return struct{}{}, s.EndParsing(ctx, holder, objects)
	}, nil)
	return err
}

func (p *process) Suspects(context.Context) ([]gitops.Suspect, error) {
	return ask(p, "Suspects", func(ctx context.Context, s *postgres.Store) ([]gitops.Suspect, error) { return s.Suspects(ctx) }, nil)
}

func (p *process) ClearSuspect(_ context.Context, object string, by gitops.AuditEntry) (gitops.Suspect, error) {
	return ask(p, "ClearSuspect", func(ctx context.Context, s *postgres.Store) (gitops.Suspect, error) {
		return s.ClearSuspect(ctx, object, by)
	}, nil)
}

func (p *process) Updates(_ context.Context, f queue.UpdateFilter, at queue.Page) ([]gitops.Update, string, error) {
	found, err := ask(p, "Updates", func(ctx context.Context, s *postgres.Store) (found page, err error) {
		found.updates, found.next, err = s.Updates(ctx, f, at)
		return found, err
	}, nil)
	return found.updates, found.next, err
}

func (p *process) Update(_ context.Context, id string) (gitops.Update, error) {
	return ask(p, "Update", func(ctx context.Context, s *postgres.Store) (gitops.Update, error) { return s.Update(ctx, id) }, nil)
}

func (p *process) Heads(_ context.Context, environment string, apps []string) ([]gitops.Head, error) {
	return ask(p, "Heads", func(ctx context.Context, s *postgres.Store) ([]gitops.Head, error) {
		return s.Heads(ctx, environment, apps)
	}, nil)
}

func (p *process) Deliveries(_ context.Context, f queue.DeliveryFilter, at queue.Page) ([]gitops.Delivery, string, error) {
	type page struct {
		deliveries []gitops.Delivery
		next       string
	}
	found, err := ask(p, "Deliveries", func(ctx context.Context, s *postgres.Store) (found page, err error) {
		found.deliveries, found.next, err = s.Deliveries(ctx, f, at)
		return found, err
	}, nil)
	return found.deliveries, found.next, err
}
