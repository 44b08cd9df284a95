package simulation

import (
	"context"
	"errors"
	"flag"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

var postgresFlag = flag.Int("postgres", usual/10, "how many schedules TestSchedulesOnPostgres plays")

// TestSchedulesOnPostgres plays the schedules of the same seeds with the real store
// on a PostgreSQL server.
func TestSchedulesOnPostgres(t *testing.T) {
	playSchedules(t, *postgresFlag, startDatabase(t, startServer(t)).newStore)
}

// database is a store on a PostgreSQL server, for one schedule after the other.
//
// What has a socket lives outside of the schedules' bubbles: the stores, with what
// their sessions hear, and the goroutine that calls them. A goroutine of a bubble that
// waits for that one is not durably blocked in the sense of testing/synctest, so the fake
// time stands still until the server has answered: a call takes no time.
type database struct {
	address postgres.Address
	calls   chan func()
	done    chan struct{}
	clock   atomic.Int64 // the server's time, as the stores have it: nanoseconds since 1970

	// For the calls.
	conn   *pgx.Conn       // the superuser's, who may copy tables without their triggers
	reader *postgres.Store // reads what the processes of a schedule have written
	tables []string
	empty  copies            // of the tables that the migrations have left
	idle   []*postgres.Store // a process of an earlier schedule had them
}

// startServer starts a server that saves time: no power is lost here, and a schedule has
// hundreds of transactions of few statements.
func startServer(t *testing.T) *postgrestest.Server {
	t.Helper()
	return postgrestest.Start(t, "fsync=off", "plan_cache_mode=force_generic_plan")
}

// startDatabase makes a store, outside of bubbles. It is closed when the test ends.
func startDatabase(t *testing.T, server *postgrestest.Server) *database {
	t.Helper()
	d := &database{address: postgres.Address{URL: server.Schema(t)}, calls: make(chan func()), done: make(chan struct{})}
	ctx := context.WithoutCancel(t.Context())
	if err := d.open(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(d.calls)
		errs := []error{d.conn.Close(ctx), d.reader.Close()}
		for _, s := range d.idle {
			errs = append(errs, s.Close())
		}
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for call := range d.calls {
			call()
			d.done <- struct{}{}
		}
	}()
	return d
}

func (d *database) open(ctx context.Context) (err error) {
	if d.reader, err = d.connect(ctx); err != nil {
		return err
	}
	if d.conn, err = pgx.Connect(ctx, d.address.URL); err == nil {
		err = d.lookAtTables(ctx)
	}
	if err != nil {
		return errors.Join(err, d.reader.Close())
	}
	return nil
}

// connect opens a session and a pool of connections, as a process of the service does.
func (d *database) connect(ctx context.Context) (*postgres.Store, error) {
	if n := len(d.idle); n > 0 {
		s := d.idle[n-1]
		d.idle = d.idle[:n-1]
		return s, nil
	}
	return postgres.Open(ctx, d.address, postgres.Options{Now: func() time.Time { return time.Unix(0, d.clock.Load()).UTC() }})
}

// run has work done outside of the bubble, at a time of the bubble's. There is one
// call at a time.
func (d *database) run(at time.Time, work func(context.Context) error) (err error) {
	d.clock.Store(at.UnixNano())
	d.calls <- func() { err = work(context.Background()) }
	<-d.done
	return err
}
