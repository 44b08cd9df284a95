package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// headColumns are what scanHead reads.
const headColumns = `environment, app, newest_event, newest_receipt, order_event, order_receipt, pushed_version, pushed_event, written, written_id, written_tag, word, accepted_version,
	healthy, healthy_id, healthy_tag`

func scanHead(r row) gitops.Head {
	return gitops.Head{
		Environment: r.text(0), App: r.text(1), NewestEvent: r.time(2), NewestReceipt: r.time(3),
		OrderEvent: r.time(4), OrderReceipt: r.time(5), PushedVersion: r.text(6), PushedEvent: r.time(7),
		Written: r.number(8), WrittenID: r.text(9), WrittenTag: r.text(10), Word: r.time(11), AcceptedVersion: r.text(12),
		Healthy: r.number(13), HealthyID: r.text(14), HealthyTag: r.text(15),
	}
}

// readHeads calls each with every head.
func readHeads(ctx context.Context, c *connection, each func(gitops.Head) error) error {
	const heads = `SELECT ` + headColumns + ` FROM heads ORDER BY environment, app`
	return c.query(ctx, heads, nil, func(r row) error { return each(scanHead(r)) })
}

// Head implements [queue.Reader].
func (s *Store) Head(ctx context.Context, environment, app string) (h gitops.Head, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		h, err = readHead(ctx, c, environment, app)
		return err
	})
	if err != nil {
		return gitops.Head{}, err
	}
	return h, nil
}

// Heads implements [queue.Reader].
func (s *Store) Heads(ctx context.Context, environment string, apps []string) (heads []gitops.Head, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		for _, app := range apps {
			h, err := readHead(ctx, c, environment, app)
			if err != nil {
				return err
			}
			heads = append(heads, h)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

func readHead(ctx context.Context, c *connection, environment, app string) (gitops.Head, error) {
	const head = `SELECT ` + headColumns + ` FROM heads WHERE environment = ? AND app = ?`
	h := gitops.Head{Environment: environment, App: app}
	_, err := c.one(ctx, head, []any{environment, app}, func(r row) { h = scanHead(r) })
	return h, err
}

// head returns the head as the transaction has left it.
func (tx *tx) head(environment, app string) gitops.Head {
	key := headKey{environment, app}
	h, ok := tx.heads[key]
	if !ok {
		h, ok = tx.w.cache.heads[key]
	}
	if !ok {
		h = gitops.Head{Environment: environment, App: app}
	}
	return h
}

// setHead changes a head. It is written once, at the transaction's end.
func (tx *tx) setHead(h gitops.Head) {
	tx.heads[headKey{h.Environment, h.App}] = h
	tx.writes++
}

const insertHead = `INSERT INTO heads (` + headColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// headArgs are what insertHead takes.
func headArgs(h gitops.Head) []any {
	return []any{h.Environment, h.App, stored(h.NewestEvent), stored(h.NewestReceipt), stored(h.OrderEvent), stored(h.OrderReceipt),
		h.PushedVersion, stored(h.PushedEvent), h.Written, h.WrittenID, h.WrittenTag, stored(h.Word), h.AcceptedVersion,
		h.Healthy, h.HealthyID, h.HealthyTag}
}

func (tx *tx) saveHead(h gitops.Head) error {
	const save = insertHead + ` ON CONFLICT DO UPDATE SET
		newest_event = excluded.newest_event, newest_receipt = excluded.newest_receipt,
		order_event = excluded.order_event, order_receipt = excluded.order_receipt,
		pushed_version = excluded.pushed_version, pushed_event = excluded.pushed_event,
		written = excluded.written, written_id = excluded.written_id, written_tag = excluded.written_tag, word = excluded.word,
		accepted_version = excluded.accepted_version,
		healthy = excluded.healthy, healthy_id = excluded.healthy_id, healthy_tag = excluded.healthy_tag`
	return tx.exec(save, headArgs(h)...)
}
