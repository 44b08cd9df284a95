package server

import (
	"context"
	"io"
	"iter"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/archive"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
	"github.com/tallyman-dev/tallyman/server/backup"
	"github.com/tallyman-dev/tallyman/server/config"
)

// BackupSource is the configured store, whether a server runs on it or not.
func BackupSource(c config.Config, v Version) backup.Source {
	export := func(ctx context.Context) iter.Seq2[queue.Entry, error] {
		if path, isFile := c.StoreFile(); isFile {
			return sqlite.Export(ctx, path)
		}
		return postgres.Export(ctx, storeAddress(c))
	}
	return backup.Source{Export: export, Program: v.Version}
}

// Restored is what a restore did.
type Restored struct {
	queue.Imported
	Backup archive.Info
}

// Restore makes the configured store of a backup, whichever store that is of. With
// replace a store that holds something is kept aside, and else it is an error whose code
// is Conflict, as is a store that a server has open. Whatever goes wrong, also a backup
// that is damaged or cut off, the store stays as it was. What may have been pushed since
// the backup is marked: see [queue.ImportOptions].
func Restore(ctx context.Context, c config.Config, from io.Reader, replace bool) (done Restored, err error) {
	r, err := archive.NewReader(from)
	if err != nil {
		return done, err
	}
	done.Backup = r.Info
	o := queue.ImportOptions{Restored: true, Replace: replace}
	if path, isFile := c.StoreFile(); isFile {
		done.Imported, err = sqlite.Import(ctx, path, r.Entries(), o)
	} else {
		done.Imported, err = postgres.Import(ctx, storeAddress(c), r.Entries(), o)
	}
	return done, err
}

// MarkRestored says that the configured store was brought back by other means than
// [Restore]. The error's code is Conflict while a server has it open.
func MarkRestored(ctx context.Context, c config.Config) error {
	if path, isFile := c.StoreFile(); isFile {
		return sqlite.MarkRestored(ctx, path)
	}
	return postgres.MarkRestored(ctx, storeAddress(c))
}
