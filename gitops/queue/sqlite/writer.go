package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// groupSize bounds how many requests share a transaction, and so how long the
// first of them waits for the last and how many pages one commit writes.
const groupSize = 512

// writerSetup makes the one connection that writes. Checkpoints are ours to
// time: see checkpoint.go.
var writerSetup = []string{
	`PRAGMA busy_timeout = 2000`, // another program's lock: senders give up after 5 s
	`PRAGMA synchronous = FULL`,
	`PRAGMA foreign_keys = ON`,
	`PRAGMA wal_autocheckpoint = 0`,
	`PRAGMA cache_size = -4096`, // 4 MiB: the inner pages of the unique indexes; the leaves come from the kernel
	`PRAGMA temp_store = MEMORY`,
}

// request is one caller's part of a group.
type request struct {
	work func(*tx) error // may run twice; what it leaves the second time counts
	// taken goes from false to true once: set by the writer, the request is
	// answered with what became of it; set by the caller, it is dropped.
	taken atomic.Bool
	err   error         // the answer, when done is closed
	done  chan struct{} // closed by the writer
}

// writer runs every change of the file, in groups: one transaction and one
// fsync for all requests that wait. There is no timer; while one group syncs the
// next one forms.
//
// A crash before COMMIT returned leaves nothing of the group, or all of it; no
// caller was answered.
type writer struct {
	path     string
	now      func() time.Time
	log      *slog.Logger
	recorder Recorder
	wakes    *queue.Wakes
	changed  *queue.Signal
	counts   *counts

	mu      sync.Mutex
	arrived sync.Cond // on mu: waiting is not empty, or closed
	waiting []*request
	closed  bool

	// The writer's goroutine owns these.
	conn       *connection          // nil after a fault, until the next group
	known      *knowledge           // of the file as conn sees it
	leases     map[string]time.Time // when each environment's lease runs out
	failing    bool                 // the last group failed, and the log says so
	spare      []*request           // the last group's slice, to be used again
	checkpoint *checkpointer

	stopped chan struct{}
	ended   error // of closing conn, when stopped is closed
}

// startWriter starts the writer's goroutine on c, which is the writer's from
// then on, also when an error is returned.
func startWriter(s *Store, c *connection, recorder Recorder) (*writer, error) {
	w := &writer{
		path: s.path, now: s.now, log: s.log, recorder: recorder, wakes: &s.wakes, changed: &s.changed, counts: &s.counts,
		conn: c, leases: make(map[string]time.Time), stopped: make(chan struct{}),
	}
	w.arrived.L = &w.mu
	known, err := readKnowledge(c)
	if err == nil {
		w.checkpoint, err = startCheckpointer(s.path, s.log)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	w.known = known
	w.counts.reset(known.pending)
	go w.run()
	return w, nil
}

// do runs work in a transaction of the writer's and returns when that is
// durable, or with the reason why nothing was changed. When ctx ends before work
// began it never begins; afterwards ctx is not asked.
func (w *writer) do(ctx context.Context, work func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return domainError(err)
	}
	r := &request{work: work, done: make(chan struct{})}
	if !w.enqueue(r) {
		return errClosed()
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			r.work = nil // lets go of the body while the request waits to be dropped
			return domainError(ctx.Err())
		}
		<-r.done
	}
	return r.err
}

func (w *writer) enqueue(r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.waiting = append(w.waiting, r)
	if len(w.waiting) == 1 {
		w.arrived.Signal()
	}
	return true
}

// stop lets the group that is under way finish, answers what waits with
// Unavailable, and closes the connection.
func (w *writer) stop() error {
	w.mu.Lock()
	w.closed = true
	w.arrived.Signal()
	w.mu.Unlock()
	<-w.stopped
	return w.ended
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		group, closed := w.next()
		if closed {
			answer(group, errClosed())
			break
		}
		if len(group) > 0 {
			w.commit(group)
		}
		clear(group) // lets go of the bodies
	}
	w.ended = errors.Join(w.checkpoint.stop(), w.finish())
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

// next waits for requests and returns those of them that nobody gave up, or all
// that wait once the store closes.
func (w *writer) next() (group []*request, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.waiting) == 0 && !w.closed {
		w.arrived.Wait()
	}
	w.gather()
	n := len(w.waiting)
	if !w.closed {
		n = min(n, groupSize)
	}
	group = w.spare[:0]
	for _, r := range w.waiting[:n] {
		if r.taken.CompareAndSwap(false, true) {
			group = append(group, r)
		}
	}
	rest := copy(w.waiting, w.waiting[n:])
	clear(w.waiting[rest:])
	w.waiting = w.waiting[:rest]
	w.spare = group
	return group, w.closed
}

// gather lets the goroutines that can run go first, for as long as more requests
// come of it and the group is not full. Those that the last group answered are
// still on their way to the next request when it ends; without this, the writer
// would take the first few of them and leave the rest to wait for another fsync.
// Nobody is waited for who has something else to do: an idle store commits at
// once. The caller has the lock.
func (w *writer) gather() {
	for n := 0; n < len(w.waiting) && n < groupSize && !w.closed; {
		n = len(w.waiting)
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
}

// commit runs a group in one transaction and answers it.
func (w *writer) commit(group []*request) {
	err := w.attempt(group)
	switch {
	case errors.Is(err, errSpoiled):
		for i := range group {
			w.commit(group[i : i+1])
		}
		return
	case err != nil:
		w.fail(group, err)
		return
	}
	if w.failing {
		w.failing = false
		w.log.Info("the store can write again")
	}
	for _, r := range group {
		close(r.done)
	}
	w.checkpoint.after(w.conn)
}

// errSpoiled says that a group was rolled back for the sake of one request.
var errSpoiled = errors.New("one request of the group failed half-way")

// attempt runs the group's requests in one transaction. A request's own error is
// its answer; an error returned is everybody's, and says that nothing is known
// to have changed.
//
// A request that fails after it wrote spoils the transaction. A savepoint would
// undo it alone, but every request would pay for one with copies of the pages it
// changes. So the group is rolled back and each request runs again by itself.
func (w *writer) attempt(group []*request) error {
	tx, err := w.begin()
	if err != nil {
		return err
	}
	for _, r := range group {
		before := tx.writes
		r.err = domainError(r.work(tx))
		if broken(r.err) {
			return r.err
		}
		if r.err == nil || tx.writes == before {
			continue
		}
		if err := tx.exec(`ROLLBACK`); err != nil || len(group) == 1 {
			return err
		}
		return errSpoiled
	}
	return tx.commit(len(group))
}

// fail answers a group whose transaction failed. What it was told, or had known,
// is read again from the file by the next group.
func (w *writer) fail(group []*request, err error) {
	if !w.failing {
		w.failing = true
		w.log.Error("the store cannot write", "err", err)
	}
	w.disconnect()
	unavailable := domainError(err)
	if gitops.CodeOf(unavailable) != gitops.Unavailable {
		unavailable = gitops.Errorf(gitops.Unavailable, "the store could not write").WithCause(err)
	}
	answer(group, unavailable)
}

// answer gives every request of the group the same error.
func answer(group []*request, err error) {
	for _, r := range group {
		r.err = err
		close(r.done)
	}
}

// disconnect drops the connection, and with it whatever its transaction did.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	if err := w.conn.close(); err != nil {
		w.log.Warn("the store's connection did not close cleanly", "err", err)
	}
	w.conn, w.known = nil, nil
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
	known, err := readKnowledge(conn)
	if err != nil {
		return errors.Join(err, conn.close())
	}
	w.conn, w.known = conn, known
	w.counts.reset(known.pending)
	return nil
}
