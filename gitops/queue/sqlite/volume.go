package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Volume is the file system that a store lies on.
type Volume struct {
	FileSystem string // its name, as mount prints it; "" where that is not known
	Shared     bool   // other machines can have the same files, and do not see this one's locks
	Size, Free int64  // bytes; Free is what this user may take of it
}

// checkVolume refuses a file system that other machines can have, too. The lock that
// keeps two processes from one file ends at the machine, SQLite's WAL needs memory that
// all its readers share, and not every such file system waits for its disk.
func checkVolume(path string, volumeOf func(path string) (Volume, error)) error {
	v, err := volumeOf(existing(path))
	if err != nil {
		return gitops.Errorf(gitops.Unavailable, "the file system of the store %s cannot be examined", path).WithCause(err)
	}
	if v.Shared {
		return gitops.Errorf(gitops.Unavailable,
			"the store %s is on a file system that machines share (%s), where SQLite loses data: use a volume of this machine, such as a block device with ext4 or xfs, or a store in PostgreSQL",
			path, v.FileSystem)
	}
	return nil
}

// existing is the path, or its directory while there is no file.
func existing(path string) string {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return filepath.Dir(path)
	}
	return path
}
