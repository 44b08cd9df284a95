package sqlite

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What is open of an app stands in three indexes, so that accepting pays for one
// of them. What is ready is looked through from one sequence to another, whatever
// app it is of.
const (
	openReady = `SELECT sequence, app FROM updates INDEXED BY updates_ready
		WHERE environment = ? AND state = 'pending' AND ready_at IS NULL AND sequence BETWEEN ? AND ?`
	openBlocked = `SELECT sequence FROM updates INDEXED BY updates_blocked_app
		WHERE environment = ? AND app = ? AND state = 'pending' AND blocked_kind <> '' AND sequence BETWEEN ? AND ?`
	openProposed = `SELECT sequence FROM updates INDEXED BY updates_app
		WHERE environment = ? AND app = ? AND state = 'proposed' AND state <> 'pending' AND sequence BETWEEN ? AND ?`
	openNotReady = `SELECT EXISTS (SELECT 1 FROM updates INDEXED BY updates_blocked
			WHERE environment = ?1 AND state = 'pending' AND blocked_kind <> '' AND sequence BETWEEN ?2 AND ?3)
		OR EXISTS (SELECT 1 FROM updates INDEXED BY updates_listed
			WHERE environment = ?1 AND state = 'proposed' AND state <> 'pending' AND sequence BETWEEN ?2 AND ?3)`
)

// openOf returns the sequences, from one to another, of the open updates of apps in
// an environment, in no particular order.
func openOf(ctx context.Context, c *connection, environment string, apps map[string]bool, from, to int64) (found []int64, err error) {
	err = eachOpen(ctx, c, environment, apps, from, to, func(sequence int64, _ string) { found = append(found, sequence) })
	return found, err
}

// eachOpen calls each with what openOf returns, and the app.
func eachOpen(ctx context.Context, c *connection, environment string, apps map[string]bool, from, to int64, each func(sequence int64, app string)) error {
	err := c.query(ctx, openReady, []any{environment, from, to}, func(r row) error {
		if app := r.text(1); apps[app] {
			each(r.number(0), app)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Mostly there is nothing else, and no app need be asked for.
	others := false
	_, err = c.one(ctx, openNotReady, []any{environment, from, to}, func(r row) { others = r.number(0) != 0 })
	if err != nil || !others {
		return err
	}
	for app := range apps {
		for _, text := range []string{openBlocked, openProposed} {
			sequences, err := numbersOf(ctx, c, text, environment, app, from, to)
			if err != nil {
				return err
			}
			for _, sequence := range sequences {
				each(sequence, app)
			}
		}
	}
	return nil
}

// readSequence returns an update without its steps.
func readSequence(ctx context.Context, c *connection, sequence int64, at time.Time) (u gitops.Update, err error) {
	const update = `SELECT ` + updateColumns + ` FROM updates` + joined + `WHERE u.sequence = ?`
	err = c.query(ctx, update, []any{sequence}, func(r row) error {
		u, err = scanUpdate(r, at)
		return err
	})
	return u, err
}
