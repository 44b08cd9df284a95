package sqlite

import (
	"context"
	"math"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// failing are the apps that have a failed update, with the sequence of the newest one,
// and what is written of them. An app is found behind the one before, which costs a
// search for each.
const failing = `WITH RECURSIVE failing (environment, app, first) AS (
		SELECT * FROM (SELECT environment, app, sequence FROM updates INDEXED BY updates_failed WHERE state = 'failed' ORDER BY environment, app LIMIT 1)
		UNION ALL
		SELECT u.environment, u.app, u.sequence FROM failing f CROSS JOIN updates u ON u.sequence = coalesce(
			(SELECT sequence FROM updates INDEXED BY updates_failed WHERE state = 'failed' AND environment = f.environment AND app > f.app ORDER BY app LIMIT 1),
			(SELECT sequence FROM updates INDEXED BY updates_failed WHERE state = 'failed' AND environment > f.environment ORDER BY environment, app LIMIT 1))
	)
	SELECT f.environment, f.app, (SELECT max(sequence) FROM updates INDEXED BY updates_failed
		WHERE state = 'failed' AND environment = f.environment AND app = f.app), ifnull(h.written, 0)
	FROM failing f LEFT JOIN heads h ON h.environment = f.environment AND h.app = f.app`

// Failures implements [queue.Reader].
func (s *Store) Failures(ctx context.Context) (found []queue.Failure, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		var newest, written []gitops.Update // of each app
		err := c.query(ctx, failing, nil, func(r row) error {
			if r.number(2) > r.number(3) { // else what is written is newer, as of most of what ever failed
				newest = append(newest, gitops.Update{Environment: r.text(0), App: r.text(1), Sequence: r.number(2)})
				written = append(written, gitops.Update{Environment: r.text(0), App: r.text(1), Sequence: r.number(3)})
			}
			return nil
		})
		if err != nil {
			return err
		}
		through, err := overtakers(ctx, c, written, headsOf(ctx, c))
		if err != nil {
			return err
		}
		for _, u := range newest {
			last := through[headKey{u.Environment, u.App}].sequence
			if last > u.Sequence {
				continue
			}
			f, err := failureOf(ctx, c, u, last)
			if err != nil {
				return err
			}
			found = append(found, f)
		}
		return nil
	})
	return found, err
}

// failureOf is what failed of the app of its newest failed update, after a sequence.
func failureOf(ctx context.Context, c *connection, newest gitops.Update, after int64) (queue.Failure, error) {
	const failed = `SELECT count(*), min(sequence) FROM updates INDEXED BY updates_failed
		WHERE state = 'failed' AND environment = ? AND app = ? AND sequence > ?`
	f := queue.Failure{Environment: newest.Environment, App: newest.App}
	var first int64
	_, err := c.one(ctx, failed, []any{f.Environment, f.App, after}, func(r row) { f.Count, first = int(r.number(0)), r.number(1) })
	if err != nil {
		return f, err
	}
	oldest, err := readSequence(ctx, c, first, asStored)
	if err != nil {
		return f, err
	}
	newest, err = readSequence(ctx, c, newest.Sequence, asStored)
	f.Oldest, f.Newest = oldest.FinishedAt, newest.ID
	return f, err
}

// Overtaken implements [queue.Reader].
func (s *Store) Overtaken(ctx context.Context, ids []string) (by map[string]string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		var failed []gitops.Update
		for _, id := range ids {
			u, err := readRow(ctx, c, id, asStored)
			switch {
			case gitops.CodeOf(err) == gitops.NotFound: // it was pruned
			case err != nil:
				return err
			case u.State == gitops.Failed:
				failed = append(failed, u)
			}
		}
		by, err = overtaken(ctx, c, failed, headsOf(ctx, c))
		return err
	})
	return by, err
}

// headReader returns the head of an app in an environment.
type headReader func(environment, app string) (gitops.Head, error)

// headsOf reads heads from the table.
func headsOf(ctx context.Context, c *connection) headReader {
	return func(environment, app string) (gitops.Head, error) { return readHead(ctx, c, environment, app) }
}

// overtaken returns those of the failed updates that a later one of their app overtakes,
// each with the id of the newest that does.
func overtaken(ctx context.Context, c *connection, failed []gitops.Update, head headReader) (by map[string]string, err error) {
	newest, err := overtakers(ctx, c, failed, head)
	if err != nil {
		return nil, err
	}
	by = make(map[string]string)
	for _, u := range failed {
		n := newest[headKey{u.Environment, u.App}]
		if n.sequence <= u.Sequence {
			continue
		}
		if n.id == "" {
			later, err := readSequence(ctx, c, n.sequence, asStored)
			if err != nil {
				return nil, err
			}
			n.id = later.ID
		}
		by[u.ID] = n.id
	}
	return by, nil
}

// overtaker is an update that may overtake failed ones. The id of one that is open is
// not read.
type overtaker struct {
	sequence int64
	id       string
}

// overtakers are the newest updates that are written or open, of the apps of some
// updates. What is open before all of these is not looked at.
func overtakers(ctx context.Context, c *connection, of []gitops.Update, head headReader) (map[headKey]overtaker, error) {
	newest := make(map[headKey]overtaker)
	apps, first := make(map[string]map[string]bool), make(map[string]int64) // by environment
	for _, u := range of {
		if apps[u.Environment] == nil {
			apps[u.Environment], first[u.Environment] = make(map[string]bool), math.MaxInt64
		}
		first[u.Environment] = min(first[u.Environment], u.Sequence)
		if apps[u.Environment][u.App] {
			continue
		}
		apps[u.Environment][u.App] = true
		h, err := head(u.Environment, u.App)
		if err != nil {
			return nil, err
		}
		newest[headKey{u.Environment, u.App}] = overtaker{h.Written, h.WrittenID}
	}
	for environment := range apps {
		err := eachOpen(ctx, c, environment, apps[environment], first[environment]+1, math.MaxInt64, func(sequence int64, app string) {
			if key := (headKey{environment, app}); sequence > newest[key].sequence {
				newest[key] = overtaker{sequence: sequence}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return newest, nil
}
