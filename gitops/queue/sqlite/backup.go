package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	lib "modernc.org/sqlite/lib"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Backup writes the store at path, as it is at one moment, to a new file, which
// is then a store that opens. The store may be in use, by this process or
// another: it is only read, its writer is not held up, and what is accepted
// meanwhile is not in the copy. Beside a store that is not in use it may leave
// SQLite's empty -wal and -shm, which the next start uses.
//
// The file appears whole and on the disk, or not at all. The error's code is
// Conflict when something of its name is there, NotFound when there is no store,
// and Unavailable when the store cannot be read, is damaged, or the file cannot
// be written.
func Backup(ctx context.Context, path, file string) error {
	if _, err := os.Stat(path); err != nil {
		return gitops.Errorf(gitops.NotFound, "there is no store at %s", path).WithCause(err)
	}
	c, err := connectTo(path, "ro", `PRAGMA busy_timeout = 5000`, `PRAGMA temp_store = MEMORY`)
	if err != nil {
		return openError(path, err)
	}
	err = backup(ctx, c, file)
	if resultCode(err) != 0 {
		err = openError(path, err)
	}
	return errors.Join(err, c.close())
}

func backup(ctx context.Context, c *connection, file string) error {
	switch version, err := versionOf(c); {
	case err != nil:
		return err
	case version == 0:
		return gitops.Errorf(gitops.NotFound, "the store is empty: tallyman was never started with it")
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return gitops.Errorf(gitops.Conflict, "%s is there already: a backup does not overwrite", file)
	}
	part, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // readable by its owner alone
	if err != nil {
		return gitops.Errorf(gitops.Unavailable, "%s cannot be written", file).WithCause(err)
	}
	err = copyInto(ctx, c, part.Name())
	if err == nil {
		err = publish(part, file)
	}
	return errors.Join(err, part.Close(), removeIfThere(part.Name()))
}

// copyInto writes what c reads into the empty file at path, and looks through it
// for damage. VACUUM INTO reads in one transaction, which in WAL mode no writer
// waits for (sqlite.org/lang_vacuum.html#vacuuminto).
func copyInto(ctx context.Context, c *connection, path string) error {
	err := c.query(ctx, `VACUUM INTO ?`, []any{path}, func(row) error { return nil })
	switch resultCode(err) {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR:
		return gitops.Errorf(gitops.Unavailable, "the copy cannot be written: is there room for it?").WithCause(err)
	}
	if err != nil {
		return err
	}
	written, err := connectTo(path, "rw")
	if err != nil {
		return err
	}
	found, err := written.pragma(`PRAGMA quick_check(1)`)
	if err == nil && found != "ok" {
		err = gitops.Errorf(gitops.Unavailable, "the store is damaged: its copy is, too").WithCause(fmt.Errorf("quick_check: %v", found))
	}
	if err == nil {
		// What waits in the copy is written by the store that goes on, whatever the
		// lanes' holders had done when it was made; so is what failed and is retried.
		err = written.exec(`UPDATE lanes SET maybe_pushed_through = (SELECT max(sequence) FROM updates) WHERE EXISTS (SELECT 1 FROM updates)`)
	}
	return errors.Join(err, written.close())
}

// publish gives the part its name, and puts both on the disk.
func publish(part *os.File, file string) error {
	err := part.Sync()
	if err == nil {
		err = os.Rename(part.Name(), file)
	}
	if err == nil {
		err = syncDir(filepath.Dir(file))
	}
	if err != nil {
		return gitops.Errorf(gitops.Unavailable, "%s cannot be written", file).WithCause(err)
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
