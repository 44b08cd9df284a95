package sqlite

import (
	"context"
	"maps"
	"time"
)

// release is what an event time is the newest of.
type release struct{ environment, app string }

// knowledge is what the writer remembers of the file, so that an Accept need not
// read. It is right because no one else writes the file.
type knowledge struct {
	newest map[release]int64 // the releases table
	used   map[string]bool   // environments that have had an update
	latest place             // the highest numbers that were given

	pending map[string]int64 // what waits in each lane, when it was read; counts has it since
}

func readKnowledge(c *connection) (*knowledge, error) {
	k := &knowledge{newest: make(map[release]int64), used: make(map[string]bool)}
	err := c.query(context.Background(), `SELECT environment, app, newest FROM releases`, nil, func(r row) error {
		k.newest[release{r.text(0), r.text(1)}] = r.number(2)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = c.query(context.Background(), `SELECT environment FROM lanes WHERE used = 1`, nil, func(r row) error {
		k.used[r.text(0)] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	if k.latest, err = readPlace(context.Background(), c); err != nil {
		return nil, err
	}
	k.pending, err = readPending(c)
	return k, err
}

// tx is one transaction of the writer. What it changes of the writer's memory is
// kept apart until the disk has the rest.
type tx struct {
	*connection
	w      *writer
	now    time.Time
	began  time.Time // by the real clock, for the recorder
	writes int       // statements run so far that may have changed something

	newest map[release]int64
	used   map[string]bool
	latest place
	leases map[string]time.Time
	woken  map[string]bool  // environments with new pending updates
	waits  map[string]int64 // by how much the number of pending updates of each environment has grown
}

func (w *writer) begin() (*tx, error) {
	began := time.Now()
	if err := w.reconnect(); err != nil {
		return nil, err
	}
	if err := w.conn.exec(`BEGIN IMMEDIATE`); err != nil {
		return nil, err
	}
	return &tx{
		connection: w.conn, w: w, now: w.now(), began: began,
		newest: make(map[release]int64), used: make(map[string]bool), latest: w.known.latest,
		leases: make(map[string]time.Time), woken: make(map[string]bool), waits: make(map[string]int64),
	}, nil
}

// commit makes the transaction of so many requests durable, and then known.
func (tx *tx) commit(requests int) error {
	const newest = `INSERT INTO releases (environment, app, newest) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET newest = excluded.newest`
	for r, at := range tx.newest {
		if err := tx.exec(newest, r.environment, r.app, at); err != nil {
			return err
		}
	}
	if err := tx.connection.exec(`COMMIT`); err != nil {
		return err
	}
	if tx.writes > 0 {
		tx.w.recorder.Committed(requests, time.Since(tx.began))
	}
	maps.Copy(tx.w.known.newest, tx.newest)
	maps.Copy(tx.w.known.used, tx.used)
	maps.Copy(tx.w.leases, tx.leases)
	if tx.latest != tx.w.known.latest {
		tx.w.known.latest = tx.latest
		tx.w.changed.Send()
	}
	tx.w.counts.add(tx.waits)
	for environment := range tx.woken {
		tx.w.wakes.Wake(environment)
	}
	return nil
}

// exec runs a statement that changes something.
func (tx *tx) exec(text string, args ...any) error {
	tx.writes++
	return tx.connection.exec(text, args...)
}

// insert runs an INSERT and returns the new row's number; added is false when
// the statement's ON CONFLICT kept it from adding one.
func (tx *tx) insert(text string, args ...any) (number int64, added bool, err error) {
	result, err := tx.run(text, args)
	if err != nil {
		return 0, false, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return 0, false, err
	}
	tx.writes++
	number, err = result.LastInsertId()
	return number, true, err
}

// newestOf returns the newest event time that was accepted for r, in
// microseconds.
func (tx *tx) newestOf(r release) (at int64, known bool) {
	if at, known = tx.newest[r]; known {
		return at, true
	}
	at, known = tx.w.known.newest[r]
	return at, known
}

// leaseEnd returns when the environment's lease runs out; the zero time when no
// lease was taken since the store was opened.
func (tx *tx) leaseEnd(environment string) time.Time {
	if at, ok := tx.leases[environment]; ok {
		return at
	}
	return tx.w.leases[environment]
}
