package sqlite

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// disk is a volume whose free bytes a test sets.
type disk struct {
	mu sync.Mutex
	v  Volume
}

func (d *disk) volume(string) (Volume, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.v, nil
}

func (d *disk) set(free int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.v.Free = free
}

// openOn opens a store on the disk, and logs into a buffer that is read once the store
// is idle.
func openOn(t *testing.T, d *disk) (*Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), Options{Volume: d.volume, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, &log
}

// TestTheReserveIsForReports accepts until what is left is the reserve: from then on
// nothing is accepted, what is known is answered, and lanes report. With more room the
// store accepts again by itself.
func TestTheReserveIsForReports(t *testing.T) {
	d := &disk{v: Volume{Size: 10 << 30, Free: mostReserve + 1<<20}}
	s, log := openOn(t, d)
	first, _, err := s.Accept(t.Context(), numbered(1))
	if err != nil {
		t.Fatalf("Accept with a little more than the reserve: %v", err)
	}
	lease := s.claim(t, "one")
	d.set(mostReserve - 1)
	for range 2 {
		_, duplicate, err := s.Accept(t.Context(), numbered(2))
		if gitops.CodeOf(err) != gitops.Unavailable || duplicate || !strings.Contains(gitops.PublicOf(err), "nearly full") {
			t.Errorf("Accept into the reserve: duplicate is %t, %v", duplicate, err)
		}
		if err := s.Ping(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("Ping: %v", err)
		}
	}
	if known, duplicate, err := s.Accept(t.Context(), numbered(1)); err != nil || !duplicate || known.Updates[0].ID != first.Updates[0].ID {
		t.Errorf("a known delivery: %+v, duplicate is %t, %v", known, duplicate, err)
	}
	found := &gitops.Found{Digest: "sha256:a", At: time.Now()}
	report := queue.Report{Transitions: []gitops.Transition{{Update: first.Updates[0].ID, Action: gitops.ActionCommit, Commit: "c0ffee", Found: found}}}
	if _, err := s.Report(t.Context(), lease, report); err != nil {
		t.Errorf("Report: %v", err)
	}
	if err := s.RecordImages(t.Context(), []gitops.SeenImage{{Tag: "v1"}}); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("RecordImages into the reserve: %v", err)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.File.Room != queue.RoomReserved {
		t.Errorf("Usage: %+v, %v", u.File, err)
	}
	d.set(mostReserve + 1<<20)
	if _, duplicate, err := s.Accept(t.Context(), numbered(2)); err != nil || duplicate {
		t.Errorf("Accept with room again: duplicate is %t, %v", duplicate, err)
	}
	for _, line := range []string{"accepts no deliveries", "accepts deliveries again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%d lines say %q", n, line)
		}
	}
}

// TestFreePagesAreRoom has a volume with nothing free, and a file from which much was
// pruned: what is accepted goes there.
func TestFreePagesAreRoom(t *testing.T) {
	d := &disk{v: Volume{Size: 8 << 20, Free: 8 << 20}} // a reserve of 2 MiB
	s, _ := openOn(t, d)
	big := numbered(1)
	big.Body, big.Outcome, big.Updates = make([]byte, 3<<20), gitops.OutcomeIgnored, nil
	if _, _, err := s.Accept(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	c, err := connect(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, _, err := checkpoint(c, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil { // or the file would still have to grow
		t.Fatal(err)
	}
	d.set(0)
	if _, _, err := s.Accept(t.Context(), numbered(2)); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("Accept without room: %v", err)
	}
	if n, err := s.Prune(t.Context(), big.ReceivedAt.Add(time.Second), 10); n != 1 || err != nil {
		t.Fatalf("pruned %d, %v", n, err)
	}
	if _, _, err := s.Accept(t.Context(), numbered(2)); err != nil {
		t.Errorf("Accept into free pages: %v", err)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.File.Free < 2<<20 || u.File.Room != queue.RoomScarce {
		t.Errorf("Usage: %+v, %v", u.File, err)
	}
}

// TestRoomOfAVolume holds the thresholds to their sum, on large and small volumes.
func TestRoomOfAVolume(t *testing.T) {
	wal, forAccepted := defaultLimits.most*pageSize, int64(710<<20)
	if mostSpare < mostReserve+wal+forAccepted {
		t.Errorf("%d do not hold the reserve, the WAL and what is accepted", mostSpare)
	}
	if reports := int64(mostReserve) - defaultLimits.long*pageSize; reports < 45_000<<10 {
		t.Errorf("the reserve has %d bytes for reports", reports)
	}
	for _, c := range []struct {
		size, free int64
		want       queue.Room
	}{
		{1 << 40, 1 << 30, queue.RoomEnough},
		{1 << 40, 1<<30 - 1, queue.RoomScarce},
		{1 << 40, 64 << 20, queue.RoomScarce},
		{1 << 40, 64<<20 - 1, queue.RoomReserved},
		{1 << 30, 103 << 20, queue.RoomEnough}, // the chart's volume
		{1 << 30, 102 << 20, queue.RoomScarce},
		{1 << 30, 25 << 20, queue.RoomReserved},
		{500 << 20, 50 << 20, queue.RoomEnough},
		{500 << 20, 48<<20 - 1, queue.RoomScarce},
		{500 << 20, 24<<20 - 1, queue.RoomReserved},
		{20 << 20, 5 << 20, queue.RoomScarce},
		{0, 0, queue.RoomEnough}, // not known
	} {
		if got := (Volume{Size: c.size}).room(c.free); got != c.want {
			t.Errorf("%d of %d bytes are free: %v, want %v", c.free, c.size, got, c.want)
		}
	}
}
