package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// walLengths measures the WAL after each commit.
type walLengths struct {
	unrecorded
	s       *Store
	longest int64
}

func (l *walLengths) Committed(int, time.Duration) {
	length, _, err := checkpoint(l.s.writer.conn, `PRAGMA wal_checkpoint(NOOP)`)
	if err != nil {
		panic(err)
	}
	l.longest = max(l.longest, length)
}

// fill accepts deliveries with these numbers, of 20 KiB each.
func fill(t *testing.T, s *Store, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		d := numbered(i)
		d.Body = make([]byte, 20<<10)
		if _, _, err := s.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWALStaysShort writes many times what the WAL may hold.
func TestWALStaysShort(t *testing.T) {
	lengths := &walLengths{}
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), lengths)
	defer s.Close()
	lengths.s = s
	limits := walLimits{long: 40, rest: 10, most: 100}
	if err := s.writer.do(t.Context(), func(tx *tx) error { tx.w.wal.limits = limits; return nil }); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 0, 300)
	const each = 20 // pages of one Accept, at most
	if lengths.longest > limits.most+each || lengths.longest < limits.long {
		t.Errorf("the WAL grew to %d pages", lengths.longest)
	}
}

// TestWALShrinksAgain has a reader keep the WAL from beginning again until it is
// long. When the reader is gone, the file does not keep that length.
func TestWALShrinksAgain(t *testing.T) {
	const limit = 64 << 10
	path := filepath.Join(t.TempDir(), "queue.db")
	s := openFile(t, path, nil)
	defer s.Close()
	err := s.writer.do(t.Context(), func(tx *tx) error {
		tx.w.wal.limits = walLimits{long: 5, rest: 5, most: 10}
		size, err := tx.pragma(`PRAGMA journal_size_limit`)
		if err != nil || size.(int64) <= 0 {
			return fmt.Errorf("the size that the WAL shrinks to is %v, %w", size, err)
		}
		_, err = tx.pragma(fmt.Sprintf(`PRAGMA journal_size_limit = %d`, limit))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	length := func() int64 {
		t.Helper()
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	err = s.read(t.Context(), func(ctx context.Context, c *connection) error {
		if _, err := latestPosition(ctx, c); err != nil {
			return err
		}
		fill(t, s, 0, 20)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := length(); n < 4*limit {
		t.Errorf("the WAL has %d bytes while a reader keeps it; the test needs more", n)
	}
	fill(t, s, 20, 25)
	if n := length(); n > 2*limit {
		t.Errorf("the WAL has %d bytes when the reader is gone; want about %d", n, limit)
	}
}

// walSize is how long the WAL's file is.
func walSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestWALShrinksAfterItsLongestDay has another program read an old state of the file, as
// a backup does, while much is accepted. When it has ended, a few pings are enough for the
// WAL to have its usual length, with nothing accepted any more.
func TestWALShrinksAfterItsLongestDay(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, path string, _ *groups) {
		reader, err := connectTo(path, "ro", `BEGIN`)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := latestPosition(t.Context(), reader); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			d := numbered(i)
			d.Body = make([]byte, 1<<20)
			if _, _, err := s.Accept(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		const usual = 16 << 20
		if n := walSize(t, path); n < 2*usual {
			t.Fatalf("the WAL has %d bytes while it is read; the test needs more", n)
		}
		if err := reader.close(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(time.Second) // on the bubble's clock: what is written differs
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // for the checkpoint beside the writer
		}
		if n := walSize(t, path); n > usual {
			t.Errorf("the WAL keeps %d bytes", n)
		}
	})
}

// TestAReadIsBoundedInTime is a read that does not end by itself: it is given up, and the
// WAL begins again.
func TestAReadIsBoundedInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, path string, _ *groups) {
		began := time.Now()
		err := s.read(t.Context(), func(ctx context.Context, c *connection) error {
			if _, err := latestPosition(ctx, c); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if took := time.Since(began); gitops.CodeOf(err) != gitops.Unavailable || took != readTime {
			t.Errorf("the read ended after %s: %v", took, err)
		}
		fill(t, s, 0, 3)
		mover, err := connect(path)
		if err != nil {
			t.Fatal(err)
		}
		if length, moved, err := checkpoint(mover, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil || length != moved {
			t.Errorf("%d of %d pages are in the file, %v", moved, length, err)
		}
		if err := mover.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoKeepsTheWALIsNamedOnce has another program read for so long that the WAL grows
// beyond twice its bound.
func TestWhoKeepsTheWALIsNamedOnce(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "queue.db")
	s, err := Open(t.Context(), path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	limit := func(tx *tx) error { tx.w.wal.limits = walLimits{long: 5, rest: 5, most: 100}; return nil }
	if err := s.writer.do(t.Context(), limit); err != nil {
		t.Fatal(err)
	}
	err = s.readAll(t.Context(), func(ctx context.Context, c *connection) error {
		_, err := latestPosition(ctx, c)
		fill(t, s, 0, 60)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 60, 65)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"WAL cannot begin again", "WAL has begun again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%d lines say %q: %s", n, line, log.String())
		}
	}
}
