package server

import (
	"context"
	"fmt"
	"io"

	"github.com/tallyman-dev/tallyman/gitops"
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
	return postgres.Address{URL: c.Store, PasswordFile: c.StorePasswordFile}.Validate()
}

// newStore opens the store that is configured.
func (s *Server) newStore(ctx context.Context) (queue.Queue, error) {
	recorder := storeRecorder{s.metrics.store, s.health}
	if path, isFile := s.config.StoreFile(); isFile {
		return sqlite.Open(ctx, path, sqlite.Options{Logger: s.logger, Recorder: recorder, Volume: s.volume})
	}
	address := postgres.Address{URL: s.config.Store, PasswordFile: s.config.StorePasswordFile}
	return postgres.Open(ctx, address, postgres.Options{Logger: s.logger, Recorder: recorder})
}

// Backup writes the configured store to a new file, whether a server runs on it
// or not; see [sqlite.Backup].
func Backup(ctx context.Context, c config.Config, file string) error {
	path, isFile := c.StoreFile()
	if !isFile {
		return gitops.FieldErrorf("store", "is a database of PostgreSQL: back it up with pg_dump, or as your provider does")
	}
	return sqlite.Backup(ctx, path, file)
}

// CheckStore reports whether Start could open the store, and prints a warning for what
// will make it slow in time. It changes nothing, and a server that runs meanwhile is no
// obstacle.
func (s *Server) CheckStore(ctx context.Context, out io.Writer) error {
	if path, isFile := s.config.StoreFile(); isFile {
		return sqlite.Check(path, sqlite.Options{Volume: s.volume})
	}
	warnings, err := postgres.Check(ctx, postgres.Address{URL: s.config.Store, PasswordFile: s.config.StorePasswordFile})
	for _, w := range warnings {
		fmt.Fprintf(out, "warning: store: %s\n", w)
	}
	return err
}
