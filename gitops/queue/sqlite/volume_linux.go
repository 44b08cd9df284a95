package sqlite

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sharedTypes are the types of file systems that machines share, as statfs(2) tells
// them. Amazon EFS is NFS. A type that is not here counts as the machine's own: there
// are always new ones of those.
var sharedTypes = map[uint32]string{
	unix.NFS_SUPER_MAGIC:   "nfs",
	unix.SMB_SUPER_MAGIC:   "smbfs",
	unix.CIFS_SUPER_MAGIC:  "cifs",
	unix.SMB2_SUPER_MAGIC:  "smb3",
	unix.CODA_SUPER_MAGIC:  "coda",
	unix.NCP_SUPER_MAGIC:   "ncpfs",
	unix.AFS_SUPER_MAGIC:   "afs",
	unix.AFS_FS_MAGIC:      "kafs",
	unix.CEPH_SUPER_MAGIC:  "ceph",
	unix.V9FS_MAGIC:        "9p",
	unix.OCFS2_SUPER_MAGIC: "ocfs2",
	0x01161970:             "gfs2",
	0x0BD00BD0:             "lustre",
	0x47504653:             "gpfs",
	0x19830326:             "beegfs",
}

// localFUSE are the kinds of FUSE that are the machine's own: a block device (ntfs-3g,
// exfat), and the layers of a rootless container. All others are refused, since most of
// them are a network's: sshfs, s3fs, gcsfuse, glusterfs, and virtiofs, whose directory is
// the host's and perhaps other guests'.
var localFUSE = map[string]bool{"fuseblk": true, "fuse.fuse-overlayfs": true}

// volumeOf asks the kernel.
func volumeOf(path string) (Volume, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Volume{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return volumeFrom(s, func() string { return mountType(path) }), nil
}

// volumeFrom is what the kernel said; the type of the mount is asked for where that does
// not tell.
func volumeFrom(s unix.Statfs_t, mountType func() string) Volume {
	v := Volume{Size: int64(s.Blocks) * int64(s.Bsize), Free: int64(s.Bavail) * int64(s.Bsize)}
	if uint32(s.Type) == unix.FUSE_SUPER_MAGIC {
		v.FileSystem = mountType()
		v.Shared = !localFUSE[v.FileSystem]
		return v
	}
	v.FileSystem, v.Shared = sharedTypes[uint32(s.Type)]
	return v
}

// mountType is the type of the mount that has the path, such as fuse.sshfs.
func mountType(path string) string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if resolved, resolveErr := filepath.EvalSymlinks(path); resolveErr == nil {
		path = resolved
	}
	if err != nil {
		return "fuse"
	}
	return typeIn(string(mounts), path)
}

// typeIn is the type of the mount with the longest mount point above a path; of several
// at one point it is the last, which covers the others
// (man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html).
func typeIn(mounts, path string) string {
	const mountPoint = 4
	found, longest := "fuse", -1
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		if len(fields) <= mountPoint || len(types) == 0 {
			continue
		}
		point := strings.TrimSuffix(octal.Replace(fields[mountPoint]), "/")
		if len(point) >= longest && strings.HasPrefix(path+"/", point+"/") {
			found, longest = types[0], len(point)
		}
	}
	return found
}

// octal undoes how mountinfo writes what would end a field.
var octal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
