package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

const (
	// auditLook is how many entries a page looks at where a filter has no index.
	auditLook = 1000
	// clockSlack is how far a clock may have been set back without an entry being
	// missed at the edge of a time: entries have the order of their transactions, and
	// the edge is searched for by it.
	clockSlack = 24 * time.Hour
)

// auditColumns are what scanAudit reads, of audit and of orders alike.
const auditColumns = `a.sequence, a.at, a.act, a.principal, a.actor, a.credential, a.remote, a.asked, a.rule, a.environment, a.app,
	a.update_id, a.delivery, a.reason, a.was, a.became, a.config`

func scanAudit(row pgx.CollectableRow) (e gitops.AuditEntry, err error) {
	err = row.Scan(&e.Sequence, &e.At, &e.Act, &e.Principal, &e.Actor, &e.Credential, &e.Remote, &e.Right, &e.Rule, &e.Environment, &e.App,
		&e.Update, &e.Delivery, &e.Reason, &e.Before, &e.After, &e.Config)
	e.At = e.At.UTC()
	return e, err
}

// auditArg is an entry as the function add_audit takes it.
type auditArg struct {
	At          *time.Time   `json:"at"`
	Act         gitops.Act   `json:"act"`
	Principal   string       `json:"principal"`
	Actor       string       `json:"actor"`
	Credential  string       `json:"credential"`
	Remote      string       `json:"remote"`
	Right       gitops.Right `json:"right"`
	Rule        string       `json:"rule"`
	Environment string       `json:"environment"`
	App         string       `json:"app"`
	Update      string       `json:"update"`
	Delivery    string       `json:"delivery"`
	Reason      string       `json:"reason"`
	Before      string       `json:"before"`
	After       string       `json:"after"`
	Config      string       `json:"config"`
}

func auditArgOf(e gitops.AuditEntry) auditArg {
	return auditArg{
		stored(rounded(e.At)), e.Act, clean(e.Principal), clean(e.Actor), clean(e.Credential), clean(e.Remote), e.Right, clean(e.Rule),
		clean(e.Environment), clean(e.App), clean(e.Update), clean(e.Delivery), clean(e.Reason), clean(e.Before), clean(e.After), clean(e.Config),
	}
}

// AppendAudit implements [queue.Audit].
func (s *Store) AppendAudit(ctx context.Context, entries []gitops.AuditEntry) error {
	all := make([]auditArg, len(entries))
	for i, e := range entries {
		all[i] = auditArgOf(e)
	}
	args, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `SELECT add_audit($1, $2)`, s.nowArg(), string(args))
		return err
	})
}

// AuditEntries implements [queue.Audit]. Its cursor is the last entry's sequence.
func (s *Store) AuditEntries(ctx context.Context, f queue.AuditFilter, p queue.Page) (found []gitops.AuditEntry, next string, err error) {
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	if f.Principal != "" && f.Within == nil {
		f.Within = &queue.Scope{Principal: f.Principal}
	}
	look := p.Limit + 1
	if f.Act != "" || f.Actor != "" || f.Principal != "" || !f.Since.IsZero() || !f.Until.IsZero() {
		look = max(look, auditLook)
	}
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if !f.Until.IsZero() {
			var edge int64
			if err := tx.QueryRow(ctx, `SELECT sequence_at($1)`, f.Until.Add(clockSlack)).Scan(&edge); err != nil {
				return err
			}
			before = min(before, edge)
		}
		listed, err := auditSequences(ctx, tx, f, before, look)
		if err != nil {
			return err
		}
		found, next, err = auditPage(ctx, tx, f, listed, p.Limit, look)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// auditPage reads the entries that were listed, and keeps those that are meant.
func auditPage(ctx context.Context, tx pgx.Tx, f queue.AuditFilter, l listing.Part, limit, look int) (found []gitops.AuditEntry, next string, err error) {
	const text = `SELECT ` + auditColumns + ` FROM unnest($1::bigint[]) AS n CROSS JOIN LATERAL (
		(SELECT * FROM orders WHERE sequence = n LIMIT 1) UNION ALL (SELECT * FROM audit WHERE sequence = n LIMIT 1)) AS a ORDER BY a.sequence DESC`
	sequences, next := l.Cut(look)
	entries, err := rows(ctx, tx, text, []any{sequences}, scanAudit)
	if err != nil {
		return nil, "", err
	}
	for _, e := range entries {
		switch {
		case !f.Since.IsZero() && e.At.Before(f.Since.Add(-clockSlack)):
			return found, "", nil
		case !f.Matches(e):
			continue
		case len(found) == limit:
			return found, listing.Cursor(found[limit-1].Sequence), nil
		}
		found = append(found, e)
	}
	return found, next, nil
}

// auditSequences returns the newest entries that f may mean and that are older than
// before.
func auditSequences(ctx context.Context, tx pgx.Tx, f queue.AuditFilter, before int64, limit int) (found listing.Part, err error) {
	const all = `SELECT sequence FROM audit WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2`
	const inAreas = `SELECT sequence FROM audit_in($1, $2, $3, $4)`
	const sent = `SELECT sequence FROM audit WHERE principal = $3 AND sequence + 0 < $1 ORDER BY sequence + 0 DESC LIMIT $2`
	if f.Act == "" || f.Act == gitops.ActOrder {
		found, err = updateSequences(ctx, tx, queue.UpdateFilter{Environment: f.Environment, App: f.App, Within: f.Within}, before, limit)
		if err != nil {
			return listing.Part{}, err
		}
	}
	text, args := all, []any{before, limit}
	if f.Within != nil || f.Environment != "" || f.App != "" {
		environments, apps := areaArgs(f.Within.Within(f.Environment, f.App))
		text, args = inAreas, append(args, environments, apps)
	}
	others, err := rows(ctx, tx, text, args, pgx.RowTo[int64])
	if err != nil {
		return listing.Part{}, err
	}
	found.Numbers = append(found.Numbers, others...)
	if sender := f.Within.Sender(); sender != "" {
		own, err := rows(ctx, tx, sent, []any{before, limit, clean(sender)}, pgx.RowTo[int64])
		if err != nil {
			return listing.Part{}, err
		}
		found = found.And(listing.Range(own, limit))
	}
	return found, nil
}
