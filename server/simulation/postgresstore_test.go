package simulation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// postgresStore is a database for one schedule.
type postgresStore struct {
	*database
	w *world

	mu        sync.Mutex // held for the time of a call, and until the checker knows what it did
	processes []*process
	known     map[string]gitops.Update // as the tables had them when they were read last
}

func (d *database) newStore(w *world) store {
	s := &postgresStore{database: d, w: w}
	s.bringBack(d.empty, "")
	s.forgetProofKeys()
	return s
}

// bringBack puts the tables back, and then runs a statement on them.
func (s *postgresStore) bringBack(c copies, then string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do(func(ctx context.Context) error {
		if err := s.restore(ctx, c); err != nil {
			return err
		}
		_, err := s.conn.Exec(ctx, then)
		return err
	})
	s.known = make(map[string]gitops.Update)
	s.look()
}

// do is run for what must not fail. The lock is held.
func (s *postgresStore) do(work func(context.Context) error) {
	if err := s.run(s.w.storeTime(), work); err != nil {
		s.w.check.violated("PostgreSQL: %v", err)
	}
}

func (s *postgresStore) backup() (restore func(byOperator bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c copies
	s.do(func(ctx context.Context) (err error) {
		c, err = s.database.backup(ctx)
		return err
	})
	return func(byOperator bool) {
		if byOperator {
			s.bringBack(c, afterRestore)
		} else {
			s.bringBack(c, "")
		}
	}
}

// people are a process of the service that is always there.
func (s *postgresStore) people() *process {
	return &process{postgresStore: s, name: "people", open: s.reader}
}

func (s *postgresStore) Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) ([]gitops.Update, string, error) {
	return s.people().Updates(ctx, f, p)
}

func (s *postgresStore) Decide(ctx context.Context, d queue.Decision) (gitops.Update, error) {
	return s.people().Decide(ctx, d)
}

func (s *postgresStore) Suspects(ctx context.Context) ([]gitops.Suspect, error) {
	return s.people().Suspects(ctx)
}

func (s *postgresStore) ClearSuspect(ctx context.Context, object string, by gitops.AuditEntry) (gitops.Suspect, error) {
	return s.people().ClearSuspect(ctx, object, by)
}

// forgetProofKeys keeps another key. It is of the time, so that a seed makes the same
// commits again; the store's own are random.
func (s *postgresStore) forgetProofKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.w.storeTime()
	k := gitops.ProofKeyOf(sha256.Sum256([]byte(at.Format(time.RFC3339Nano))), at)
	s.do(func(ctx context.Context) error {
		_, err := s.conn.Exec(ctx, `DELETE FROM proof_keys`)
		if err == nil {
			_, err = s.conn.Exec(ctx, `INSERT INTO proof_keys (id, secret, made_at) VALUES ($1, $2, $3)`, k.ID, k.Secret[:], k.MadeAt)
		}
		return err
	})
}

// change is what a call did to an update.
type change struct{ before, after gitops.Update }

// look reads all updates, in acceptance order: those that are new, and those that
// changed since the last look. The lock is held.
func (s *postgresStore) look() (added []gitops.Update, changed []change) {
	var all []gitops.Update
	s.do(func(ctx context.Context) error {
		for cursor := ""; ; {
			page, next, err := s.reader.Updates(ctx, queue.UpdateFilter{}, queue.Page{Cursor: cursor, Limit: 1000})
			if all = append(all, page...); err != nil || next == "" {
				return err
			}
			cursor = next
		}
	})
	slices.Reverse(all)
	was := s.known
	s.known = make(map[string]gitops.Update, len(all))
	for _, u := range all {
		before, known := was[u.ID]
		switch {
		case !known:
			added = append(added, u)
		case isChanged(before, u):
			changed = append(changed, change{before, u})
		}
		if known && !isSame(before, u) {
			s.w.check.violated("the store has made %+v of %+v", u, before)
		}
		s.known[u.ID] = u
		delete(was, u.ID)
	}
	for id := range was {
		s.w.check.violated("the store has lost update %s", id)
	}
	return added, changed
}

// isChanged reports whether something was reported of an update, or decided. A block
// that has lifted by itself is no change.
func isChanged(before, after gitops.Update) bool {
	return after.State != before.State || after.Attempts != before.Attempts || !after.RetriedAt.Equal(before.RetriedAt) ||
		(after.CancelRequest == nil) != (before.CancelRequest == nil)
}

// isSame reports whether two states of an update have in common what never changes.
func isSame(a, b gitops.Update) bool {
	return a.Sequence == b.Sequence && a.Environment == b.Environment && a.App == b.App && a.Tag == b.Tag &&
		a.AcceptedAt.Equal(b.AcceptedAt) && a.EventTime.Equal(b.EventTime) && a.Recovered == b.Recovered
}

// unexpected reports whether an error is one of the machinery: nothing is wrong with
// this server.
func unexpected(err error) bool {
	code := gitops.CodeOf(err)
	return err != nil && code != gitops.Conflict && code != gitops.NotFound && code != gitops.Invalid
}

// laneRow is a lane as the table has it.
func (s *postgresStore) laneRow(ctx context.Context, name string) (row string, err error) {
	err = s.conn.QueryRow(ctx, `SELECT coalesce((SELECT l::text FROM lanes l WHERE l.name = $1), '')`, name).Scan(&row)
	return row, err
}

// ask makes one call by a process, and then tells the checker of it.
func ask[T any](p *process, name string, call func(context.Context, *postgres.Store) (T, error), then func(T, error)) (answer T, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.do(func(ctx context.Context) error {
		if err = p.ready(ctx); err == nil {
			answer, err = call(ctx, p.open)
		}
		if unexpected(err) {
			return fmt.Errorf("%s by %s: %w", name, p.name, err)
		}
		return nil
	})
	if then != nil {
		then(answer, err)
	}
	return answer, err
}
