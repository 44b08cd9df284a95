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
//  3. The old file's WAL is renamed to path.replaced-TIME-wal, its rollback journal, which
//     SQLite would play back into the new file, to path.replaced-TIME-journal, and the old
//     file to path.replaced-TIME. TIME is when the new file was written, so that whoever
//     goes on after a crash finds the same names. The file goes last: without its WAL it
//     is an older state of the store, and nobody reads it while path.restored is there
//     (see [Export]). A WAL that another program made for it meanwhile holds nothing, and
//     does not take the place of the one that was renamed.
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
	for _, suffix := range []string{"-wal", "-journal", ""} {
		moved, err := setAside(path+suffix, old+suffix)
		if err != nil {
			return "", err
		}
		if moved {
			aside = old
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

// checkPlaced fails while another file is put in the place of path's, and where that was
// interrupted.
func checkPlaced(path string) error {
	if isThere(path + decidedSuffix) {
		return gitops.Errorf(gitops.Unavailable,
			"a restore of the store at %s is under way, or was interrupted: if it does not run any more, start serve, or restore again with --replace; either finishes it", path)
	}
	return nil
}

// checkSame fails unless path still has the file, and is not being given another.
func checkSame(path string, file fs.FileInfo) error {
	if err := checkPlaced(path); err != nil {
		return err
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(now, file) {
		return gitops.Errorf(gitops.Unavailable, "the store at %s was replaced while it was opened: try again", path).WithCause(err)
	}
	return nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// setAside renames a file, if it is there, unless that was done before.
func setAside(from, to string) (moved bool, err error) {
	if isThere(to) {
		return true, removeIfThere(from)
	}
	switch err := os.Rename(from, to); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
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
