//go:build unix

package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tallyman-dev/tallyman/gitops"
)

// resolve is the file that the store's path leads to, whether it is there or not. SQLite's
// files and the lock are beside the file itself: beside a link to it there would be a
// second lock, and a restore would put its file in the place of the link.
func resolve(path string) (string, error) {
	const mostLinks = 40 // as the kernel
	file, err := filepath.Abs(path)
	for links := 0; err == nil; links++ {
		info, err := os.Lstat(file)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return file, nil // what is wrong with it says whoever opens it
		}
		target, err := os.Readlink(file)
		switch {
		case err != nil:
			return "", unresolved(path, err)
		case links == mostLinks:
			return "", unresolved(path, syscall.ELOOP)
		case !filepath.IsAbs(target):
			target = filepath.Join(filepath.Dir(file), target)
		}
		file = target
	}
	return "", unresolved(path, err)
}

func unresolved(path string, err error) error {
	return gitops.Errorf(gitops.Unavailable, "the store's path %s leads to no file", path).WithCause(err)
}

// Exists reports whether there is a store at path, also one whose restore was interrupted
// before it was put there: [Open] finishes that.
func Exists(path string) bool {
	file, err := resolve(path)
	return err == nil && (isThere(file) || isThere(file+decidedSuffix))
}

// ownAs gives a file that root has made to whom the store is: the owner of its file, or,
// where there is none, of its directory. Else a person who restores as root would keep the
// server, which is somebody else, from its own store.
func ownAs(made, store string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(store)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(filepath.Dir(store))
	}
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return nil
	}
	if err := os.Chown(made, int(owner.Uid), int(owner.Gid)); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // a root without that right, as in a container, made it for itself
}
