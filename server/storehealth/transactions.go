package storehealth

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// watchTransactions looks for transactions of others that keep old versions of rows.
func (m *Monitor) watchTransactions(ctx context.Context, store queue.TransactionWatcher) {
	for {
		m.lookForTransactions(ctx, store)
		if !sleep(ctx, transactionsEvery) {
			return
		}
	}
}

func (m *Monitor) lookForTransactions(ctx context.Context, store queue.TransactionWatcher) {
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	found, err := store.OldTransactions(ctx, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.oldest = nil
		return
	}
	m.oldest = new(time.Time)
	named := make(map[queue.OldTransaction]bool)
	for i, t := range found {
		if i == 0 {
			*m.oldest = t.Since
		}
		age := time.Since(t.Since)
		if t.State = ""; age < oldAfter { // a session's state changes while it is the same transaction
			continue
		}
		if named[t] = true; !m.old[t] {
			m.logTransaction(found[i], age)
		}
	}
	for t := range m.old {
		if !named[t] {
			m.logger.Info("the transaction that kept old versions of rows has ended", slog.String("kind", t.Kind), slog.String("name", t.Name))
		}
	}
	m.old = named
}

// logTransaction names it, so that a person can end it. What it asks for is not said: it
// may hold secrets of others.
func (m *Monitor) logTransaction(t queue.OldTransaction, age time.Duration) {
	m.logger.Warn("another program's transaction keeps old versions of rows in the store's database, which slows it down in time",
		slog.String("kind", t.Kind), slog.String("name", t.Name), slog.String("user", t.User), slog.String("application", t.Application),
		slog.String("state", t.State), slog.String("age", age.Round(time.Second).String()))
}
