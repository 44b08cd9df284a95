package simulation

import (
	"context"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// pollLink is the store as a replica's poll knows it. Each of its calls has a sequence of its
// own: others of the replica make the same at the same moments.
type pollLink struct{ *storeLink }

// asPoll makes one call of a poll's. Whoever has ended draws nothing any more.
func asPoll[T any](ctx context.Context, l pollLink, name string, work func() (T, error)) (T, error) {
	if ctx.Err() != nil || l.isDead() {
		var none T
		return none, errStoreAway
	}
	return over(ctx, l.storeLink, name+" by the poll", work)
}

func (l pollLink) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) ([]queue.Lease, error) {
	claimed, err := asPoll(ctx, l, "Claim", func() ([]queue.Lease, error) { return l.store.Claim(context.Background(), holder, names, ttl) })
	l.check.leads(l.name, len(claimed) > 0)
	return claimed, err
}

func (l pollLink) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) ([]queue.Lease, error) {
	return asPoll(ctx, l, "Extend", func() ([]queue.Lease, error) { return l.store.Extend(context.Background(), leases, ttl) })
}

func (l pollLink) Release(ctx context.Context, lease queue.Lease, clean bool) error {
	l.check.leads(l.name, false)
	_, err := asPoll(ctx, l, "Release", func() (struct{}, error) { return struct{}{}, l.store.Release(context.Background(), lease, clean) })
	return err
}

func (l pollLink) Checkpoint(ctx context.Context, name string) (string, error) {
	value, err := asPoll(ctx, l, "Checkpoint "+name, func() (string, error) { return l.store.Checkpoint(context.Background(), name) })
	if err == nil {
		l.check.scans(l.name, strings.TrimPrefix(name, queue.PollCheckpoint), value == "")
	}
	return value, err
}

func (l pollLink) SetCheckpoint(ctx context.Context, name, value string) error {
	repository := strings.TrimPrefix(name, queue.PollCheckpoint)
	completed := l.check.completes(l.name, repository)
	_, err := asPoll(ctx, l, "SetCheckpoint "+name, func() (struct{}, error) {
		err := l.store.SetCheckpoint(context.Background(), name, value)
		if err == nil {
			l.check.completed(repository, completed)
		}
		return struct{}{}, err
	})
	return err
}

func (l pollLink) ExistingIDs(ctx context.Context, source string, ids []string) ([]string, error) {
	return asPoll(ctx, l, "ExistingIDs", func() ([]string, error) { return l.store.ExistingIDs(context.Background(), source, ids) })
}

func (l pollLink) Head(ctx context.Context, environment, app string) (gitops.Head, error) {
	return asPoll(ctx, l, "Head of "+app, func() (gitops.Head, error) {
		head, err := l.store.Head(context.Background(), environment, app)
		if err == nil {
			l.check.readHead(l.name, release{environment, app})
		}
		return head, err
	})
}

func (l pollLink) SeenImages(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error) {
	return asPoll(ctx, l, "SeenImages of "+repository, func() ([]gitops.SeenImage, error) {
		seen, err := l.store.SeenImages(context.Background(), repository, tags)
		if err == nil {
			l.check.remembers(repository, tags, seen)
			l.check.readSeen(l.name, repository, tags)
		}
		return seen, err
	})
}

func (l pollLink) RecordImages(ctx context.Context, seen []gitops.SeenImage) error {
	_, err := asPoll(ctx, l, "RecordImages of "+seen[0].Repository, func() (struct{}, error) {
		err := l.store.RecordImages(context.Background(), seen)
		if err == nil {
			l.check.recorded(seen)
		}
		return struct{}{}, err
	})
	return err
}

func (p *process) Head(_ context.Context, environment, app string) (gitops.Head, error) {
	return ask(p, "Head", func(ctx context.Context, s *postgres.Store) (gitops.Head, error) {
		return s.Head(ctx, environment, app)
	}, nil)
}

func (p *process) RecordImages(_ context.Context, seen []gitops.SeenImage) error {
	_, err := ask(p, "RecordImages", func(ctx context.Context, s *postgres.Store) (struct{}, error) {
		return struct{}{}, s.RecordImages(ctx, seen)
	}, nil)
	return err
}
