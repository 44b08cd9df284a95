package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"
)

// bodyReader reads the bodies of a page's deliveries, a few at a time: all of a page
// could take 500 MiB.
type bodyReader struct {
	*export
	to   int64 // the page's last number
	next []body
}

// body is a delivery's, or what is known of it while it is not read.
type body struct {
	number int64
	bytes  []byte
}

// bodiesTogether is how many bytes of bodies one read brings, and one body more.
const bodiesTogether = 4 << 20

// of returns the body of the delivery with this number. Numbers rise from call to call.
func (b *bodyReader) of(number int64) ([]byte, error) {
	const bodies = `SELECT delivery, body FROM (
			SELECT delivery, body, sum(octet_length(body)) OVER (ORDER BY delivery) - octet_length(body) AS before FROM (
				SELECT delivery, body FROM bodies WHERE delivery >= $1 AND delivery <= $2 ORDER BY delivery) AS page
		) AS summed WHERE before < $3 ORDER BY delivery`
	if len(b.next) == 0 {
		found, err := rows(b.ctx, b.tx, bodies, []any{number, b.to, bodiesTogether}, func(row pgx.CollectableRow) (found body, err error) {
			return found, row.Scan(&found.number, &found.bytes)
		})
		if err != nil {
			return nil, err
		}
		b.next = found
	}
	if len(b.next) == 0 || b.next[0].number != number {
		return nil, fmt.Errorf("delivery %d has no body", number)
	}
	found := b.next[0].bytes
	b.next = b.next[1:]
	return found, nil
}
