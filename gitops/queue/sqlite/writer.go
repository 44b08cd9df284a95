package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/group"
)

// A transaction is bounded so that its first request does not wait long for its
// last, and by how many pages one commit writes.
const (
	groupItems   = 512
	groupUpdates = queue.MaxUpdates
	groupBytes   = 8 << 20
)

// writerSetup makes the one connection that writes. Checkpoints are ours to
// time: see wal.go.
var writerSetup = []string{
	`PRAGMA busy_timeout = 2000`, // another program's lock: senders give up after 5 s
	`PRAGMA synchronous = FULL`,
	`PRAGMA foreign_keys = ON`,
	`PRAGMA wal_autocheckpoint = 0`,
	`PRAGMA journal_size_limit = 16777216`, // what the WAL shrinks to when it begins again; see defaultLimits
	`PRAGMA cache_size = -4096`,            // 4 MiB: the inner pages of the unique indexes; the leaves come from the kernel
	`PRAGMA temp_store = MEMORY`,
}

// request is one caller's part of a transaction.
type request struct {
	work           func(*tx) error // may run twice; what it leaves the second time counts
	updates, bytes int             // about what it writes
	err            error           // its own failure, which concerns no other request
}

func requestSize(r *request) (updates, bytes int) { return r.updates, r.bytes }

// writer runs every change of the file, in groups: one transaction and one
// fsync for all requests that wait.
//
// A crash before COMMIT returned leaves nothing of the group, or all of it; no
// caller was answered.
type writer struct {
	path     string
	now      func() time.Time
	log      *slog.Logger
	recorder Recorder
	volumeOf func(path string) (Volume, error)
	wakes    *queue.Notifier
	changed  *queue.Broadcast
	counts   *counts
	group    *group.Committer[*request]

	// The group's goroutine owns these, and after its end stop does.
	conn    *connection          // nil after a fault, until the next group
	cache   *writerCache         // of the file as conn sees it
	leases  map[string]time.Time // when each lease runs out
	failing bool                 // the last group failed, and the log says so
	full    bool                 // the room that is left is reserved, and the log says so
	wal     *walMover
}

// startWriter starts the writer on c, which is the writer's from then on, also
// when an error is returned.
func startWriter(s *Store, c *connection) (*writer, error) {
	w := &writer{
		path: s.path, now: s.now, log: s.log, recorder: s.recorder, volumeOf: s.volumeOf, wakes: &s.wakes, changed: &s.changed, counts: &s.counts,
		conn: c, leases: make(map[string]time.Time),
	}
	err := w.readCache()
	if err == nil {
		w.wal, err = startWALMover(s.path, s.log)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	w.group = group.Start(group.Config[*request]{
		Commit: w.commit, Answered: w.answered, Divisible: func(err error) bool { return errors.Is(err, errSpoiled) },
		Items: groupItems, Updates: groupUpdates, Bytes: groupBytes, Size: requestSize, AnswerAll: true,
	})
	return w, nil
}

// do runs work in a transaction of the writer's and returns when that is
// durable, or with the reason why nothing was changed. When ctx ends before work
// began it never begins; afterwards ctx is not asked.
func (w *writer) do(ctx context.Context, work func(*tx) error) error {
	return w.run(ctx, &request{work: work, updates: 1})
}

// run is do for a request that says how much it writes.
func (w *writer) run(ctx context.Context, r *request) error {
	if err := w.group.Do(ctx, r); err != nil {
		return err
	}
	return r.err
}

// stop lets the group that is under way finish, answers what waits with
// Unavailable, and closes the connection.
func (w *writer) stop() error {
	w.group.Stop()
	return errors.Join(w.wal.stop(), w.finish())
}

// finish moves what is in the WAL into the file, so that the file alone is the
// store, and closes the connection.
func (w *writer) finish() error {
	if w.conn == nil {
		return nil
	}
	_, err := w.conn.pragma(`PRAGMA wal_checkpoint(TRUNCATE)`)
	return errors.Join(err, w.conn.close())
}

// commit runs a group in one transaction. After an error nothing is known to have
// changed.
func (w *writer) commit(requests []*request) error {
	err := w.attempt(requests)
	switch {
	case errors.Is(err, errSpoiled):
		return err
	case err != nil:
		w.recorder.Answered(queue.Writing, false)
		return w.fail(err)
	}
	w.recorder.Answered(queue.Writing, true)
	if w.failing {
		w.failing = false
		w.log.Info("the store can write again")
	}
	return nil
}

// answered is called after each group.
func (w *writer) answered() {
	if w.conn != nil {
		w.wal.between(w.conn)
	}
}

// errSpoiled says that a group was rolled back for the sake of one request.
var errSpoiled = errors.New("one request of the group failed half-way")

// attempt runs the group's requests in one transaction. A request's own error is
// its answer; an error returned is everybody's, and says that nothing is known
// to have changed.
//
// A request that fails after it wrote spoils the transaction. A savepoint would
// undo it alone, but every request would pay for one with copies of the pages it
// changes. So the group is rolled back and divided until that request is alone.
func (w *writer) attempt(requests []*request) error {
	tx, err := w.begin()
	if err != nil {
		return err
	}
	for _, r := range requests {
		before := tx.writes
		r.err = domainError(r.work(tx))
		if broken(r.err) {
			return r.err
		}
		if r.err == nil || tx.writes == before {
			continue
		}
		if err := tx.exec(`ROLLBACK`); err != nil || len(requests) == 1 {
			return err
		}
		return errSpoiled
	}
	return tx.commit(len(requests))
}

// fail returns the answer for a group whose transaction failed. What the writer
// had in memory is read again from the file by the next group.
func (w *writer) fail(err error) error {
	if !w.failing {
		w.failing = true
		w.log.Error("the store cannot write", "error", err)
	}
	w.disconnect()
	unavailable := domainError(err)
	if gitops.CodeOf(unavailable) != gitops.Unavailable {
		unavailable = gitops.Errorf(gitops.Unavailable, "the store could not write").WithCause(err)
	}
	return unavailable
}

// disconnect drops the connection, and with it whatever its transaction did.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	if err := w.conn.close(); err != nil {
		w.log.Warn("the store's connection did not close cleanly", "error", err)
	}
	w.conn, w.cache = nil, nil
}

// reconnect undoes disconnect, when the file lets it.
func (w *writer) reconnect() error {
	if w.conn != nil {
		return nil
	}
	conn, err := connect(w.path, writerSetup...)
	if err != nil {
		return err
	}
	w.conn = conn
	if err := w.readCache(); err != nil {
		w.conn = nil
		return errors.Join(err, conn.close())
	}
	return nil
}
