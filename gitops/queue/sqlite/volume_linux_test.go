package sqlite

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestWhichFileSystemsAreShared has the type that statfs(2) tells of each, and of FUSE
// the type of the mount.
func TestWhichFileSystemsAreShared(t *testing.T) {
	for _, c := range []struct {
		name   string
		magic  uint32
		mount  string
		shared bool
	}{
		{"nfs", 0x6969, "", true}, // also Amazon EFS
		{"smbfs", 0x517b, "", true},
		{"cifs", 0xff534d42, "", true},
		{"smb3", 0xfe534d42, "", true},
		{"9p", 0x01021997, "", true},
		{"ceph", 0x00c36400, "", true},
		{"gfs2", 0x01161970, "", true},
		{"lustre", 0x0bd00bd0, "", true},
		{"fuse.sshfs", 0x65735546, "fuse.sshfs", true},
		{"fuse.s3fs", 0x65735546, "fuse.s3fs", true},
		{"virtiofs", 0x65735546, "virtiofs", true},
		{"fuse", 0x65735546, "fuse", true},
		{"fuseblk", 0x65735546, "fuseblk", false},
		{"fuse.fuse-overlayfs", 0x65735546, "fuse.fuse-overlayfs", false},
		{"ext4", 0xef53, "", false},
		{"xfs", 0x58465342, "", false},
		{"btrfs", 0x9123683e, "", false},
		{"zfs", 0x2fc12fc1, "", false},
		{"f2fs", 0xf2f52010, "", false},
		{"bcachefs", 0xca451a4e, "", false},
		{"tmpfs", 0x01021994, "", false},
		{"overlayfs", 0x794c7630, "", false},
	} {
		s := unix.Statfs_t{Blocks: 100, Bavail: 10, Bfree: 20, Bsize: 4096}
		s.Type += int64(c.magic)
		v := volumeFrom(s, func() string { return c.mount })
		if v.Shared != c.shared || v.Size != 100*4096 || v.Free != 10*4096 || v.Shared && v.FileSystem != c.name {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestTheTypeOfAMount(t *testing.T) {
	const mounts = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 27 0:40 / /srv rw,relatime shared:1 - fuse.old old rw
32 27 0:41 / /srv rw,relatime shared:1 - fuse.sshfs ann@host:/srv rw
33 32 0:42 / /srv/with\040space rw,relatime - fuseblk /dev/sdb1 rw
a line that is cut off
`
	for path, want := range map[string]string{
		"/var/lib/tallyman/queue.db": "ext4", "/srv/queue.db": "fuse.sshfs", "/srv": "fuse.sshfs", "/srvs/queue.db": "ext4", "/srv/with space/queue.db": "fuseblk",
	} {
		if got := typeIn(mounts, path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := typeIn("", "/srv"); got != "fuse" {
		t.Errorf("without mounts: %s", got)
	}
}

// TestFileSystemsOfThisMachine asks the kernel: a file system of the machine's own is
// taken, and a store on one of FUSE is refused, however it is to be made.
func TestFileSystemsOfThisMachine(t *testing.T) {
	if v, err := volumeOf(t.TempDir()); err != nil || v.Shared || v.Size <= 0 || v.Free <= 0 || v.Free > v.Size {
		t.Errorf("the tests' own: %+v, %v", v, err)
	}
	if _, err := volumeOf(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("what is not there was examined")
	}
	path := filepath.Join(mountFUSE(t), "queue.db")
	nothing := func(func(queue.Entry, error) bool) {}
	_, openErr := Open(t.Context(), path, Options{})
	_, importErr := Import(t.Context(), path, nothing, queue.ImportOptions{})
	for what, err := range map[string]error{"Open": openErr, "Check": Check(path, Options{}), "Import": importErr} {
		if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "machines share (fuse.tallyman-test)") {
			t.Errorf("%s on FUSE: %v", what, err)
		}
	}
}

// mountFUSE mounts an empty file system that the test serves.
func mountFUSE(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	device, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("A DISK THAT HANGS IS NOT TESTED: FUSE cannot be used here: ", err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		serving.Wait()
		_ = unix.Close(device)
	})
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", device, os.Getuid(), os.Getgid())
	if err := unix.Mount("nothing", dir, "fuse.tallyman-test", 0, options); err != nil {
		t.Skip("A DISK THAT HANGS IS NOT TESTED: nothing can be mounted here: ", err)
	}
	serving.Go(func() { serveFUSE(device) })
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// serveFUSE answers the kernel until the file system is unmounted: there is a directory,
// and nothing in it (man7.org/linux/man-pages/man4/fuse.4.html).
func serveFUSE(device int) {
	const lookup, getattr, statfs, begin = 1, 3, 17, 26
	request := make([]byte, 1<<17)
	for {
		n, err := unix.Read(device, request)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n < 16 {
			return
		}
		var body []byte
		var failed unix.Errno
		switch binary.NativeEndian.Uint32(request[4:]) {
		case begin:
			body = make([]byte, 64)
			binary.NativeEndian.PutUint32(body, 7)
			binary.NativeEndian.PutUint32(body[4:], 31)
		case getattr:
			body = make([]byte, 104)
			binary.NativeEndian.PutUint32(body[16+60:], unix.S_IFDIR|0o755)
		case statfs:
			body = make([]byte, 80)
		case lookup:
			failed = unix.ENOENT
		default:
			failed = unix.ENOSYS
		}
		answer := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
		answer = binary.NativeEndian.AppendUint32(answer, uint32(-int32(failed)))
		answer = append(append(answer, request[8:16]...), body...)
		_, _ = unix.Write(device, answer) // whoever asked may have gone
	}
}
