// Package postgres is the durable queue in a PostgreSQL database, for any number
// of replicas at once.
//
// # One order
//
// Every change is one call of a function that the migrations made: one message
// to the server and one transaction. Those that bring or change updates take turns
// (take_turn), before they read anything, and until they are committed. So numbers
// follow the order of the commits on all replicas, and no lock ever waits for a client:
// a replica that is paused or cut off in the middle of a call leaves one that the server
// finishes or drops by itself.
//
// Each replica brings all deliveries that wait in one call, so that many share
// one round trip, one turn and one fsync.
//
// # Whose clock
//
// The server's: leases run out, and updates are accepted, by its clock. Replicas
// whose clocks differ cannot take a lane from each other early.
//
// # Who is alive
//
// Each store keeps one session of the server (session.go) that holds an advisory lock
// under a random key, and the key stands in the leases that the store holds. When the
// process dies, its kernel closes the connection, the server drops the lock, and the
// next claim by anybody takes the leases over. A lease whose holder is paused, and
// whose kernel so keeps the connection, is taken over when it has run out. One whose
// holder is cut off from the server is taken over when the server has noticed that
// (about ten seconds), or when it has run out, whichever is first.
//
// A holder that lost its lease in one of these ways may not know yet. It can still push
// to the manifest repository, where the branch takes the push only if it has not moved;
// nothing that it reports is recorded, since the lease's token has risen; and its
// successor finds what it pushed, since the claim marked it MaybePushed.
//
// # What is never known
//
// A connection that breaks while a call is under way leaves open whether it was
// committed. The caller gets Unavailable and asks again: the delivery is then a
// duplicate, the report stands already, the lane is claimed once more by its own
// holder.
//
// # Hints
//
// NOTIFY tells the other replicas what was accepted. It is a hint: it is sent after the
// commit, a process may die before that, and the connection that listens may be down.
// Whoever waits looks from time to time.
package postgres

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/group"
)

// Options are what a store is given. The zero value is usable.
type Options struct {
	// Now is the clock in the place of the server's; for tests. Called by many
	// goroutines.
	Now      func() time.Time
	Logger   *slog.Logger // nothing is logged when nil
	Recorder Recorder     // nothing is recorded when nil
}

// Recorder is told how the store does. It must not block.
type Recorder interface {
	// Committed is called for every transaction that brought deliveries: how many
	// requests shared it, and how long it took from its begin to its end. It is called
	// by one goroutine.
	Committed(requests int, took time.Duration)

	// Answered is called at the end of each call, by many goroutines: whether the server
	// did what it was asked for, in its time. A call that its caller gave up says nothing
	// of the server, and is not told.
	Answered(kind queue.CallKind, ok bool)
}

// Store is a [queue.Queue] in a database.
type Store struct {
	pool     *pgxpool.Pool
	now      func() time.Time // nil: the server's clock
	log      *slog.Logger
	recorder Recorder
	accepts  *group.Committer[*acceptance]
	failing  bool          // the last group was not committed, and the log says so; of the committer's goroutine
	reading  chan struct{} // holds a value for each read that runs
	session  *session
	hints    *hints
	horizons horizons

	closing sync.Once
	closed  atomic.Bool
}

var _ queue.Queue = (*Store)(nil)

// Open opens the store at the address, and brings its tables up to this
// program's version. The database must exist.
//
// The error's code is Invalid when the address is wrong, and Unavailable when the
// database cannot be used; the sentence says why.
func Open(ctx context.Context, a Address, o Options) (*Store, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Recorder == nil {
		o.Recorder = unrecorded{}
	}
	// The pool fills itself as long as its context lasts, which is not this one.
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, domainError(err)
	}
	s := &Store{pool: pool, now: o.Now, log: o.Logger, recorder: o.Recorder, reading: make(chan struct{}, max(1, config.MaxConns/2))}
	if err := s.start(ctx, config); err != nil {
		pool.Close()
		return nil, domainError(err)
	}
	return s, nil
}

// start prepares the tables, and starts what runs beside the calls.
func (s *Store) start(ctx context.Context, config *pgxpool.Config) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	channel, err := channelOf(ctx, s.pool)
	if err != nil {
		return err
	}
	s.hints = startHints(s, channel)
	if s.session, err = openSession(ctx, s, config, channel); err != nil {
		s.hints.stop()
		return err
	}
	s.accepts = group.Start(s.groups())
	return nil
}

// nowArg is the time that a call gives the server: null, which stands for the
// server's own clock, unless a test has another.
func (s *Store) nowArg() *time.Time {
	if s.now == nil {
		return nil
	}
	now := s.now()
	return &now
}

// call runs work, which changes something, with a time limit, and returns its error in
// the contract's terms.
func (s *Store) call(ctx context.Context, work func(context.Context) error) error {
	return s.ask(ctx, queue.Writing, work)
}

func (s *Store) ask(ctx context.Context, kind queue.CallKind, work func(context.Context) error) error {
	return s.within(ctx, callTime, kind, work)
}

// within runs work with a time limit of its own.
func (s *Store) within(ctx context.Context, limit time.Duration, kind queue.CallKind, work func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := work(bounded)
	if err != nil && s.closed.Load() {
		return errClosed()
	}
	// A question that is too slow is no fault of the server's.
	if ctx.Err() == nil && (kind == queue.Writing || sqlState(err) != canceled) {
		s.recorder.Answered(kind, !away(err))
	}
	return domainError(err)
}

// away reports whether err says that the server did not do what it was asked for, which
// concerns everybody.
func away(err error) bool {
	return err != nil && gitops.CodeOf(domainError(err)) == gitops.Unavailable
}

// read is call for what only reads. At most half of the connections do: however
// many ask, and however slow the answers are, there is one for what is accepted,
// extended and reported.
func (s *Store) read(ctx context.Context, work func(context.Context) error) error {
	waiting, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
		return s.ask(ctx, queue.Reading, work)
	case <-waiting.Done():
		return domainError(waiting.Err())
	}
}

// view runs work with a time limit on a transaction in which all that is read is
// of one moment.
func (s *Store) view(ctx context.Context, work func(context.Context, pgx.Tx) error) error {
	return s.read(ctx, func(ctx context.Context) error {
		return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			return work(ctx, tx)
		})
	})
}

// querier is a connection, a transaction, or the pool.
type querier interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, text string, args ...any) pgx.Row
}

// one runs a query that answers with one row, and reports whether it did.
func one(ctx context.Context, on querier, text string, args []any, into ...any) (found bool, err error) {
	err = on.QueryRow(ctx, text, args...).Scan(into...)
	if err == pgx.ErrNoRows {
		return false, nil
	}
	return err == nil, err
}

// Ping implements [queue.Queue]. It does what a delivery does, but for the
// delivery: it takes its turn and writes to the disk.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `SELECT next_numbers(0)`)
		return err
	})
}

// Close implements [queue.Queue]. It waits for the calls that are under way;
// deliveries that still wait get Unavailable. Leases that were not released can be
// claimed at once by others, as those of a process that died.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		s.accepts.Stop()
		s.hints.stop()
		s.session.close()
		s.pool.Close()
	})
	return nil
}

// clean is text as the tables can hold it: PostgreSQL's text has neither the
// byte 0 nor what is not UTF-8, and a sender's id or name may have both.
func clean[T ~string](text T) T {
	return T(strings.ReplaceAll(strings.ToValidUTF8(string(text), "\uFFFD"), "\x00", "\uFFFD"))
}

func cleanKey(k gitops.DeliveryKey) gitops.DeliveryKey {
	return gitops.DeliveryKey{Source: clean(k.Source), ID: clean(k.ID)}
}

type unrecorded struct{}

func (unrecorded) Committed(int, time.Duration) {}

func (unrecorded) Answered(queue.CallKind, bool) {}
