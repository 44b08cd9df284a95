package sqlite

import (
	"context"
	"maps"
)

// senderKey is a row of the senders table.
type senderKey struct{ principal, actor, config string }

const searchSender = `SELECT number FROM senders WHERE principal = ? AND actor = ? AND config = ?`

// mostSenders is how many senders the writer knows by heart: some 300 bytes each.
const mostSenders = 4096

// sender returns the number of a sender, which is added when it is new.
func (tx *tx) sender(k senderKey) (number int64, err error) {
	const add = `INSERT INTO senders (principal, actor, config) VALUES (?, ?, ?)`
	if number, ok := tx.w.cache.senders[k]; ok {
		return number, nil
	}
	if number, ok := tx.senders[k]; ok {
		return number, nil
	}
	args := []any{k.principal, k.actor, k.config}
	known, err := tx.one(context.Background(), searchSender, args, func(r row) { number = r.number(0) })
	if err == nil && !known {
		if err = tx.exec(add, args...); err == nil {
			_, err = tx.one(context.Background(), searchSender, args, func(r row) { number = r.number(0) })
		}
	}
	if err == nil {
		tx.senders[k] = number
	}
	return number, err
}

// keepSenders remembers senders that are in the file.
func (c *writerCache) keepSenders(more map[senderKey]int64) {
	if len(c.senders)+len(more) > mostSenders {
		clear(c.senders)
	}
	maps.Copy(c.senders, more)
}

// sendersOf returns all senders of a principal: one for each actor and configuration
// that it ever had.
func sendersOf(ctx context.Context, c *connection, principal string) ([]int64, error) {
	return numbersOf(ctx, c, `SELECT number FROM senders WHERE principal = ?`, principal)
}
