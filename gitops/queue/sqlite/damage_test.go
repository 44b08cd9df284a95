package sqlite_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// holdTheLock is a program that is not ours, and knows nothing of our lock: it
// begins to write the database, and does not end until its input does.
func holdTheLock(path, _ string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.Begin()
	if err == nil {
		_, err = tx.Exec(`DELETE FROM checkpoints`)
	}
	if err != nil {
		return err
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return tx.Rollback()
}

// hold has another process hold SQLite's lock on the file at path until release.
func hold(t *testing.T, path string) (release func()) {
	t.Helper()
	c := child(t, "hold", path, "")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v: %s", line, err, &stderr)
	}
	return func() {
		_ = stdin.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("%v: %s", err, &stderr)
		}
	}
}

// A file that another program has locked is refused at the start, with words that
// say so, and used when the lock is gone.
func TestOpenWhileAnotherProgramHoldsTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	closed(t, path)
	release := hold(t, path)
	_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if gitops.CodeOf(err) != gitops.Conflict || !strings.Contains(gitops.PublicOf(err), "is locked by another program") {
		t.Errorf("Open: %v", err)
	}
	release()
	accept(t, open(t, path), order("after", "api", nil))
}

// A program that locks the file of a running store makes it unavailable, and
// nothing else.
func TestAnotherProgramLocksARunningStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, path)
	accept(t, s, order("before", "api", nil))
	release := hold(t, path)
	during := order("during", "api", nil)
	_, _, err := s.Accept(t.Context(), during)
	if gitops.CodeOf(err) != gitops.Unavailable || gitops.PublicOf(err) != "the store's file is locked by another program" {
		t.Errorf("Accept: %v", err)
	}
	if _, err := s.Delivery(t.Context(), order("before", "api", nil).Key()); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	release()
	accept(t, s, during)
}

// Whoever meets the damage of a file that was damaged under a running store is
// answered with Unavailable, and the next start refuses the file. The writer has
// its pages in memory, and may not meet it.
func TestDamageUnderARunningStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	closed(t, path)
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, info.Size()-4096) // the first page stays
	_, _ = rand.Read(noise)
	if _, err := file.WriteAt(noise, 4096); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := s.Delivery(t.Context(), order("new", "api", nil).Key())
		if gitops.CodeOf(err) != gitops.Unavailable || gitops.PublicOf(err) != "the store's file is damaged" {
			t.Errorf("Delivery: %v", err)
		}
	}
	_ = s.Close()
	if _, err := sqlite.Open(t.Context(), path, sqlite.Options{}); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "is damaged") {
		t.Errorf("Open: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}
