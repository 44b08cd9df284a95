package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const suspectColumns = `object, kind, path, holder, at, deaths`

func scanSuspect(row pgx.CollectableRow) (s gitops.Suspect, err error) {
	err = row.Scan(&s.Object, &s.Kind, &s.Path, &s.Holder, &s.At, &s.Deaths)
	s.At = s.At.UTC()
	return s, err
}

// BeginParsing implements [queue.Parsing]. The notes are bound to the store's session,
// as its leases are.
func (s *Store) BeginParsing(ctx context.Context, holder string, objects []gitops.ParsedObject, deaths int) (left []gitops.Suspect, err error) {
	const begin = `SELECT ` + suspectColumns + ` FROM begin_parsing($1, $2, $3, $4, $5, $6, $7)`
	names, kinds, paths := make([]string, len(objects)), make([]string, len(objects)), make([]string, len(objects))
	for i, o := range objects {
		names[i], kinds[i], paths[i] = clean(o.Object), string(o.Kind), clean(o.Path)
	}
	err = s.call(ctx, func(ctx context.Context) error {
		args := []any{s.nowArg(), clean(holder), s.session.keyArg(), names, kinds, paths, deaths}
		left, err = rows(ctx, s.pool, begin, args, scanSuspect)
		return err
	})
	if err != nil {
		return nil, err
	}
	return left, nil
}

// EndParsing implements [queue.Parsing].
func (s *Store) EndParsing(ctx context.Context, holder string, objects []string) error {
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `SELECT end_parsing($1, $2)`, clean(holder), texts(objects))
		return err
	})
}

// Suspects implements [queue.Parsing].
func (s *Store) Suspects(ctx context.Context) (found []gitops.Suspect, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		found, err = rows(ctx, s.pool, `SELECT `+suspectColumns+` FROM all_suspects()`, nil, scanSuspect)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// ClearSuspect implements [queue.Parsing].
func (s *Store) ClearSuspect(ctx context.Context, object string, by gitops.AuditEntry) (cleared gitops.Suspect, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT count_deaths()`); err != nil {
				return err
			}
			found, err := rows(ctx, tx, `DELETE FROM suspects WHERE object = $1 RETURNING `+suspectColumns, []any{clean(object)}, scanSuspect)
			if err == nil && len(found) == 0 {
				err = queue.ErrNoSuspect(object)
			}
			if err != nil {
				return err
			}
			cleared = found[0]
			entry, err := json.Marshal([]auditArg{auditArgOf(queue.ClearEntry(cleared, by))})
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `SELECT add_audit($1, $2)`, s.nowArg(), string(entry))
			return err
		})
	})
	if err != nil {
		return gitops.Suspect{}, err
	}
	return cleared, nil
}

// suspects gives them as they were counted last: an export changes nothing.
func (e *export) suspects() error {
	return e.each(`SELECT `+suspectColumns+` FROM suspects ORDER BY kind COLLATE "C", path COLLATE "C", object COLLATE "C"`, func(row pgx.CollectableRow) (queue.Entry, error) {
		s, err := scanSuspect(row)
		return queue.Entry{Suspect: &s}, err
	})
}
