package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

// releaseTime is for a call that may make very many updates ready. It waits no longer for
// its turn than others do.
const releaseTime = 30 * time.Second

// release asks for what a function answers that may make very many updates ready: a lift
// of what holds 50,000 takes a second or two, in which nothing else is accepted.
func (s *Store) release(ctx context.Context, text string, args []any, into any) error {
	return s.within(ctx, releaseTime, queue.Writing, func(ctx context.Context) error {
		var b pgx.Batch // one message, and so one transaction
		b.Queue(`SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)`, milliseconds(releaseTime), milliseconds(callTime))
		b.Queue(text, args...).QueryRow(func(row pgx.Row) error { return row.Scan(into) })
		return s.pool.SendBatch(ctx, &b).Close()
	})
}

// milliseconds are a time as the server's settings have it.
func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// readHold is a hold as the tables give it.
func readHold(text []byte) (h gitops.Hold, err error) {
	err = json.Unmarshal(text, &h)
	h.Since, h.Until = h.Since.UTC(), h.Until.UTC()
	if h.Lifted != nil {
		h.Lifted.At = h.Lifted.At.UTC()
	}
	return h, err
}

// readHolds are holds as the tables give them.
func readHolds(texts []json.RawMessage) (holds []gitops.Hold, err error) {
	for _, text := range texts {
		h, err := readHold(text)
		if err != nil {
			return nil, err
		}
		holds = append(holds, h)
	}
	return holds, nil
}

// HoldsInForce implements [queue.Holds].
func (s *Store) HoldsInForce(ctx context.Context) (held queue.InForce, err error) {
	const inForce = `SELECT s.revision, now.at, (SELECT coalesce(jsonb_agg(hold_json(h) ORDER BY h.id), '[]') FROM holds h WHERE h.ends_at > now.at)
		FROM holds_state s CROSS JOIN (SELECT coalesce($1, clock_timestamp()) AS at OFFSET 0) AS now`
	var texts []json.RawMessage
	err = s.read(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, inForce, s.nowArg()).Scan(&held.Revision, &held.At, &texts)
	})
	if err == nil {
		held.At = held.At.UTC()
		held.Holds, err = readHolds(texts)
	}
	if err != nil {
		return queue.InForce{}, domainError(err)
	}
	return held, nil
}

// HoldsRevision implements [queue.Holds].
func (s *Store) HoldsRevision(ctx context.Context) (number int64, err error) {
	err = s.read(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `SELECT revision FROM holds_state`).Scan(&number)
	})
	return number, err
}

// Lift implements [queue.Holds].
func (s *Store) Lift(ctx context.Context, l queue.Lifting) (lifted queue.Lifted, err error) {
	const lift = `SELECT lift($1, $2, $3, $4, $5, $6, $7)`
	ids := make([]int64, len(l.IDs))
	for i, id := range l.IDs {
		number, ok := gitops.ParseHoldID(id)
		if !ok {
			return queue.Lifted{}, queue.ErrNoHold(id)
		}
		ids[i] = number
	}
	entry, err := json.Marshal(auditArgOf(gitops.AuditEntry{Credential: l.Credential, Remote: l.Remote, Rule: l.Rule, Config: l.Config}))
	if err != nil {
		return queue.Lifted{}, domainError(err)
	}
	var answer struct {
		Holds   []json.RawMessage
		Updates int
		Lanes   []string
	}
	err = s.release(ctx, lift, []any{s.nowArg(), ids, clean(l.Principal), clean(l.Actor), clean(l.Reason), string(entry), l.DryRun}, &answer)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == noHold {
		return queue.Lifted{}, queue.ErrNoHold(refused.Message)
	}
	if err != nil {
		return queue.Lifted{}, err
	}
	if !l.DryRun {
		s.hints.send(answer.Lanes...)
	}
	lifted.Ready = answer.Updates
	lifted.Holds, err = readHolds(answer.Holds)
	return lifted, domainError(err)
}

// Rejudge implements [queue.Holds].
func (s *Store) Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error {
	var lanes []string
	if err := s.release(ctx, `SELECT rejudge($1, $2, $3)`, []any{s.nowArg(), clean(string(kind)), texts(environments)}, &lanes); err != nil {
		return err
	}
	s.hints.send(lanes...)
	return nil
}

// holdsLook is how many holds a page looks at.
const holdsLook = 1000

// HoldsListed implements [queue.Holds]. Its cursor is the last hold's number.
func (s *Store) HoldsListed(ctx context.Context, f queue.HoldFilter, p queue.Page) (found []gitops.Hold, next string, err error) {
	const all = `SELECT h.id, now.at, hold_json(h) FROM (SELECT coalesce($1, clock_timestamp()) AS at OFFSET 0) AS now
		CROSS JOIN (SELECT * FROM holds WHERE id < $2 ORDER BY id DESC LIMIT $3) AS h ORDER BY h.id DESC`
	const inForce = `SELECT h.id, now.at, hold_json(h) FROM (SELECT coalesce($1, clock_timestamp()) AS at OFFSET 0) AS now
		CROSS JOIN LATERAL (SELECT * FROM holds WHERE ends_at > now.at AND id < $2 ORDER BY id + 0 DESC LIMIT $3) AS h ORDER BY h.id DESC`
	before, err := listCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	text := inForce
	if f.Ended {
		text = all
	}
	look := max(p.Limit+1, holdsLook)
	var page listing.Part
	var holds []gitops.Hold
	var at time.Time
	err = s.read(ctx, func(ctx context.Context) error {
		holds, err = rows(ctx, s.pool, text, []any{s.nowArg(), before, look + 1}, func(row pgx.CollectableRow) (gitops.Hold, error) {
			var number int64
			var hold []byte
			if err := row.Scan(&number, &at, &hold); err != nil {
				return gitops.Hold{}, err
			}
			page.Numbers = append(page.Numbers, number)
			return readHold(hold)
		})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	numbers, next := page.Cut(look)
	for i := range numbers {
		switch {
		case !f.Matches(holds[i], at):
			continue
		case len(found) == p.Limit:
			return found, strings.TrimPrefix(found[p.Limit-1].ID, "h"), nil
		}
		found = append(found, holds[i])
	}
	return found, next, nil
}
