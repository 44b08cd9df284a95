package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/listing"
)

// maxDelivery is more than any delivery's number, and its sequences are numbers, too.
const maxDelivery = 1 << 46

// areaArgs are areas as the server takes them.
func areaArgs(areas []queue.Area) (environments, apps []string) {
	environments, apps = []string{}, []string{}
	for _, a := range areas {
		environments, apps = append(environments, clean(a.Environment)), append(apps, clean(a.App))
	}
	return environments, apps
}

// deliveriesWithin returns a page of a scope: the deliveries of its sender, and those of
// the updates in its areas.
func (s *Store) deliveriesWithin(ctx context.Context, tx pgx.Tx, f queue.DeliveryFilter, before int64, limit int) (page []deliveryRow, next string, err error) {
	const sent = `SELECT number FROM deliveries WHERE principal = $3 AND number + 0 < $1 ORDER BY number + 0 DESC LIMIT $2`
	const read = `SELECT ` + deliveryColumns + ` FROM unnest($1::bigint[]) AS n
		CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE number = n LIMIT 1) AS d ORDER BY d.number DESC`
	var found listing.Part
	if sender := f.Within.Sender(); sender != "" {
		numbers, err := rows(ctx, tx, sent, []any{before, limit + 1, clean(sender)}, pgx.RowTo[int64])
		if err != nil {
			return nil, "", err
		}
		found = listing.Range(numbers, limit+1)
	}
	environments, apps := areaArgs(f.Within.Areas)
	rejected, err := rows(ctx, tx, `SELECT number FROM rejected_in($1, $2, $3, $4)`, []any{before, limit + 1, environments, apps}, pgx.RowTo[int64])
	if err != nil {
		return nil, "", err
	}
	found = found.And(listing.Range(rejected, limit+1))
	areas := queue.UpdateFilter{Within: &queue.Scope{Areas: f.Within.Areas}}
	sequences, err := updateSequences(ctx, tx, areas, min(before, maxDelivery)*updatesEach, limit+1)
	if err != nil {
		return nil, "", err
	}
	for i := range sequences.Numbers {
		sequences.Numbers[i] /= updatesEach
	}
	numbers, next := found.And(listing.Range(sequences.Numbers, limit+1)).Cut(limit)
	all, err := rows(ctx, tx, read, []any{numbers}, scanDelivery)
	if err != nil {
		return nil, "", err
	}
	bounded := boundedPage(all)
	if len(bounded) < len(all) {
		next = listing.Cursor(bounded[len(bounded)-1].number)
	}
	for _, d := range bounded {
		if f.Matches(d.Delivery) {
			page = append(page, d)
		}
	}
	return page, next, nil
}

// updatesWithin returns a page of a scope's updates.
func (s *Store) updatesWithin(ctx context.Context, f queue.UpdateFilter, p queue.Page, before int64) (found []gitops.Update, next string, err error) {
	const read = `SELECT ` + updateColumns + ` FROM unnest($1::bigint[]) AS page (sequence)` + recordsOfPage + ` ORDER BY u.sequence DESC`
	err = s.view(ctx, func(ctx context.Context, tx pgx.Tx) error {
		listed, err := updateSequences(ctx, tx, f, before, p.Limit+1)
		if err != nil {
			return err
		}
		var sequences []int64
		sequences, next = listed.Cut(p.Limit)
		found, err = s.updates(ctx, tx, read, sequences)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return found, next, nil
}

// updateSequences returns the newest updates that f means and that are older than
// before.
func updateSequences(ctx context.Context, tx pgx.Tx, f queue.UpdateFilter, before int64, limit int) (found listing.Part, err error) {
	const all = `SELECT sequence FROM updates WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2`
	const inAreas = `SELECT sequence FROM updates_in($1, $2, $3, $4, $5)`
	text, args := all, []any{before, limit}
	if f != (queue.UpdateFilter{}) {
		states := []gitops.State{f.State}
		if f.State == "" {
			states = gitops.States()
		}
		environments, apps := areaArgs(f.Within.Within(f.Environment, f.App))
		text, args = inAreas, append(args, environments, apps, texts(states))
	}
	if found.Numbers, err = rows(ctx, tx, text, args, pgx.RowTo[int64]); err != nil {
		return listing.Part{}, err
	}
	if sender := f.Within.Sender(); sender != "" {
		sent, err := sequencesSent(ctx, tx, sender, f, before, limit)
		if err != nil {
			return listing.Part{}, err
		}
		found = found.And(sent)
	}
	return found, nil
}

// sequencesSent returns those of the sender's newest updates that f means. It looks at
// so many deliveries as the limit says, and at so many updates.
func sequencesSent(ctx context.Context, tx pgx.Tx, sender string, f queue.UpdateFilter, before int64, limit int) (found listing.Part, err error) {
	const sent = `SELECT number FROM deliveries WHERE principal = $3 AND number + 0 <= $1 ORDER BY number + 0 DESC LIMIT $2`
	const updates = `SELECT u.sequence, u.environment, u.app, u.state FROM unnest($3::bigint[]) AS n CROSS JOIN LATERAL (
		SELECT * FROM updates WHERE sequence BETWEEN n * 65536 AND n * 65536 + 65535 ORDER BY sequence LIMIT 65536) AS u
		WHERE u.sequence < $1 ORDER BY u.sequence DESC LIMIT $2`
	numbers, err := rows(ctx, tx, sent, []any{before / updatesEach, limit, clean(sender)}, pgx.RowTo[int64])
	if err != nil {
		return listing.Part{}, err
	}
	all, err := rows(ctx, tx, updates, []any{before, limit, numbers}, func(row pgx.CollectableRow) (u gitops.Update, err error) {
		return u, row.Scan(&u.Sequence, &u.Environment, &u.App, &u.State)
	})
	if err != nil {
		return listing.Part{}, err
	}
	looked := make([]int64, len(all))
	for i, u := range all {
		looked[i] = u.Sequence
		if f.Matches(u) {
			found.Numbers = append(found.Numbers, u.Sequence)
		}
	}
	found.Floor = max(listing.Range(looked, limit).Floor, listing.Range(numbers, limit).Floor*updatesEach)
	return found, nil
}
