package sqlite

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/tallyman-dev/tallyman/gitops"
)

// packID is an update's id as the tables hold it: NULL for a text that is not one in the
// form that is ours.
func packID(text string) any {
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		return nil
	}
	return id[:]
}

// prefixOf is the first half of the ids of a delivery's updates, as the tables hold it.
func prefixOf(key gitops.DeliveryKey) int64 {
	prefix := key.UpdatePrefix()
	return int64(binary.BigEndian.Uint64(prefix[:]))
}

// prefixIn is the first half of an update's id; NULL for what is not one.
func prefixIn(id string) any {
	packed, ok := packID(id).([]byte)
	if !ok {
		return nil
	}
	return int64(binary.BigEndian.Uint64(packed))
}

// withPrefix are the updates of the deliveries with a prefix: of one, but for a
// coincidence.
const withPrefix = ` FROM deliveries d CROSS JOIN updates u ON u.sequence BETWEEN d.number * 65536 AND d.number * 65536 + 65535 WHERE d.prefix = ? `

// readRow returns an update without its steps.
func readRow(ctx context.Context, c *connection, id string, at time.Time) (u gitops.Update, err error) {
	sequences, err := numbersOf(ctx, c, `SELECT u.sequence`+withPrefix+`AND u.id = ?`, prefixIn(id), packID(id))
	if err != nil {
		return gitops.Update{}, err
	}
	if len(sequences) == 0 {
		return gitops.Update{}, gitops.Errorf(gitops.NotFound, "there is no update %s", id)
	}
	return readSequence(ctx, c, sequences[0], at)
}

// sequencesOf finds those of the updates that there are. The updates of a delivery, of
// which it may have thousands, are looked through once for all of them.
func sequencesOf(ctx context.Context, c *connection, ids []string) (map[string]int64, error) {
	prefixes, asked := make(map[any]bool), make(map[string]bool)
	for _, id := range ids {
		prefixes[prefixIn(id)], asked[id] = true, true
	}
	found := make(map[string]int64)
	for prefix := range prefixes {
		err := c.query(ctx, `SELECT u.id, u.sequence`+withPrefix, []any{prefix}, func(r row) error {
			if id := r.id(0); asked[id] {
				found[id] = r.number(1)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
