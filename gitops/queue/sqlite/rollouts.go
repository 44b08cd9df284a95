package sqlite

import (
	"context"
	"encoding/json"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// rolloutArgs are the columns of where an update stands in the cluster: NULL for nothing.
func rolloutArgs(r *gitops.Rollout) (text, rolling any, err error) {
	if r == nil {
		return nil, nil, nil
	}
	if !r.State.Final() {
		rolling = 1
	}
	b, err := json.Marshal(queue.KeptRollout(*r))
	return string(b), rolling, err
}

func parseRollout(text string) (r *gitops.Rollout, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &r)
	}
	return r, err
}

// ReportRollouts implements [queue.Rollouts]. It joins the group of whoever waits.
func (s *Store) ReportRollouts(ctx context.Context, l queue.Lease, reports []queue.RolloutReport) (kept []gitops.Rollout, err error) {
	err = s.writer.run(ctx, &request{updates: 1 + len(reports), work: func(tx *tx) (err error) {
		if l != (queue.Lease{}) {
			if err := checkLease(context.Background(), tx.connection, l); err != nil {
				return err
			}
		}
		kept, err = tx.reportRollouts(reports)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

func (tx *tx) reportRollouts(reports []queue.RolloutReport) (kept []gitops.Rollout, err error) {
	updates, err := tx.rolling(reports)
	if err != nil {
		return nil, err
	}
	for _, r := range reports {
		u := updates[r.Update]
		next, step, changed := queue.NextRollout(*u, r.Rollout, tx.now)
		kept = append(kept, *next.Clone())
		if !changed {
			continue
		}
		u.Rollout = &next
		if err := tx.keepRollout(*u, step); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// rolling reads what the reports name, so that they fail before anything is changed.
func (tx *tx) rolling(reports []queue.RolloutReport) (map[string]*gitops.Update, error) {
	ids := make([]string, len(reports))
	for i, r := range reports {
		ids[i] = r.Update
	}
	sequences, err := sequencesOf(context.Background(), tx.connection, ids)
	if err != nil {
		return nil, err
	}
	updates := make(map[string]*gitops.Update)
	for _, id := range ids {
		sequence, known := sequences[id]
		if !known {
			return nil, gitops.Errorf(gitops.NotFound, "there is no update %s", id)
		}
		u, err := readSequence(context.Background(), tx.connection, sequence, asStored)
		if err != nil {
			return nil, err
		}
		updates[id] = &u
	}
	return updates, nil
}

// keepRollout writes where an update stands in the cluster, with the step that this is.
func (tx *tx) keepRollout(u gitops.Update, step *gitops.Step) error {
	const keep = `UPDATE updates SET rollout = ?, rolling = ? WHERE sequence = ?`
	text, rolling, err := rolloutArgs(u.Rollout)
	if err != nil {
		return err
	}
	if err := tx.exec(keep, text, rolling, u.Sequence); err != nil {
		return err
	}
	if u.Rollout.State == gitops.RolloutHealthy {
		tx.setHead(tx.head(u.Environment, u.App).Run(u))
	}
	if step == nil {
		return nil
	}
	return tx.addStep(u.Sequence, *step)
}

// OpenRollouts implements [queue.Rollouts].
func (s *Store) OpenRollouts(ctx context.Context) (open []gitops.Update, err error) {
	const rolling = `SELECT ` + updateColumns + ` FROM updates u INDEXED BY updates_rolling` + joins + `WHERE u.rolling IS NOT NULL ORDER BY u.rolling, u.sequence`
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		open = nil
		return c.query(ctx, rolling, nil, func(r row) error {
			u, err := scanUpdate(r, s.now())
			open = append(open, u)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return open, nil
}

// NotRunning implements [queue.Rollouts].
func (s *Store) NotRunning(ctx context.Context) (found []gitops.Update, err error) {
	const standing = `SELECT ` + updateColumns + ` FROM updates u INDEXED BY updates_not_running` + joins +
		`JOIN heads h ON h.environment = u.environment AND h.app = u.app AND h.written = u.sequence
		WHERE u.rollout IS NOT NULL AND json_extract(u.rollout, '$.state') NOT IN ('healthy', 'superseded', 'unmapped') ORDER BY u.sequence`
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		found = nil
		return c.query(ctx, standing, nil, func(r row) error {
			u, err := scanUpdate(r, s.now())
			found = append(found, u)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
