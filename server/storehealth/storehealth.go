// Package storehealth watches the queue's store: whether it answers, how much room it
// has, and what in its database slows it down. It is told of every call's end, and asks
// by itself where nobody does. What it knows is read without waiting for the store.
package storehealth

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	probeEvery = time.Second     // how often it is looked whether the store is to be asked
	probeIdle  = 5 * time.Second // so long after the last answer it is asked, and at once after a failure
	probeTime  = 3 * time.Second // an answer that takes longer is none
	// failureHolds is how long a failure counts, whatever is answered after it: a store
	// that refuses one call and answers the next is not well.
	failureHolds = 3 * time.Second

	fileEvery     = time.Second     // how often the room of a file is measured
	databaseEvery = 5 * time.Minute // and that of a database, which looks at all of its files
	measureTime   = 10 * time.Second
	// enoughFor is how long there must be room again before deliveries that became no
	// updates are kept: what they take, and what the WAL takes and gives back, is no news.
	enoughFor = time.Minute

	transactionsEvery = 30 * time.Second
	// oldAfter is the age at which the log names a transaction.
	oldAfter = 5 * time.Minute
)

// Store is what is watched of a queue. It may be a [queue.TransactionWatcher], too.
type Store interface {
	queue.Meter
	Ping(ctx context.Context) error
	Latest(ctx context.Context) (cursor string, err error)
}

// Monitor knows how the store does. Safe for concurrent use.
type Monitor struct {
	logger *slog.Logger

	mu     sync.Mutex
	calls  map[queue.CallKind]*answers
	usage  *queue.Usage // nil while it is not known
	scarce bool
	enough time.Time                     // since when there is room again, while scarce
	old    map[queue.OldTransaction]bool // those that the log has named
	oldest *time.Time                    // when the oldest transaction began; nil where none is looked for
}

// answers are how the calls of a kind ended.
type answers struct {
	ok       bool // the last one
	at       time.Time
	failedAt time.Time // the last that failed
}

// New makes a monitor of a store that was opened just now.
func New(logger *slog.Logger) *Monitor {
	now := time.Now()
	return &Monitor{logger: logger, calls: map[queue.CallKind]*answers{
		queue.Reading: {ok: true, at: now}, queue.Writing: {ok: true, at: now},
	}}
}

// Answered is told of a call's end; see the stores' recorders.
func (m *Monitor) Answered(kind queue.CallKind, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.calls[kind]
	a.ok, a.at = ok, time.Now()
	if !ok {
		a.failedAt = a.at
	}
}

// Up reports whether the store takes deliveries and answers questions.
func (m *Monitor) Up() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.usage; u != nil && u.File != nil && u.File.Room == queue.RoomReserved {
		return false
	}
	for _, a := range m.calls {
		if !a.ok || !a.failedAt.IsZero() && time.Since(a.failedAt) < failureHolds {
			return false
		}
	}
	return true
}

// Usage is the room that was last measured; false while it is not known.
func (m *Monitor) Usage() (u queue.Usage, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.usage == nil {
		return queue.Usage{}, false
	}
	return *m.usage, true
}

// Spare reports whether there is room for deliveries that became no updates.
func (m *Monitor) Spare() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.scarce
}

// OldestTransaction is how old the oldest transaction of others is that keeps old versions
// of rows; false where the store is not shared, or did not answer.
func (m *Monitor) OldestTransaction() (age time.Duration, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.oldest == nil {
		return 0, false
	}
	if m.oldest.IsZero() {
		return 0, true
	}
	return max(0, time.Since(*m.oldest)), true
}

// Run watches the store until ctx ends.
func (m *Monitor) Run(ctx context.Context, store Store) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { m.probe(ctx, queue.Writing, store.Ping) })
	all.Go(func() {
		m.probe(ctx, queue.Reading, func(ctx context.Context) error {
			_, err := store.Latest(ctx)
			return err
		})
	})
	all.Go(func() { m.measureOften(ctx, store) })
	if watcher, shared := store.(queue.TransactionWatcher); shared {
		all.Go(func() { m.watchTransactions(ctx, watcher) })
	}
}

// probe asks the store where nobody else has for a while, or where it failed. The store
// tells how that ended, as of every call; what it does not tell is that there was no
// answer in time.
func (m *Monitor) probe(ctx context.Context, kind queue.CallKind, ask func(context.Context) error) {
	for sleep(ctx, probeEvery) {
		if !m.due(kind) {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, probeTime)
		late := context.AfterFunc(asking, func() {
			if ctx.Err() == nil {
				m.Answered(kind, false)
			}
		})
		_ = ask(asking) // the store's recorder has been told
		late()
		cancel()
	}
}

func (m *Monitor) due(kind queue.CallKind) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.calls[kind]
	return !a.ok || time.Since(a.at) >= probeIdle
}

// sleep waits for d, and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
