package sqlite

import (
	"context"
	"maps"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// headKey names a head.
type headKey struct{ environment, app string }

// writerCache is what the writer keeps in memory of the file, so that an Accept
// need not read. It is right because nothing else writes the file.
type writerCache struct {
	heads  map[headKey]gitops.Head // the heads table
	used   map[string]bool         // environments that have had an update
	latest feedPosition            // the highest numbers that were given

	senders   map[senderKey]int64 // some of the senders table
	remembers bool                // whether the memories table may have a row
	waiting   int                 // deliveries that wait
}

// readCache reads what the writer keeps in memory from its connection.
func (w *writer) readCache() error {
	cache := &writerCache{heads: make(map[headKey]gitops.Head), used: make(map[string]bool), senders: make(map[senderKey]int64)}
	err := readHeads(context.Background(), w.conn, func(h gitops.Head) error {
		cache.heads[headKey{h.Environment, h.App}] = h
		return nil
	})
	if err != nil {
		return err
	}
	environments, err := usedEnvironments(context.Background(), w.conn)
	if err != nil {
		return err
	}
	for _, environment := range environments {
		cache.used[environment] = true
	}
	if cache.latest, err = latestPosition(context.Background(), w.conn); err != nil {
		return err
	}
	if cache.remembers, err = w.conn.one(context.Background(), `SELECT 1 FROM memories LIMIT 1`, nil, func(row) {}); err != nil {
		return err
	}
	waits, err := readWaiting(context.Background(), w.conn)
	if err != nil {
		return err
	}
	cache.waiting = waits.Count
	counted, err := countOpen(w.conn)
	if err != nil {
		return err
	}
	w.cache = cache
	w.counts.reset(counted)
	return nil
}

// tx is one transaction of the writer. What it changes of the writer's memory is
// kept apart until the disk has the rest.
type tx struct {
	*connection
	w      *writer
	now    time.Time
	began  time.Time // by the real clock, for the recorder
	writes int       // statements run so far that may have changed something

	heads  map[headKey]gitops.Head // those that changed
	used   map[string]bool
	latest feedPosition
	leases map[string]time.Time

	senders   map[senderKey]int64 // those that were searched or added
	remembers bool                // a delivery was pruned
	waiting   int                 // by how many more deliveries wait
	room      *roomCheck          // nil before it was asked for
	woken     map[string]bool     // environments with something new to take
	waits     map[waiting]int64   // by how much the counts have grown
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
		heads: make(map[headKey]gitops.Head), used: make(map[string]bool), latest: w.cache.latest,
		leases: make(map[string]time.Time), woken: make(map[string]bool), waits: make(map[waiting]int64),
		senders: make(map[senderKey]int64),
	}, nil
}

// commit makes the transaction of so many requests durable, and then known.
func (tx *tx) commit(requests int) error {
	for _, h := range tx.heads {
		if err := tx.saveHead(h); err != nil {
			return err
		}
	}
	if err := tx.connection.exec(`COMMIT`); err != nil {
		return err
	}
	if tx.writes > 0 {
		tx.w.recorder.Committed(requests, time.Since(tx.began))
	}
	maps.Copy(tx.w.cache.heads, tx.heads)
	maps.Copy(tx.w.cache.used, tx.used)
	maps.Copy(tx.w.leases, tx.leases)
	tx.w.cache.keepSenders(tx.senders)
	tx.w.cache.remembers = tx.w.cache.remembers || tx.remembers
	tx.w.cache.waiting += tx.waiting
	tx.w.counts.add(tx.waits)
	if tx.latest != tx.w.cache.latest {
		tx.w.cache.latest = tx.latest
		tx.w.changed.Send()
	}
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

// change is exec for a statement that may change nothing. It returns how many
// rows it changed; an INSERT whose ON CONFLICT kept it from adding one has 0.
func (tx *tx) change(text string, args ...any) (rows int64, err error) {
	result, err := tx.run(text, args)
	if err != nil {
		return 0, err
	}
	rows, err = result.RowsAffected()
	if rows > 0 {
		tx.writes++
	}
	return rows, err
}

// leaseEnd returns when a lease runs out; the zero time when it was not claimed
// since the store was opened.
func (tx *tx) leaseEnd(name string) time.Time {
	if at, ok := tx.leases[name]; ok {
		return at
	}
	return tx.w.leases[name]
}

// ensureLane sees to it that the environment has a lane.
func (tx *tx) ensureLane(environment string) error {
	const lane = `INSERT INTO lanes (environment, used) VALUES (?, 1) ON CONFLICT DO UPDATE SET used = 1`
	if tx.w.cache.used[environment] || tx.used[environment] {
		return nil
	}
	tx.used[environment] = true
	return tx.exec(lane, environment)
}
