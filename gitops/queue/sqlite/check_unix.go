//go:build unix

package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Check reports whether Open could use the path, as far as can be told without
// opening or changing anything: a store that is in use now passes. Of the options it
// uses the volume. Errors as Open.
func Check(path string, o Options) error {
	if o.Volume == nil {
		o.Volume = volumeOf
	}
	path, err := resolve(path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := checkDir(dir); err != nil {
		return err
	}
	if err := checkVolume(path, o.Volume); err != nil {
		return err
	}
	if unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		return gitops.Errorf(gitops.Unavailable, "the store's directory %s cannot be written by this user", dir)
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil || !info.Mode().IsRegular():
		return gitops.Errorf(gitops.Unavailable, "the store %s is not a file", path).WithCause(err)
	case unix.Access(path, unix.R_OK|unix.W_OK) != nil:
		return gitops.Errorf(gitops.Unavailable, "the store %s cannot be read and written by this user", path)
	}
	return nil
}

func checkDir(dir string) error {
	if d, err := os.Stat(dir); err != nil || !d.IsDir() {
		return gitops.Errorf(gitops.Unavailable, "the store's directory %s does not exist", dir).WithCause(err)
	}
	return nil
}
