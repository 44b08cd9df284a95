package postgres

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	listenCheck = 30 * time.Second // how often a silent connection is asked whether it is still there
	listenWait  = 2 * time.Second  // between attempts to connect
)

// listen passes the server's notifications on as hints until ctx ends. While it
// is not connected hints are missed, so it gives one to everybody when it is
// again.
func (s *Store) listen(ctx context.Context, config *pgx.ConnConfig, before func(context.Context, *pgx.ConnConfig) error) {
	failing := false
	for ctx.Err() == nil {
		err := s.listenOnce(ctx, config.Copy(), before, func() {
			if failing {
				s.log.Info("the store hears of other replicas' deliveries again")
			}
			failing = false
			s.wakes.WakeAll()
			s.changed.Send()
		})
		if ctx.Err() != nil {
			return
		}
		if !failing {
			failing = true
			s.log.Warn("the store does not hear of other replicas' deliveries: they are found by looking", slog.String("err", err.Error()))
		}
		select {
		case <-time.After(listenWait):
		case <-ctx.Done():
		}
	}
}

// listenOnce listens on one connection until it breaks.
func (s *Store) listenOnce(ctx context.Context, config *pgx.ConnConfig, before func(context.Context, *pgx.ConnConfig) error, connected func()) error {
	if err := before(ctx, config); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(bye)
	}()
	if _, err := conn.Exec(ctx, `LISTEN tallyman`); err != nil {
		return err
	}
	connected()
	for {
		wait, cancel := context.WithTimeout(ctx, listenCheck)
		n, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			if n.Payload != "" {
				s.wakes.Wake(n.Payload)
			}
			s.changed.Send()
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
