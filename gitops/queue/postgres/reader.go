package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Delivery implements [queue.Reader].
func (s *Store) Delivery(ctx context.Context, key gitops.DeliveryKey) (found gitops.Delivery, err error) {
	const delivery = `SELECT ` + deliveryColumns + `, b.body FROM deliveries d JOIN bodies b ON b.delivery = d.number WHERE d.source = $1 AND d.id = $2`
	key = cleanKey(key)
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var d deliveryRow
		exists, err := one(ctx, tx, delivery, []any{key.Source, key.ID}, append(d.into(), &d.Body)...)
		if err != nil {
			return err
		}
		if !exists {
			return gitops.Errorf(gitops.NotFound, "there is no delivery %s", key)
		}
		all, err := s.withUpdates(ctx, tx, []deliveryRow{d})
		if err == nil {
			found = all[0]
		}
		return err
	})
	if err != nil {
		return gitops.Delivery{}, err
	}
	return found, nil
}

// Update implements [queue.Reader].
func (s *Store) Update(ctx context.Context, id string) (u gitops.Update, err error) {
	const update = `SELECT ` + updateColumns + ` FROM update_records u WHERE u.id = $1`
	const steps = `SELECT ` + stepColumns + ` FROM steps page WHERE page.sequence = $1 ORDER BY page.number + 0`
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		found, err := s.updates(ctx, tx, update, clean(id))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return errNoUpdate(id)
		}
		u = found[0]
		u.Steps, err = rows(ctx, tx, steps, []any{u.Sequence}, func(row pgx.CollectableRow) (gitops.Step, error) {
			var step stepRow
			err := row.Scan(step.into()...)
			return step.step(), err
		})
		return err
	})
	if err != nil {
		return gitops.Update{}, err
	}
	return u, nil
}

// headColumns are what scanHead reads; h is a head.
const headColumns = `h.environment, h.app, h.newest_event, h.newest_receipt, h.order_event, h.order_receipt, h.pushed_version, h.pushed_event, h.written, h.written_id, h.written_tag, h.word, h.accepted_version,
	h.healthy, h.healthy_id, h.healthy_tag`

func scanHead(row pgx.CollectableRow) (gitops.Head, error) { return scanHeadAnd(row) }

// scanHeadAnd scans the columns behind a head's, too.
func scanHeadAnd(row pgx.CollectableRow, more ...any) (h gitops.Head, err error) {
	var event, receipt, orderEvent, orderReceipt, pushedEvent, word *time.Time
	columns := []any{&h.Environment, &h.App, &event, &receipt, &orderEvent, &orderReceipt, &h.PushedVersion, &pushedEvent, &h.Written, &h.WrittenID, &h.WrittenTag, &word, &h.AcceptedVersion,
		&h.Healthy, &h.HealthyID, &h.HealthyTag}
	err = row.Scan(append(columns, more...)...)
	h.NewestEvent, h.NewestReceipt = read(event), read(receipt)
	h.OrderEvent, h.OrderReceipt, h.PushedEvent, h.Word = read(orderEvent), read(orderReceipt), read(pushedEvent), read(word)
	return h, err
}

// Head implements [queue.Reader].
func (s *Store) Head(ctx context.Context, environment, app string) (h gitops.Head, err error) {
	const head = `SELECT ` + headColumns + ` FROM heads h WHERE h.environment = $1 AND h.app = $2`
	h = gitops.Head{Environment: clean(environment), App: clean(app)}
	err = s.read(ctx, func(ctx context.Context) error {
		found, err := rows(ctx, s.pool, head, []any{h.Environment, h.App}, scanHead)
		if len(found) > 0 {
			h = found[0]
		}
		return err
	})
	if err != nil {
		return gitops.Head{}, err
	}
	return h, nil
}

// Heads implements [queue.Reader].
func (s *Store) Heads(ctx context.Context, environment string, apps []string) (heads []gitops.Head, err error) {
	const known = `SELECT ` + headColumns + ` FROM heads h WHERE h.environment = $1 AND h.app = ANY ($2)`
	byApp := make(map[string]gitops.Head, len(apps))
	err = s.read(ctx, func(ctx context.Context) error {
		found, err := rows(ctx, s.pool, known, []any{clean(environment), texts(apps)}, scanHead)
		for _, h := range found {
			byApp[h.App] = h
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, app := range texts(apps) {
		h, ok := byApp[app]
		if !ok {
			h = gitops.Head{Environment: clean(environment), App: app}
		}
		heads = append(heads, h)
	}
	return heads, nil
}

// backlogRow is one tally of an environment, with what else is known of its lane.
type backlogRow struct {
	queue.Backlog
	countsAs                                   string
	total                                      int
	oldest, progress, success, outage, retryAt *time.Time
	code                                       gitops.Code
	reason, repository                         string
}

// Backlogs implements [queue.Reader]. The newest tally of each kind is found behind
// the one before, which costs a search for each.
func (s *Store) Backlogs(ctx context.Context) (found []queue.Backlog, err error) {
	const backlogs = `WITH RECURSIVE newest AS (
			(SELECT environment, counts_as, total FROM tallies ORDER BY environment, counts_as, number DESC LIMIT 1)
			UNION ALL
			SELECT next.* FROM newest n CROSS JOIN LATERAL (SELECT t.environment, t.counts_as, t.total FROM tallies t
				WHERE (t.environment, t.counts_as) > (n.environment, n.counts_as) ORDER BY t.environment, t.counts_as, t.number DESC LIMIT 1) AS next
		)
		SELECT n.environment, n.counts_as, n.total, CASE n.counts_as WHEN '' THEN oldest_ready(n.environment) WHEN 'proposed' THEN oldest_proposed(n.environment) END,
			CASE WHEN l.lease = 'held' AND (l.session IS NULL OR alive(l.session)) THEN l.holder ELSE '' END,
			l.last_progress, l.last_success, l.outage_since, l.outage_retry_at, coalesce(l.outage_code, ''), coalesce(l.outage_reason, ''), coalesce(l.outage_repository, '')
		FROM newest n LEFT JOIN lanes l ON l.name = n.environment`
	err = s.read(ctx, func(ctx context.Context) error {
		tallies, err := rows(ctx, s.pool, backlogs, nil, func(row pgx.CollectableRow) (b backlogRow, err error) {
			return b, row.Scan(&b.Environment, &b.countsAs, &b.total, &b.oldest, &b.Holder, &b.progress, &b.success, &b.outage, &b.retryAt, &b.code, &b.reason, &b.repository)
		})
		found = merged(tallies)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// merged are the backlogs of tallies, of which those of an environment are in a row.
func merged(tallies []backlogRow) (found []queue.Backlog) {
	for _, t := range tallies {
		if n := len(found); n == 0 || found[n-1].Environment != t.Environment {
			t.Held = make(map[gitops.BlockKind]int)
			t.LastProgress, t.LastSuccess, t.OutageSince = read(t.progress), read(t.success), read(t.outage)
			if t.outage != nil {
				t.Outage = &queue.Outage{Code: t.code, Reason: t.reason, RetryAt: read(t.retryAt), Repository: t.repository}
			}
			found = append(found, t.Backlog)
		}
		b := &found[len(found)-1]
		switch {
		case t.countsAs == "":
			b.Pending, b.Oldest = t.total, read(t.oldest)
		case t.countsAs == string(gitops.Proposed):
			b.Proposed, b.OldestProposed = t.total, read(t.oldest)
		case t.total > 0:
			b.Held[gitops.BlockKind(t.countsAs)] = t.total
		}
	}
	return found
}
