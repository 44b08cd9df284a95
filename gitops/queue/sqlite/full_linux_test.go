package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// mountTmpfs mounts a file system of so many bytes.
func mountTmpfs(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skip("A FULL DISK IS NOT TESTED: to mount a small one the test must run as root: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestAVolumeThatFillsUp fills a real volume of 80 MiB with deliveries until none is
// accepted: the lane reports all of them. Then another program takes the last bytes, and
// the store says so, and goes on when they are free again.
func TestAVolumeThatFillsUp(t *testing.T) {
	dir := mountTmpfs(t, "size=80m")
	s := openFile(t, filepath.Join(dir, "queue.db"), nil)
	defer s.Close()
	lease := s.claim(t, "one")
	accepted := 0
	for ; ; accepted++ {
		d := numbered(accepted)
		d.Body = make([]byte, 200<<10)
		if _, _, err := s.Accept(t.Context(), d); gitops.CodeOf(err) == gitops.Unavailable {
			break
		} else if err != nil || accepted > 1000 {
			t.Fatalf("delivery %d: %v", accepted, err)
		}
	}
	if u, err := s.Usage(t.Context()); err != nil || u.File.Room != queue.RoomReserved || accepted < 50 {
		t.Errorf("after %d deliveries the volume is not full: %d bytes, %+v, %v", accepted, u.Bytes, u.File, err)
	}
	for i := range accepted {
		report := queue.Report{Transitions: []gitops.Transition{{Update: updateOf(i), Action: gitops.ActionConfirm}}}
		if _, err := s.Report(t.Context(), lease, report); err != nil {
			t.Fatalf("report %d of %d: %v", i, accepted, err)
		}
	}
	other := filepath.Join(dir, "other")
	if err := takeAll(other); err != nil {
		t.Fatal(err)
	}
	// More than the WAL has room for without growing.
	if err := s.SetCheckpoint(t.Context(), "large", string(make([]byte, 32<<20))); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("a change that the disk does not hold: %v", err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), s.now(), accepted); err != nil || n < accepted/2 {
		t.Errorf("pruned %d of %d, %v", n, accepted, err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// takeAll writes a file until the disk is full.
func takeAll(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return f.Close()
}
