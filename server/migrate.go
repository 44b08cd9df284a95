package server

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// MigrateStore brings everything that the store of SQLite holds into the empty
// one of PostgreSQL, and returns how much that then holds: all, or nothing when
// it returns an error. Both are addresses as in the configuration. The first
// store must not be in use; it is brought up to this program's version, and else
// stays as it is.
//
// The error's code is Invalid for an address that is wrong, naming the field from,
// to or toPasswordFile; NotFound when there is no store; Conflict when one of
// them is in use, or the second not empty.
func MigrateStore(ctx context.Context, from, to, toPasswordFile string) (held queue.Counts, err error) {
	path, isFile := strings.CutPrefix(from, "sqlite://")
	if !isFile || !filepath.IsAbs(path) {
		return held, gitops.FieldErrorf("from", "must be sqlite:// and the absolute path of a file")
	}
	address := postgres.Address{URL: to, PasswordFile: toPasswordFile}
	if err := address.Validate(); err != nil {
		var e *gitops.Error
		if errors.As(err, &e) {
			e.Field = map[string]string{"store": "to", "storePasswordFile": "toPasswordFile"}[e.Field]
		}
		return held, err
	}
	if !sqlite.Exists(path) { // opening it would make one
		return held, gitops.Errorf(gitops.NotFound, "there is no store at %s", path)
	}
	source, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return held, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	done, err := postgres.Import(ctx, address, source.Export(ctx), queue.ImportOptions{})
	return done.Counts, err
}
