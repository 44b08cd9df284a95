package sqlite

import (
	"context"
	"math"
	"time"

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

func scanAudit(r row) gitops.AuditEntry {
	update, isText := r[11].(string)
	if !isText {
		update = r.id(11)
	}
	return gitops.AuditEntry{
		Sequence: r.number(0), At: r.time(1), Act: gitops.Act(r.text(2)), Principal: r.text(3), Actor: r.text(4), Credential: r.text(5),
		Remote: r.text(6), Right: gitops.Right(r.text(7)), Rule: r.text(8), Environment: r.text(9), App: r.text(10),
		Update: update, Delivery: r.text(12), Reason: r.text(13), Before: r.text(14), After: r.text(15), Config: r.text(16),
	}
}

// AppendAudit implements [queue.Audit].
func (s *Store) AppendAudit(ctx context.Context, entries []gitops.AuditEntry) error {
	return s.writer.run(ctx, &request{updates: len(entries), work: func(tx *tx) error {
		for _, e := range entries {
			if err := tx.appendAudit(e); err != nil {
				return err
			}
		}
		return nil
	}})
}

// appendAudit adds an entry under the next delivery's number, which no delivery gets
// then.
func (tx *tx) appendAudit(e gitops.AuditEntry) error {
	if e.At.IsZero() {
		e.At = tx.now
	}
	tx.latest.delivery++
	return tx.exec(insertAudit, auditArgs(tx.latest.delivery*sequencesEach, e)...)
}

const insertAudit = `INSERT INTO audit (sequence, at, act, principal, actor, credential, remote, asked, rule, environment, app,
	update_id, delivery, reason, was, became, config) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// auditArgs are what insertAudit takes.
func auditArgs(sequence int64, e gitops.AuditEntry) []any {
	var update any = e.Update
	if id := packID(e.Update); id != nil {
		update = id
	}
	return []any{sequence, e.At.UnixMicro(), string(e.Act), e.Principal, e.Actor, e.Credential, e.Remote,
		string(e.Right), e.Rule, e.Environment, e.App, update, e.Delivery, e.Reason, e.Before, e.After, e.Config}
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
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		if !f.Until.IsZero() {
			edge, err := sequenceAt(ctx, c, f.Until.Add(clockSlack))
			if err != nil {
				return err
			}
			before = min(before, edge)
		}
		listed, err := auditSequences(ctx, c, f, before, look)
		if err != nil {
			return err
		}
		found, next, err = auditPage(ctx, c, f, listed, p.Limit, look)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// auditPage reads the entries that were listed, and keeps those that are meant.
func auditPage(ctx context.Context, c *connection, f queue.AuditFilter, l listing.Part, limit, look int) (found []gitops.AuditEntry, next string, err error) {
	sequences, next := l.Cut(look)
	for _, sequence := range sequences {
		e, err := readAudit(ctx, c, sequence)
		switch {
		case err != nil:
			return nil, "", err
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

// readAudit reads an entry, wherever it is.
func readAudit(ctx context.Context, c *connection, sequence int64) (e gitops.AuditEntry, err error) {
	const order = `SELECT ` + auditColumns + ` FROM orders a WHERE a.sequence = ?`
	const other = `SELECT ` + auditColumns + ` FROM audit a WHERE a.sequence = ?`
	for _, text := range []string{order, other} {
		isThere, err := c.one(ctx, text, []any{sequence}, func(r row) { e = scanAudit(r) })
		if err != nil || isThere {
			return e, err
		}
	}
	return e, gitops.Errorf(gitops.Internal, "the audit has no entry %d", sequence)
}

// auditSequences returns the newest entries that f may mean and that are older than
// before.
func auditSequences(ctx context.Context, c *connection, f queue.AuditFilter, before int64, limit int) (found listing.Part, err error) {
	if f.Act == "" || f.Act == gitops.ActOrder {
		found, err = updateSequences(ctx, c, queue.UpdateFilter{Environment: f.Environment, App: f.App, Within: f.Within}, before, limit)
		if err != nil {
			return listing.Part{}, err
		}
	}
	others, err := otherSequences(ctx, c, f, before, limit)
	if err != nil {
		return listing.Part{}, err
	}
	return found.And(others), nil
}

// otherSequences is auditSequences for what is not of updates that are kept.
func otherSequences(ctx context.Context, c *connection, f queue.AuditFilter, before int64, limit int) (found listing.Part, err error) {
	const all = `SELECT sequence FROM audit WHERE sequence < ? ORDER BY sequence DESC LIMIT ?`
	const inEnvironment = `SELECT sequence FROM audit INDEXED BY audit_environments WHERE environment = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const ofApp = `SELECT sequence FROM audit INDEXED BY audit_apps WHERE environment = ? AND app = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const sent = `SELECT sequence FROM audit INDEXED BY audit_principals WHERE principal = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?`
	const nextEnvironment = `SELECT min(environment) FROM audit INDEXED BY audit_environments WHERE environment > ?`

	if f.Within == nil && f.Environment == "" && f.App == "" {
		found.Numbers, err = numbersOf(ctx, c, all, before, limit)
		return found, err
	}
	for _, area := range f.Within.Within(f.Environment, f.App) {
		environments, err := valuesOrAll(area.Environment, func() ([]string, error) { return distinct(ctx, c, nextEnvironment) })
		if err != nil {
			return listing.Part{}, err
		}
		for _, environment := range environments {
			text, args := inEnvironment, []any{environment, before, limit}
			if area.App != "" {
				text, args = ofApp, []any{environment, area.App, before, limit}
			}
			sequences, err := numbersOf(ctx, c, text, args...)
			if err != nil {
				return listing.Part{}, err
			}
			found.Numbers = append(found.Numbers, sequences...)
		}
	}
	if sender := f.Within.Sender(); sender != "" {
		sequences, err := numbersOf(ctx, c, sent, sender, before, limit)
		if err != nil {
			return listing.Part{}, err
		}
		found = found.And(listing.Range(sequences, limit))
	}
	return found, nil
}

// sequenceAt returns a sequence that all entries from before a time are below, found
// by halving what there is.
func sequenceAt(ctx context.Context, c *connection, at time.Time) (int64, error) {
	const order = `SELECT sequence, accepted_at FROM updates WHERE sequence >= ? ORDER BY sequence LIMIT 1`
	const other = `SELECT sequence, at FROM audit WHERE sequence >= ? ORDER BY sequence LIMIT 1`
	low, high := int64(0), int64(maxDelivery) // numbers of deliveries
	for low < high {
		middle := (low + high) / 2
		first, began := int64(math.MaxInt64), int64(math.MaxInt64)
		for _, text := range []string{order, other} {
			_, err := c.one(ctx, text, []any{middle * sequencesEach}, func(r row) {
				if r.number(0) < first {
					first, began = r.number(0), r.number(1)
				}
			})
			if err != nil {
				return 0, err
			}
		}
		if began < at.UnixMicro() {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low * sequencesEach, nil
}
