package postgres

import (
	"context"
	"iter"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Connections is how many of the pool's connections are in use.
func (s *Store) Connections() int { return int(s.pool.Stat().AcquiredConns()) }

// Setting is what the server's setting is on a connection of the pool.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}

// SessionKey is the key that the store's leases are bound to; 0 without a session.
func (s *Store) SessionKey() int64 { return s.session.key.Load() }

// Channel is what the store listens to.
func (s *Store) Channel() string { return s.hints.channel }

// FlushStatistics has the server count now what the pool's only connection has read.
func (s *Store) FlushStatistics(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `SELECT pg_stat_force_next_flush()`)
	return err
}

// ExportLate is Export, whose look at the schema was some time ago.
func ExportLate(ctx context.Context, a Address) iter.Seq2[queue.Entry, error] {
	return func(yield func(queue.Entry, error) bool) {
		s, err := connectTo(ctx, a)
		if err != nil {
			yield(queue.Entry{}, err)
			return
		}
		defer s.pool.Close()
		s.Export(ctx)(yield)
	}
}
