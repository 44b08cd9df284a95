package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"sync"
)

// The WAL is moved into the file by a goroutine of its own, while the writer
// goes on: a checkpoint in the writer would hold up every caller for as long as
// the disk takes. But the WAL begins again from its start only when all of it
// has been moved at the moment a transaction begins, which under load never
// happens by itself. So the writer moves the little that came in meanwhile
// (sqlite.org/wal.html#avoiding_excessively_large_wal_files).
var defaultLimits = walLimits{long: 4000, rest: 1000, most: 64000}

// walLimits are numbers of pages; a page has 4 KiB.
type walLimits struct {
	long int64 // the goroutine is called when the WAL is longer
	rest int64 // so many the writer moves itself
	most int64 // with more, the writer waits for the goroutine and moves what is left, so that the WAL does not fill the disk
}

// walMover is the goroutine and the writer's side of it.
type walMover struct {
	log    *slog.Logger
	limits walLimits     // the writer's
	held   bool          // the WAL is longer than it should ever be, and the log says so; the writer's
	conn   *connection   // the goroutine's
	call   chan struct{} // the writer asks for a checkpoint; never blocks it
	gone   sync.WaitGroup
	busy   chan struct{} // holds one value while a checkpoint runs, so that one runs at a time
	err    error         // of closing conn
}

func startWALMover(path string, log *slog.Logger) (*walMover, error) {
	conn, err := connect(path, `PRAGMA busy_timeout = 5000`, `PRAGMA synchronous = FULL`)
	if err != nil {
		return nil, err
	}
	c := &walMover{log: log, limits: defaultLimits, conn: conn, call: make(chan struct{}, 1), busy: make(chan struct{}, 1)}
	c.gone.Go(c.run)
	return c, nil
}

func (c *walMover) run() {
	for range c.call {
		// After a failure the next one that is due tries again; until then the WAL
		// has everything.
		if _, _, err := checkpoint(c.conn, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
			c.log.Warn("WAL checkpoint failed", "error", err)
		}
		<-c.busy
	}
	c.err = c.conn.close()
}

// between is called by the writer between two transactions.
func (c *walMover) between(writer *connection) {
	length, moved, err := checkpoint(writer, `PRAGMA wal_checkpoint(NOOP)`)
	if err == nil {
		c.watch(length)
	}
	if err == nil && length > c.limits.long {
		err = c.shorten(writer, length, length-moved)
	}
	if err != nil {
		c.log.Warn("WAL checkpoint failed", "error", err)
	}
}

// watch says once that the WAL has grown beyond what load alone does to it: somebody
// reads an old state of the file, and until he has ended it cannot begin again. The
// store's own reads end after [readTime].
func (c *walMover) watch(length int64) {
	held := length > 2*c.limits.most
	if held != c.held && held {
		c.log.Warn("WAL cannot begin again: another program reads the store's file, perhaps a backup", slog.Int64("bytes", length*pageSize))
	} else if held != c.held {
		c.log.Info("WAL has begun again")
	}
	c.held = held
}

// shorten sees to it that a WAL of length pages, of which rest are not in the
// file yet, can begin again.
func (c *walMover) shorten(writer *connection, length, rest int64) error {
	must := length > c.limits.most
	if !must && len(c.busy) > 0 {
		return nil
	}
	c.busy <- struct{}{}
	if !must && rest > c.limits.rest {
		c.call <- struct{}{}
		return nil
	}
	defer func() { <-c.busy }()
	_, _, err := checkpoint(writer, `PRAGMA wal_checkpoint(PASSIVE)`)
	return err
}

// stop waits for a checkpoint that runs, and ends the goroutine.
func (c *walMover) stop() error {
	close(c.call)
	c.gone.Wait()
	return c.err
}

// checkpoint runs a checkpoint pragma and returns the WAL's length in pages and
// how many of them are in the file.
func checkpoint(c *connection, pragma string) (length, moved int64, err error) {
	found, err := c.one(context.Background(), pragma, nil, func(r row) { length, moved = r.number(1), r.number(2) })
	if err == nil && !found {
		err = errors.New("no answer to " + pragma)
	}
	return length, moved, err
}
