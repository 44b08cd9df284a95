package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// The test binary is also the process that the tests below kill or starve: it
// plays the part that childVariable names, on the store at the first argument.
const childVariable = "TALLYMAN_SQLITE_TEST_CHILD"

var parts = map[string]func(path, salt string) error{
	"accept":     acceptUntilKilled,
	"size limit": acceptUnderLimit,
	"hold":       holdTheLock,
	"no room":    importUnderLimit,
}

func TestMain(m *testing.M) {
	part, ok := parts[os.Getenv(childVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := part(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is a process that plays the part on the store at path. Salt makes what
// it sends differ from what other children send.
func child(t *testing.T, part, path, salt string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], path, salt)
	c.Env = append(os.Environ(), childVariable+"="+part)
	return c
}

// acceptUntilKilled claims the lane of dev and has several senders accept
// deliveries for it, one after another. Each prints what it was answered: its
// name, the delivery's id, and the sequence.
func acceptUntilKilled(path, salt string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	if _, err := s.Claim(context.Background(), "child "+salt, []string{"dev"}, time.Hour); err != nil {
		return err
	}
	const senders = 8
	errs := make(chan error, senders)
	for sender := range senders {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%s-%d-%d", salt, sender, n)
				d, _, err := s.Accept(context.Background(), order(id, "api", bytes.Repeat([]byte{'x'}, rand.IntN(5000))))
				if err != nil {
					errs <- err
					return
				}
				// One write, so that a line is printed whole or not at all.
				_, _ = os.Stdout.WriteString(fmt.Sprintf("%d %s %d\n", sender, id, d.Updates[0].Sequence))
			}
		}()
	}
	return <-errs
}

// TestKill kills a process that accepts, at a random moment, again and again:
// whatever it answered is there afterwards, in the order in which it was
// answered, and the next process goes on at once.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	type answer struct {
		id       string
		sequence int64
	}
	var answered []answer
	var newest int64 // of the rounds before
	for round := range 20 {
		c := child(t, "accept", path, fmt.Sprint(round))
		var stderr bytes.Buffer
		c.Stderr = &stderr
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		moment := 1 + rand.IntN(150)
		latest := make(map[string]int64) // by sender
		highest := newest
		lines := bufio.NewScanner(stdout)
		for n := 0; lines.Scan(); n++ {
			if n == moment {
				_ = c.Process.Kill()
			}
			var sender, id string
			var sequence int64
			if _, err := fmt.Sscan(lines.Text(), &sender, &id, &sequence); err != nil {
				t.Fatalf("round %d: line %q: %v", round, lines.Text(), err)
			}
			if sequence <= max(newest, latest[sender]) {
				t.Fatalf("round %d: %s has sequence %d; an earlier one had %d", round, id, sequence, max(newest, latest[sender]))
			}
			latest[sender] = sequence
			highest = max(highest, sequence)
			answered = append(answered, answer{id, sequence})
		}
		var exit *exec.ExitError
		if err := c.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("round %d: the process ended by itself: %v\n%s", round, err, stderr.String())
		}
		newest = highest
	}

	s := open(t, path)
	l := claim(t, s, "parent")
	for _, a := range answered {
		d, err := s.Delivery(t.Context(), gitops.DeliveryKey{Source: "github", ID: a.id})
		if err != nil || len(d.Updates) != 1 || d.Updates[0].Sequence != a.sequence || !d.Updates[0].MaybePushed {
			t.Errorf("answered %s with sequence %d; stored is %+v (%v)", a.id, a.sequence, d.Updates, err)
		}
	}
	pending, err := s.Take(t.Context(), l, queue.TakeOptions{Limit: 1 << 20})
	if err != nil || len(pending) < len(answered) {
		t.Errorf("%d were answered and %d are pending (%v)", len(answered), len(pending), err)
	}
	t.Logf("%d answers, %d stored", len(answered), len(pending))
}

// acceptUnderLimit has a limit on the size of files in the way of its writes,
// and expects the store to say so, and to go on when the limit is gone.
func acceptUnderLimit(path, _ string) error {
	signal.Ignore(syscall.SIGXFSZ) // a write past the limit then fails with EFBIG
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	accept := func(id string, size int) error {
		_, duplicate, err := s.Accept(context.Background(), order(id, "api", make([]byte, size)))
		if duplicate {
			err = errors.Join(err, errors.New(id+" was stored before"))
		}
		return err
	}
	if err := accept("before", 10); err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	was := limit.Cur
	limit.Cur = 256 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for range 3 {
		if err := accept("during", 1<<20); gitops.CodeOf(err) != gitops.Unavailable {
			return fmt.Errorf("under the limit: %w", err)
		}
	}
	var all sync.WaitGroup
	failed := make([]error, 20)
	for i := range failed {
		all.Go(func() { failed[i] = accept(fmt.Sprint("together-", i), 100<<10) })
	}
	all.Wait()
	limit.Cur = was
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for i, err := range failed {
		if err == nil {
			continue
		}
		if err := accept(fmt.Sprint("together-", i), 100<<10); err != nil {
			return fmt.Errorf("after the limit: %w", err)
		}
	}
	return errors.Join(accept("during", 1<<20), accept("after", 10), s.Close())
}

func TestWritesThatFail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	if output, err := child(t, "size limit", path, "").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	s := open(t, path)
	ids := []string{"before", "during", "after"}
	for i := range 20 {
		ids = append(ids, fmt.Sprint("together-", i))
	}
	for _, id := range ids {
		if _, err := s.Delivery(t.Context(), gitops.DeliveryKey{Source: "github", ID: id}); err != nil {
			t.Error(strings.TrimSpace(err.Error()))
		}
	}
}
