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
const (
	walPages  = 4000 // 16 MiB: the goroutine is called when the WAL is longer
	restPages = 1000 // 4 MiB: at most so much the writer moves itself
)

// checkpointer is the goroutine and the writer's side of it.
type checkpointer struct {
	log  *slog.Logger
	conn *connection
	call chan struct{} // the writer asks for a checkpoint; never blocks it
	gone sync.WaitGroup
	busy chan struct{} // holds one value while a checkpoint runs
	err  error         // of closing conn
}

func startCheckpointer(path string, log *slog.Logger) (*checkpointer, error) {
	conn, err := connect(path, `PRAGMA busy_timeout = 5000`, `PRAGMA synchronous = FULL`)
	if err != nil {
		return nil, err
	}
	c := &checkpointer{log: log, conn: conn, call: make(chan struct{}, 1), busy: make(chan struct{}, 1)}
	c.gone.Go(c.run)
	return c, nil
}

func (c *checkpointer) run() {
	for range c.call {
		// A checkpoint that fails is tried again when the next one is due; until
		// then the WAL has everything.
		if _, _, err := checkpoint(c.conn, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
			c.log.Warn("the store could not move its WAL into its file", "err", err)
		}
		<-c.busy
	}
	c.err = c.conn.close()
}

// after is called by the writer between two transactions.
func (c *checkpointer) after(writer *connection) {
	if len(c.busy) > 0 {
		return
	}
	length, moved, err := checkpoint(writer, `PRAGMA wal_checkpoint(NOOP)`)
	if err == nil && length > walPages && length-moved > restPages {
		c.busy <- struct{}{}
		c.call <- struct{}{}
		return
	}
	if err == nil && length > walPages {
		_, _, err = checkpoint(writer, `PRAGMA wal_checkpoint(PASSIVE)`)
	}
	if err != nil {
		c.log.Warn("the store could not move its WAL into its file", "err", err)
	}
}

// stop waits for a checkpoint that runs, and ends the goroutine.
func (c *checkpointer) stop() error {
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
