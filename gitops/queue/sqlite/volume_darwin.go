package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
)

// volumeOf asks the kernel, which says itself whether a file system is the machine's own.
func volumeOf(path string) (Volume, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Volume{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return Volume{
		FileSystem: unix.ByteSliceToString(s.Fstypename[:]), Shared: s.Flags&unix.MNT_LOCAL == 0,
		Size: int64(s.Blocks) * int64(s.Bsize), Free: int64(s.Bavail) * int64(s.Bsize),
	}, nil
}
