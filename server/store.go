package server

import (
	"context"
	"fmt"
	"io"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
	"github.com/tallyman-dev/tallyman/server/config"
)

// checkAddress reports what is wrong with the address of a store of PostgreSQL.
func checkAddress(c config.Config) error {
	if _, isFile := c.StoreFile(); isFile {
		return nil // config has checked it
	}
	return storeAddress(c).Validate()
}

// newStore opens the store that is configured.
func (s *Server) newStore(ctx context.Context) (queue.Queue, error) {
	recorder := storeRecorder{s.metrics.store, s.health}
	if path, isFile := s.current().config.StoreFile(); isFile {
		return sqlite.Open(ctx, path, sqlite.Options{Logger: s.logger, Recorder: recorder, Volume: s.volume})
	}
	return postgres.Open(ctx, storeAddress(s.current().config), postgres.Options{Logger: s.logger, Recorder: recorder})
}

// storeAddress is the address of a configured store of PostgreSQL.
func storeAddress(c config.Config) postgres.Address {
	return postgres.Address{URL: c.Store, PasswordFile: c.StorePasswordFile}
}

// CheckStore reports whether Start could open the store, and prints a warning for what
// will make it slow in time. It changes nothing, and a server that runs meanwhile is no
// obstacle.
func (s *Server) CheckStore(ctx context.Context, out io.Writer) error {
	if path, isFile := s.current().config.StoreFile(); isFile {
		return sqlite.Check(path, sqlite.Options{Volume: s.volume})
	}
	warnings, err := postgres.Check(ctx, storeAddress(s.current().config))
	for _, w := range warnings {
		fmt.Fprintf(out, "warning: store: %s\n", w)
	}
	return err
}
