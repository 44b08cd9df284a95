package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	sessionCheck = 5 * time.Second // how often a silent session is asked whether it is still there
	sessionWait  = time.Second     // between attempts to connect
)

// sessionSettings are beside those of the other connections, of which only few
// concern a session that is silent. A client that is cut off, with its process alive,
// sends nothing that ends the connection: the server ends it by itself when the client's
// kernel has answered no probe for ten seconds, or taken no notification for as long.
const sessionSettings = `SELECT
	set_config('tcp_keepalives_idle', '4', false),
	set_config('tcp_keepalives_interval', '2', false),
	set_config('tcp_keepalives_count', '3', false),
	set_config('tcp_user_timeout', '10s', false),
	(SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout')` // which PostgreSQL 14 brought

// inUse is the advisory lock that the session of every open store shares: whoever has it
// alone may replace the tables. As with take_turn it is the schema's own.
const inUse = `x'74616c6d'::integer, ('counter'::regclass::oid::bigint - 2147483648)::integer`

// session is the store's own session of the server. It holds an advisory lock for as
// long as the process lives, by which others know whether the store's leases are held,
// and it hears of what the other replicas do.
//
// A session that breaks while the process lives is replaced by one with another key,
// which its leases are bound to at once. Until then, leases that are claimed or extended
// are bound to none and end with their time alone; those that were bound to the broken
// session can be claimed by others, which is what happens to a holder that is paused,
// too.
type session struct {
	store   *Store
	config  *pgx.ConnConfig
	before  func(context.Context, *pgx.ConnConfig) error
	channel string

	key    atomic.Int64 // of the advisory lock; 0 without a session
	last   int64        // the key before that; of the goroutine
	stop   context.CancelFunc
	ending sync.WaitGroup
}

// openSession connects, and keeps connected until close.
func openSession(ctx context.Context, s *Store, config *pgxpool.Config, channel string) (*session, error) {
	se := &session{store: s, config: config.ConnConfig, before: config.BeforeConnect, channel: channel}
	conn, err := se.connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, se.stop = context.WithCancel(context.WithoutCancel(ctx))
	se.ending.Go(func() { se.run(ctx, conn) })
	return se, nil
}

// close gives the advisory lock back and ends the session.
func (se *session) close() {
	se.stop()
	se.ending.Wait()
}

// keyArg is what the leases are bound to; null where there is no session.
func (se *session) keyArg() *int64 {
	if key := se.key.Load(); key != 0 {
		return &key
	}
	return nil
}

// connect opens the connection, takes the lock and listens. The server that it comes to
// may be another than before, which took over without the last reports.
func (se *session) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	config := se.config.Copy()
	if err := se.before(ctx, config); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	key := rand.Int64()
	for _, text := range []string{
		sessionSettings,
		`SELECT pg_advisory_lock_shared(` + inUse + `)`,
		fmt.Sprintf(`SELECT pg_advisory_lock(%d)`, key),
		`LISTEN ` + se.channel,
		fmt.Sprintf(`SELECT rebind(%d, %d)`, se.last, key),
	} {
		if _, err := conn.Exec(ctx, text); err != nil {
			se.end(ctx, conn)
			return nil, err
		}
	}
	if se.last != 0 { // Open has looked already
		if err := se.store.noticeRestoreOn(ctx, conn); err != nil {
			se.end(ctx, conn)
			return nil, err
		}
	}
	se.last = key
	se.key.Store(key)
	return conn, nil
}

// end closes the connection. The lock is given back before that: the server ends a
// session a moment after its client has left.
func (se *session) end(ctx context.Context, conn *pgx.Conn) {
	se.key.Store(0)
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = conn.Exec(bye, `SELECT pg_advisory_unlock_all()`)
	_ = conn.Close(bye)
}

// run passes the server's notifications on as hints until ctx ends. While it is not
// connected hints are missed, so it gives one to everybody when it is again.
func (se *session) run(ctx context.Context, conn *pgx.Conn) {
	for {
		err := se.follow(ctx, conn)
		se.end(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		se.store.log.Warn("LISTEN connection lost, polling instead", slog.String("error", err.Error()))
		for conn, err = se.connect(ctx); err != nil; conn, err = se.connect(ctx) {
			select {
			case <-time.After(sessionWait):
			case <-ctx.Done():
				return
			}
		}
		se.store.log.Info("LISTEN connection restored")
		se.store.hints.all()
	}
}

// follow returns when the connection breaks or ctx ends.
func (se *session) follow(ctx context.Context, conn *pgx.Conn) error {
	for {
		wait, cancel := context.WithTimeout(ctx, sessionCheck)
		n, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			se.store.hints.local(n.Payload)
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return err
		default:
			ping, cancel := context.WithTimeout(ctx, connectTime)
			err := conn.Ping(ping)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}
