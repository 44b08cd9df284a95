package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Import makes the store at path of the entries. Updates keep their order and change
// their sequences; cursors of the other store mean nothing in it.
//
// It is written as a file beside path, which is put in its place when it is complete,
// counted and on the disk: so path has the old store or the new one at every moment,
// whenever the process dies (see place.go). A store that was at path is kept, under the
// name in Imported.Aside, with its WAL.
//
// The error's code is Conflict when a process has the store open, or when it holds
// anything and o.Replace is not set, and Unavailable when the file cannot be
// written. An error of the entries is returned as it is.
func Import(ctx context.Context, path string, entries iter.Seq2[queue.Entry, error], o queue.ImportOptions) (done queue.Imported, err error) {
	if path, err = resolve(path); err != nil {
		return done, err
	}
	if err := checkDir(filepath.Dir(path)); err != nil {
		return done, err
	}
	if err := checkVolume(path, volumeOf); err != nil {
		return done, err
	}
	locked, err := lock(path + lockSuffix)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, locked.Close()) }()
	if err := finishPlacing(path); err != nil {
		return done, err
	}
	if !o.Replace {
		if err := checkEmpty(path); err != nil {
			return done, err
		}
	}
	done.Counts, err = build(ctx, path, entries, o)
	if err == nil {
		done.Aside, err = place(path)
	}
	if err != nil {
		return queue.Imported{}, errors.Join(err, removeIfThere(path+buildSuffix))
	}
	return done, nil
}

// checkEmpty fails where the store at path holds anything.
func checkEmpty(path string) error {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	held, err := heldAt(path)
	switch {
	case err != nil:
		return gitops.Errorf(gitops.Conflict, "there is a file at %s already, and it cannot be read as a store; with --replace it is kept beside the restored store", path).WithCause(err)
	case held != (queue.Counts{}):
		return errNotEmpty(path, held)
	}
	return nil
}

func errNotEmpty(path string, held queue.Counts) error {
	return gitops.Errorf(gitops.Conflict,
		"the store at %s is not empty (deliveries: %d, lanes: %d, proof keys: %d); with --replace it is kept beside the restored store",
		path, held.Deliveries, held.Lanes, held.ProofKeys)
}

func heldAt(path string) (held queue.Counts, err error) {
	c, err := connect(path, `PRAGMA busy_timeout = 2000`)
	if err != nil {
		return held, err
	}
	version, err := versionOf(c)
	if err == nil && version > 0 {
		held, err = counted(c)
	}
	return held, errors.Join(err, c.close())
}

// build writes a new store to path.restoring and puts it on the disk. What an earlier
// import left there, which ended before its time, is overwritten.
func build(ctx context.Context, path string, entries iter.Seq2[queue.Entry, error], o queue.ImportOptions) (held queue.Counts, err error) {
	file := path + buildSuffix
	if err := removeIfThere(file); err != nil {
		return held, writeError(file, err)
	}
	if _, err := createFile(file); err != nil {
		return held, writeError(file, err)
	}
	// Nobody reads the file before it is complete, so nothing of it need be undone.
	c, err := connect(file, `PRAGMA journal_mode = OFF`, `PRAGMA synchronous = OFF`, `PRAGMA foreign_keys = ON`, `PRAGMA cache_size = -16384`, `PRAGMA temp_store = MEMORY`)
	if err != nil {
		return held, writeError(file, err)
	}
	held, err = fillTables(ctx, c, entries, o)
	if err = errors.Join(err, c.close()); err != nil {
		return held, writeError(file, err)
	}
	if err = ownAs(file, path); err == nil {
		err = syncFile(file)
	}
	return held, writeError(file, err)
}

// fillTables brings the entries into the tables, and counts what they hold.
func fillTables(ctx context.Context, c *connection, entries iter.Seq2[queue.Entry, error], o queue.ImportOptions) (held queue.Counts, err error) {
	if err := createSchema(c, time.Now()); err != nil {
		return held, err
	}
	if err := c.exec(`BEGIN`); err != nil {
		return held, err
	}
	in := importing{c: c, senders: make(map[senderKey]int64), sequences: make(map[string]int64)}
	var given queue.Counts
	for e, err := range entries {
		if err == nil {
			given.Add(e)
			err = in.add(e)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return held, err
		}
	}
	if o.Restored {
		if err := markAllRestored(c.exec); err != nil {
			return held, err
		}
	}
	if err := c.exec(`COMMIT`); err != nil {
		return held, err
	}
	if held, err = counted(c); err == nil && held != given {
		err = errContradiction(fmt.Errorf("given were %+v, and the tables hold %+v", given, held))
	}
	return held, err
}

// markRestored says of a store that goes on from a backup: what is in it may have been
// written by the store that went on meanwhile, whatever its lanes' holders had done
// before. So it is looked for on the branch first; so is what failed and is retried.
const markRestored = `UPDATE lanes SET maybe_pushed_through = (SELECT max(sequence) FROM updates) WHERE EXISTS (SELECT 1 FROM updates)`

// skipHolds keeps the ids that it does not know of holds from being given again.
const skipHolds = `UPDATE hold_numbers SET highest = highest + ?`

// pollAgain has every poll begin with a first scan.
const pollAgain = `UPDATE checkpoints SET value = '' WHERE substr(name, 1, length(?1)) = ?1`

// markAllRestored does what a restore does to what it brought back.
func markAllRestored(exec func(text string, args ...any) error) error {
	if err := exec(markRestored); err != nil {
		return err
	}
	if err := exec(skipHolds, queue.RestoredSkip); err != nil {
		return err
	}
	return exec(pollAgain, queue.PollCheckpoint)
}

// MarkRestored says that the file at path was brought back by other means than
// [Import]: by a snapshot of its volume, or as a copy. The error's code is Conflict
// when a process has it open, and NotFound when there is no store.
func MarkRestored(ctx context.Context, path string) (err error) {
	if !Exists(path) {
		return gitops.Errorf(gitops.NotFound, "there is no store at %s", path)
	}
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.writer.do(ctx, func(tx *tx) error { return markAllRestored(tx.exec) })
}

// writeError says why a file cannot be written. An error of the entries stays as it is.
func writeError(file string, err error) error {
	if err == nil {
		return nil
	}
	var domain *gitops.Error
	if errors.As(err, &domain) {
		return err
	}
	switch resultCode(err) {
	case 0:
		var path *fs.PathError
		if !errors.As(err, &path) {
			return err
		}
	case lib.SQLITE_FULL, lib.SQLITE_IOERR:
		return gitops.Errorf(gitops.Unavailable, "%s cannot be written: is there room for it?", file).WithCause(err)
	case lib.SQLITE_CONSTRAINT:
		return errContradiction(err)
	}
	return gitops.Errorf(gitops.Unavailable, "%s cannot be written", file).WithCause(err)
}

func errContradiction(cause error) error {
	return gitops.Errorf(gitops.Invalid, "what is to be imported contradicts itself").WithCause(cause)
}
