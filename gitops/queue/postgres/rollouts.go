package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// rolloutArg is where an update stands in the cluster, as the function report_rollouts takes it.
type rolloutArg struct {
	Update  string         `json:"update"`
	Rollout gitops.Rollout `json:"rollout"`
	Rolling bool           `json:"rolling"`
}

// storedRollout is a rollout as the tables hold it.
func storedRollout(r gitops.Rollout) gitops.Rollout {
	r = queue.KeptRollout(r)
	for i := range r.Places {
		r.Places[i].URL, r.Places[i].State = clean(r.Places[i].URL), clean(r.Places[i].State)
	}
	r.State = clean(r.State)
	return r
}

// rolloutColumns are the columns of a rollout; a nil text for none.
func rolloutColumns(r *gitops.Rollout) (text *string, rolling bool, err error) {
	if r == nil {
		return nil, false, nil
	}
	b, err := json.Marshal(storedRollout(*r))
	column := string(b)
	return &column, !r.State.Final(), err
}

// readRollout is a stored rollout; nil where there is none.
func readRollout(text []byte) (*gitops.Rollout, error) {
	if text == nil {
		return nil, nil
	}
	r := new(gitops.Rollout)
	err := json.Unmarshal(text, r)
	r.Since = r.Since.UTC() // the server writes it in its own zone
	return r, err
}

// ReportRollouts implements [queue.Rollouts].
func (s *Store) ReportRollouts(ctx context.Context, l queue.Lease, reports []queue.RolloutReport) (kept []gitops.Rollout, err error) {
	const report = `SELECT kept, is_step FROM report_rollouts($1, $2, $3, $4, $5)`
	args := make([]rolloutArg, len(reports))
	for i, r := range reports {
		args[i] = rolloutArg{clean(r.Update), storedRollout(r.Rollout), !r.Rollout.State.Final()}
	}
	text, err := json.Marshal(args)
	if err != nil {
		return nil, domainError(err)
	}
	var lane *string // null for the zero lease
	if l != (queue.Lease{}) {
		name := clean(l.Name)
		lane = &name
	}
	err = s.call(ctx, func(ctx context.Context) error {
		steps := false
		kept, err = rows(ctx, s.pool, report, []any{s.nowArg(), lane, l.Token, clean(l.Holder), string(text)}, func(row pgx.CollectableRow) (gitops.Rollout, error) {
			var text []byte
			var step bool
			if err := row.Scan(&text, &step); err != nil {
				return gitops.Rollout{}, err
			}
			steps = steps || step
			r, err := readRollout(text)
			return *r, err
		})
		if steps && err == nil {
			s.hints.send()
		}
		return rolloutError(l.Name, err)
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// rolloutError is domainError for report_rollouts with the lease of the name.
func rolloutError(name string, err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == notInLane {
		return errNoUpdate(e.Message)
	}
	return leaseError(name, err)
}

// OpenRollouts implements [queue.Rollouts].
func (s *Store) OpenRollouts(ctx context.Context) (open []gitops.Update, err error) {
	const rolling = `SELECT ` + updateColumns + ` FROM (SELECT sequence FROM updates WHERE rolling ORDER BY sequence + 0) AS page` + recordsOfPage + ` ORDER BY u.sequence`
	err = s.read(ctx, func(ctx context.Context) error {
		open, err = s.updates(ctx, s.pool, rolling)
		return err
	})
	if err != nil {
		return nil, err
	}
	return open, nil
}

// NotRunning implements [queue.Rollouts].
func (s *Store) NotRunning(ctx context.Context) (found []gitops.Update, err error) {
	const standing = `SELECT ` + updateColumns + ` FROM (SELECT u.sequence FROM updates u JOIN heads h ON h.environment = u.environment AND h.app = u.app AND h.written = u.sequence
		WHERE u.rollout->>'state' NOT IN ('healthy', 'superseded', 'unmapped')) AS page` + recordsOfPage + ` ORDER BY u.sequence`
	err = s.read(ctx, func(ctx context.Context) error {
		found, err = s.updates(ctx, s.pool, standing)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
