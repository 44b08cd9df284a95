package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// hints are what tells this replica's and the other replicas' waiters of a change.
//
// The server is not asked to notify in the transaction of the change: it would take one
// lock of the whole cluster before the commit and keep it until that is on the disk.
// A goroutine asks for it afterwards, in a transaction that waits for no disk, and for
// all that happened while it was on its way at once. The channel's name has the schema in
// it, so stores in one database do not wake each other.
type hints struct {
	store    *Store
	channel  string
	notifier queue.Notifier
	changed  queue.Broadcast

	mu      sync.Mutex
	unsent  map[string]bool // environments with something to take; "" stands for any change
	arrived chan struct{}   // holds a value when unsent may hold some

	cancel context.CancelFunc
	ending sync.WaitGroup
}

// channelOf is the name of the schema's own channel, by the oid of its counter.
func channelOf(ctx context.Context, on querier) (channel string, err error) {
	err = on.QueryRow(ctx, `SELECT 'tallyman_' || 'counter'::regclass::oid`).Scan(&channel)
	return channel, err
}

func startHints(s *Store, channel string) *hints {
	ctx, cancel := context.WithCancel(context.Background())
	h := &hints{store: s, channel: channel, unsent: make(map[string]bool), arrived: make(chan struct{}, 1), cancel: cancel}
	h.ending.Go(func() { h.run(ctx) })
	return h
}

// stop ends the goroutine. What it has not sent is found by looking.
func (h *hints) stop() {
	h.cancel()
	h.ending.Wait()
}

// local tells this replica's waiters.
func (h *hints) local(environment string) {
	if environment != "" {
		h.notifier.Wake(environment)
	}
	h.changed.Send()
}

// all tells all of this replica's waiters.
func (h *hints) all() {
	h.notifier.WakeAll()
	h.changed.Send()
}

// send tells every replica of a change, and of the environments that have something to
// take by it.
func (h *hints) send(environments ...string) {
	h.wake(environments)
	h.changed.Send()
	h.notify("")
}

// wake tells the waiters for the environments, on every replica.
func (h *hints) wake(environments []string) {
	for _, e := range environments {
		h.notifier.Wake(e)
	}
	h.notify(environments...)
}

// notify has the other replicas told; "" stands for any change.
func (h *hints) notify(environments ...string) {
	h.mu.Lock()
	for _, e := range environments {
		h.unsent[e] = true
	}
	h.mu.Unlock()
	select {
	case h.arrived <- struct{}{}:
	default:
	}
}

func (h *hints) run(ctx context.Context) {
	const notify = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, e) FROM unnest($2::text[]) AS e`
	for {
		select {
		case <-h.arrived:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		environments := slices.Collect(maps.Keys(h.unsent))
		clear(h.unsent)
		h.mu.Unlock()
		// An error loses the hints, as a process that dies does.
		_ = h.store.call(ctx, func(ctx context.Context) error {
			_, err := h.store.pool.Exec(ctx, notify, h.channel, environments)
			return err
		})
	}
}
