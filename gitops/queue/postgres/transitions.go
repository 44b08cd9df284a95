package postgres

import (
	"context"
	"runtime/debug"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
)

// stateRow is a row of the table states.
type stateRow struct {
	Name           gitops.State
	Final, Written bool
}

// stateRows are the program's states as rows.
func stateRows() (all []stateRow) {
	for _, state := range gitops.States() {
		all = append(all, stateRow{state, state.Final(), state.Written()})
	}
	return all
}

// writeTransitions puts the program's states and transition table in the place of
// those that the store has. It belongs to a migration: replicas of the version before
// go on, and are refused when they start again.
func writeTransitions(ctx context.Context, tx pgx.Tx) error {
	for _, text := range []string{`DELETE FROM transitions`, `DELETE FROM states`} {
		if _, err := tx.Exec(ctx, text); err != nil {
			return err
		}
	}
	for _, r := range stateRows() {
		if _, err := tx.Exec(ctx, `INSERT INTO states (name, final, written) VALUES ($1, $2, $3)`, r.Name, r.Final, r.Written); err != nil {
			return err
		}
	}
	for _, e := range gitops.Edges() {
		if _, err := tx.Exec(ctx, `INSERT INTO transitions (from_state, action, to_state) VALUES ($1, $2, $3)`, e.From, e.Action, e.To); err != nil {
			return err
		}
	}
	return nil
}

// checkTransitions fails unless the store goes by the program's transition table: two
// that differ would disagree about what may happen to an update.
func checkTransitions(ctx context.Context, tx pgx.Tx) error {
	states, err := rows(ctx, tx, `SELECT name, final, written FROM states`, nil, pgx.RowToStructByPos[stateRow])
	if err != nil {
		return err
	}
	edges, err := rows(ctx, tx, `SELECT from_state, action, to_state FROM transitions`, nil, pgx.RowToStructByPos[gitops.Edge])
	if err != nil {
		return err
	}
	if sameSet(states, stateRows()) && sameSet(edges, gitops.Edges()) {
		return nil
	}
	var creator string
	if err := tx.QueryRow(ctx, `SELECT program FROM tallyman_migrations ORDER BY version DESC LIMIT 1`).Scan(&creator); err != nil {
		return err
	}
	return gitops.Errorf(gitops.Unavailable, "the store was made by tallyman %s, whose table of an update's states is not that of this one (%s): "+
		"start that version, or begin with an empty database or schema", creator, program())
}

// sameSet reports whether two lists without duplicates have the same elements.
func sameSet[E comparable](a, b []E) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(e E) bool { return !slices.Contains(b, e) })
}

// program is this program's version, as far as its binary says.
func program() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
