package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const suspects = `SELECT object, kind, path, holder, at, deaths FROM suspects`

func scanSuspect(r row) gitops.Suspect {
	return gitops.Suspect{
		ParsedObject: gitops.ParsedObject{Object: r.text(0), Kind: gitops.ParsedKind(r.text(1)), Path: r.text(2)},
		Holder:       r.text(3), At: r.time(4), Deaths: int(r.number(5)),
	}
}

// countDeaths makes suspects of what the process before was parsing when it died. The
// lock says that it did.
func countDeaths(c *connection) error {
	const count = `INSERT INTO suspects (object, kind, path, holder, at, deaths) SELECT object, kind, path, holder, at, 1 FROM parsing WHERE true ORDER BY object, holder
		ON CONFLICT DO UPDATE SET kind = excluded.kind, path = excluded.path, holder = excluded.holder, at = excluded.at, deaths = deaths + 1`
	for _, text := range []string{`BEGIN IMMEDIATE`, count, `DELETE FROM parsing`, `COMMIT`} {
		if err := c.exec(text); err != nil {
			return err
		}
	}
	return nil
}

// BeginParsing implements [queue.Parsing].
func (s *Store) BeginParsing(ctx context.Context, holder string, objects []gitops.ParsedObject, deaths int) (left []gitops.Suspect, err error) {
	const note = `INSERT INTO parsing (object, kind, path, holder, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET kind = excluded.kind, path = excluded.path, at = excluded.at`
	err = s.writer.do(ctx, func(tx *tx) error {
		left = nil // a request may run again, after one of its group failed
		for _, o := range objects {
			var known gitops.Suspect
			suspect, err := tx.one(context.Background(), suspects+` WHERE object = ?`, []any{o.Object}, func(r row) { known = scanSuspect(r) })
			if err != nil {
				return err
			}
			if suspect && known.Deaths >= deaths {
				left = append(left, known)
				continue
			}
			if err := tx.exec(note, o.Object, string(o.Kind), o.Path, holder, tx.now.UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return left, nil
}

// EndParsing implements [queue.Parsing].
func (s *Store) EndParsing(ctx context.Context, holder string, objects []string) error {
	return s.writer.do(ctx, func(tx *tx) error {
		for _, object := range objects {
			if err := tx.exec(`DELETE FROM parsing WHERE object = ? AND holder = ?`, object, holder); err != nil {
				return err
			}
			if err := tx.exec(`DELETE FROM suspects WHERE object = ?`, object); err != nil {
				return err
			}
		}
		return nil
	})
}

// Suspects implements [queue.Parsing].
func (s *Store) Suspects(ctx context.Context) (found []gitops.Suspect, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		return readSuspects(ctx, c, func(suspect gitops.Suspect) error { found = append(found, suspect); return nil })
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func readSuspects(ctx context.Context, c *connection, give func(gitops.Suspect) error) error {
	return c.query(ctx, suspects+` ORDER BY kind, path, object`, nil, func(r row) error { return give(scanSuspect(r)) })
}

// ClearSuspect implements [queue.Parsing].
func (s *Store) ClearSuspect(ctx context.Context, object string, by gitops.AuditEntry) (cleared gitops.Suspect, err error) {
	err = s.writer.do(ctx, func(tx *tx) error {
		found, err := tx.one(context.Background(), suspects+` WHERE object = ?`, []any{object}, func(r row) { cleared = scanSuspect(r) })
		if err == nil && !found {
			err = queue.ErrNoSuspect(object)
		}
		if err != nil {
			return err
		}
		if err := tx.exec(`DELETE FROM suspects WHERE object = ?`, object); err != nil {
			return err
		}
		return tx.appendAudit(queue.ClearEntry(cleared, by))
	})
	if err != nil {
		return gitops.Suspect{}, err
	}
	return cleared, nil
}

func (e *export) suspects() error {
	return readSuspects(e.ctx, e.c, func(s gitops.Suspect) error { return e.give(queue.Entry{Suspect: &s}) })
}
