package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tallyman-dev/tallyman/gitops"
)

// A new file takes the place of the store's in these steps, under the store's lock:
//
//  1. It is written to path.restoring, and put on the disk. Whoever finds that file
//     knows that its writer died, and removes it.
//  2. It is renamed to path.restored. This decides: from here on the new store is the
//     store, and whoever opens path does the steps that are left.
//  3. The old file's WAL is renamed to path.replaced-TIME-wal, the old file to
//     path.replaced-TIME. TIME is when the new file was written, so that whoever goes on
//     after a crash finds the same names. The WAL goes first: a file without its WAL is
//     an older state of the store, and nobody opens it while path.restored is there.
//  4. path.restored is renamed to path.
const (
	buildSuffix   = ".restoring"
	decidedSuffix = ".restored"
)

// place puts path.restoring in the place of path, and returns where the file that was
// there is now, if there was one.
func place(path string) (aside string, err error) {
	err = os.Rename(path+buildSuffix, path+decidedSuffix)
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return "", writeError(path, err)
	}
	if aside, err = replace(path); err != nil {
		return "", gitops.Errorf(gitops.Unavailable, "the new store is complete, in %s, and could not be put in its place: the next start does it", path+decidedSuffix).WithCause(err)
	}
	return aside, nil
}

// finishPlacing does what is left of a placing whose process died, and removes what a
// writer left that died before. The caller has the lock.
func finishPlacing(path string) error {
	_, err := replace(path)
	if err == nil {
		err = removeIfThere(path + buildSuffix)
	}
	if err != nil {
		return writeError(path, err)
	}
	return nil
}

// replace does steps 3 and 4 where step 2 was done.
func replace(path string) (aside string, err error) {
	info, err := os.Stat(path + decidedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	old := path + ".replaced-" + info.ModTime().UTC().Format("20060102T150405.000000000Z")
	for _, suffix := range []string{"-wal", ""} {
		if err := os.Rename(path+suffix, old+suffix); err == nil {
			aside = old
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	// It says where what is in a WAL; SQLite makes a new one.
	if err := removeIfThere(path + "-shm"); err != nil {
		return "", err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	if err := os.Rename(path+decidedSuffix, path); err != nil {
		return "", err
	}
	return aside, syncDir(filepath.Dir(path))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
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
