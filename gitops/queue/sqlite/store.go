// Package sqlite is the durable queue in one SQLite file: nothing to set up, one
// process at a time.
//
// # Durability
//
// The file is in WAL mode with synchronous=FULL: a COMMIT returns after fsync
// (sqlite.org/pragma.html#pragma_synchronous). One goroutine writes. It takes
// every request that waits, runs them in one transaction, and answers when that
// is on the disk, so that any number of concurrent callers share one fsync.
//
// # One process
//
// A lock on path.lock, which the kernel frees however the process ends, proves
// that no other process has the file open. So what decides is kept where it is
// cheap: when a lease runs out is known in memory only, and by the process's
// monotonic clock when [Options.Now] is [time.Now]: setting the wall clock
// neither ends a lease early nor makes it last. A lease that the file says is
// held when it is opened belongs to a dead process; it has expired, and the next
// claim marks what is open.
//
// # Damage
//
// A full disk or an I/O error answers every request of the transaction with
// Unavailable. The writer then drops its connection and all that it has in memory
// of the file, and the next request begins with a new one, so the store goes on as
// soon as the disk does.
package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Options are what a store is given. The zero value is usable.
type Options struct {
	Now      func() time.Time // the clock; time.Now when nil. Called by many goroutines.
	Logger   *slog.Logger     // nothing is logged when nil
	Recorder Recorder         // nothing is recorded when nil

	// Volume examines the file system that a file or directory lies on; the kernel is
	// asked when nil.
	Volume func(path string) (Volume, error)
}

// Recorder is told how the store does. It must not block.
type Recorder interface {
	// Committed is called for every transaction that brought something to the
	// disk: how many requests shared it, and how long it took from its begin to
	// its end. It is called by the store's writer.
	Committed(requests int, took time.Duration)

	// Answered is called at the end of each transaction, by many goroutines: whether the
	// file and its disk did what they were asked for. One that its caller gave up says
	// nothing of them, and is not told.
	Answered(kind queue.CallKind, ok bool)
}

// readers is how many reads run at a time. Reads are short and the processors
// few; more would only hold more page caches.
const readers = 4

// readTime is how long one read may take. While it lasts the WAL cannot begin again from
// its start, and grows by what is written.
const readTime = 10 * time.Second

// readerSetup makes a connection that cannot change the file.
var readerSetup = []string{
	`PRAGMA busy_timeout = 5000`,
	`PRAGMA query_only = ON`,
	`PRAGMA temp_store = MEMORY`,
}

// Store is a [queue.Queue] in a file.
type Store struct {
	path     string
	now      func() time.Time
	log      *slog.Logger
	recorder Recorder
	volumeOf func(path string) (Volume, error)
	writer   *writer
	wakes    queue.Notifier
	changed  queue.Broadcast
	counts   counts
	lock     *os.File

	pool    chan *connection // idle readers; holds nil for one that is not open yet
	reading sync.RWMutex     // held for reading while a reader is in use
	closed  bool             // under reading
	closing sync.Once
	ended   error // of Close
}

var _ queue.Queue = (*Store)(nil)

// Open opens the store at path, and makes it when there is none; its directory
// must exist. The file is readable by its owner alone.
//
// The error's code is Conflict when another process has it open or, after some
// seconds, still has it locked by SQLite's own means, and Unavailable
// when the file cannot be used; the sentence says why.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, domainError(err)
	}
	if err := checkDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Recorder == nil {
		o.Recorder = unrecorded{}
	}
	if o.Volume == nil {
		o.Volume = volumeOf
	}
	if err := checkVolume(path, o.Volume); err != nil {
		return nil, err
	}
	locked, err := lock(path + lockSuffix)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, now: o.Now, log: o.Logger, recorder: o.Recorder, volumeOf: o.Volume, lock: locked, pool: make(chan *connection, readers)}
	if err := s.open(); err != nil {
		return nil, errors.Join(openError(path, err), locked.Close())
	}
	return s, nil
}

// open does what Open does under the lock.
func (s *Store) open() error {
	if err := finishPlacing(s.path); err != nil {
		return err
	}
	size, err := createFile(s.path)
	if err != nil {
		return err
	}
	c, err := connect(s.path, writerSetup...)
	if err != nil {
		return err
	}
	if err := prepareFile(c, size, s.now()); err != nil {
		return errors.Join(err, c.close())
	}
	// The lock says that whoever held these is dead.
	if err := c.exec(`UPDATE leases SET state = 'expired' WHERE state = 'held'`); err != nil {
		return errors.Join(err, c.close())
	}
	if err := countDeaths(c); err != nil {
		return errors.Join(err, c.close())
	}
	for range readers {
		s.pool <- nil
	}
	s.writer, err = startWriter(s, c)
	return err
}

// createFile makes an empty file unless there is one, and returns its size.
// SQLite gives the files beside it the same mode.
func createFile(path string) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return 0, errors.Join(ownAs(path, filepath.Dir(path)), f.Close())
	}
	if !errors.Is(err, fs.ErrExist) {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, gitops.Errorf(gitops.Unavailable, "the store's path %s is not a file", path)
	}
	return info.Size(), nil
}

// read runs work on a reader, in one transaction: all that work reads is of one
// moment. It ends after [readTime].
func (s *Store) read(ctx context.Context, work func(context.Context, *connection) error) error {
	bounded, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	err := s.readAll(bounded, work)
	if bounded.Err() == nil && !s.isClosed() {
		s.recorder.Answered(queue.Reading, gitops.CodeOf(err) != gitops.Unavailable)
	}
	return err
}

// readAll is read for as long as it takes.
func (s *Store) readAll(ctx context.Context, work func(context.Context, *connection) error) error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.closed {
		return errClosed()
	}
	var c *connection
	select {
	case c = <-s.pool:
	case <-ctx.Done():
		return domainError(ctx.Err())
	}
	defer func() { s.pool <- c }()
	if c == nil {
		opened, err := connect(s.path, readerSetup...)
		if err != nil {
			return domainError(err)
		}
		c = opened
	}
	err := c.exec(`BEGIN`)
	if err == nil {
		err = work(ctx, c)
	}
	if end := c.exec(`ROLLBACK`); end != nil || broken(err) {
		// It may be in any state: the next read opens another.
		err = errors.Join(err, end, c.close())
		c = nil
	}
	return domainError(err)
}

// Ping implements [queue.Queue]. It takes the way a delivery takes: a row is
// written and synced.
func (s *Store) Ping(ctx context.Context) error {
	const ping = `INSERT INTO pings (number, at) VALUES (1, ?) ON CONFLICT DO UPDATE SET at = excluded.at`
	return s.writer.do(ctx, func(tx *tx) error {
		if err := tx.checkRoom(); err != nil {
			return err
		}
		return tx.exec(ping, tx.now.UnixMicro())
	})
}

func (s *Store) isClosed() bool {
	s.reading.RLock()
	defer s.reading.RUnlock()
	return s.closed
}

// Close implements [queue.Queue]. It waits for the transaction that is under way
// and for running reads; requests that still wait get Unavailable.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.reading.Lock()
		s.closed = true
		s.reading.Unlock()
		var errs []error
		for range readers {
			if c := <-s.pool; c != nil {
				errs = append(errs, c.close())
			}
		}
		// The writer last: the last connection moves the WAL into the file.
		errs = append(errs, s.writer.stop(), s.lock.Close())
		if err := errors.Join(errs...); err != nil {
			// What was answered is in the WAL and the next open finds it.
			s.ended = gitops.Errorf(gitops.Unavailable, "the store did not close cleanly").WithCause(err)
		}
	})
	return s.ended
}

type unrecorded struct{}

func (unrecorded) Committed(int, time.Duration) {}

func (unrecorded) Answered(queue.CallKind, bool) {}
