package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// groups records how many requests each transaction had.
type groups struct{ sizes []int }

func (g *groups) Committed(requests int, _ time.Duration) { g.sizes = append(g.sizes, requests) }

func openFile(t *testing.T, path string, recorder Recorder) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{Recorder: recorder, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func numbered(i int) gitops.Delivery {
	return gitops.Delivery{
		Source: "github", ID: fmt.Sprintf("delivery-%d", i), ReceivedAt: time.Now(), Outcome: gitops.Accepted,
		Updates: []gitops.Update{{ID: fmt.Sprintf("update-%d", i), Environment: "dev", App: "api", Tag: "main-1a2b3c4"}},
	}
}

// hold keeps the writer busy with a request of its own; it returns when the
// writer has begun, and release lets it go on.
func (s *Store) hold(t *testing.T) (release func() error) {
	t.Helper()
	begun, gate, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.writer.do(context.Background(), func(*tx) error {
			close(begun)
			<-gate
			return nil
		})
	}()
	<-begun
	return func() error {
		close(gate)
		return <-ended
	}
}

// inBubble runs test with a new store. The bubble's end proves that closing the
// store leaves no goroutine.
func inBubble(t *testing.T, test func(t *testing.T, s *Store, path string, g *groups)) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		g := &groups{}
		s := openFile(t, path, g)
		test(t, s, path, g)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestWaitingRequestsShareACommit(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, _ string, g *groups) {
		const callers = groupSize + 100
		release := s.hold(t)
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				if _, _, err := s.Accept(t.Context(), numbered(i)); err != nil {
					t.Errorf("Accept: %v", err)
				}
			})
		}
		synctest.Wait()
		if err := release(); err != nil {
			t.Error(err)
		}
		all.Wait()
		if want := []int{1, groupSize, 100}; !slices.Equal(g.sizes, want) {
			t.Errorf("%d requests were committed in groups of %v; want %v", callers+1, g.sizes, want)
		}
	})
}

func TestBadRequestFailsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, _ string, _ *groups) {
		release := s.hold(t)
		bad := numbered(3)
		bad.Updates = append(bad.Updates, bad.Updates[0]) // one id twice
		errs := make([]error, 6)
		var all sync.WaitGroup
		for i := range errs {
			d := numbered(i)
			if i == 3 {
				d = bad
			}
			all.Go(func() { _, _, errs[i] = s.Accept(t.Context(), d) })
			synctest.Wait()
		}
		if err := release(); err != nil {
			t.Error(err)
		}
		all.Wait()
		for i, err := range errs {
			_, found := s.Delivery(t.Context(), numbered(i).Key())
			if i == 3 && (gitops.CodeOf(err) != gitops.Internal || gitops.CodeOf(found) != gitops.NotFound) {
				t.Errorf("the bad request: %v, and then %v", err, found)
			}
			if i != 3 && (err != nil || found != nil) {
				t.Errorf("request %d, beside a bad one: %v, and then %v", i, err, found)
			}
		}
	})
}

// TestEndedContext holds the writer to the truth: what it did not begin is not
// done, and what it began is answered with what became of it.
func TestEndedContext(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, _ string, g *groups) {
		ctx, cancel := context.WithCancel(t.Context())
		release := s.hold(t)
		waiting := make(chan error)
		go func() {
			_, _, err := s.Accept(ctx, numbered(1))
			waiting <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-waiting; gitops.CodeOf(err) != gitops.Unavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("a request that was given up: %v", err)
		}
		if err := release(); err != nil {
			t.Error(err)
		}

		ctx, cancel = context.WithCancel(t.Context())
		begun, gate, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- s.writer.do(ctx, func(tx *tx) error {
				close(begun)
				<-gate
				_, _, err := tx.accept(numbered(2))
				return err
			})
		}()
		<-begun
		cancel()
		synctest.Wait()
		if len(ended) > 0 {
			t.Error("a request in a transaction was answered before its end")
		}
		close(gate)
		if err := <-ended; err != nil {
			t.Errorf("a request in a transaction: %v", err)
		}
		if _, err := s.Delivery(t.Context(), numbered(1).Key()); gitops.CodeOf(err) != gitops.NotFound {
			t.Errorf("a request that was given up is stored: %v", err)
		}
		if _, err := s.Delivery(t.Context(), numbered(2).Key()); err != nil {
			t.Errorf("a request in a transaction is not stored: %v", err)
		}
		if want := []int{1, 1}; !slices.Equal(g.sizes, want) {
			t.Errorf("groups of %v; want %v", g.sizes, want)
		}
	})
}

func TestCloseAnswersWhoWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, path string, _ *groups) {
		release := s.hold(t)
		errs := make(chan error, 10)
		for i := range cap(errs) {
			go func() {
				_, _, err := s.Accept(t.Context(), numbered(i))
				errs <- err
			}()
		}
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		if err := release(); err != nil {
			t.Errorf("the group that was under way: %v", err)
		}
		for range cap(errs) {
			if err := <-errs; gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("a request that waited: %v", err)
			}
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		again := openFile(t, path, nil)
		if _, duplicate, err := again.Accept(t.Context(), numbered(0)); err != nil || duplicate {
			t.Errorf("what was answered with Unavailable is stored: %t, %v", duplicate, err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}

// faultyCommit stands for a COMMIT that fails, before or after it took effect.
type faultyCommit struct {
	driver.Stmt
	applied bool
}

func (f faultyCommit) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if f.applied {
		if _, err := f.Stmt.(driver.StmtExecContext).ExecContext(ctx, args); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the disk is gone")
}

// TestFailedCommit holds the writer to assuming nothing after a COMMIT that
// failed, whether it took effect or not: the callers are told Unavailable, and
// what they send again is stored once.
func TestFailedCommit(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%t", applied), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *Store, _ string, _ *groups) {
				release := s.hold(t)
				errs := make(chan error, 5)
				go func() {
					errs <- s.writer.do(t.Context(), func(tx *tx) error {
						commit, err := tx.statement(`COMMIT`)
						tx.compiled[`COMMIT`] = faultyCommit{commit, applied}
						return err
					})
				}()
				for i := 1; i < cap(errs); i++ {
					go func() {
						_, _, err := s.Accept(t.Context(), numbered(i))
						errs <- err
					}()
				}
				synctest.Wait()
				if err := release(); err != nil {
					t.Fatal(err)
				}
				for range cap(errs) {
					if err := <-errs; gitops.CodeOf(err) != gitops.Unavailable {
						t.Errorf("a request of a failed COMMIT: %v", err)
					}
				}
				for i := 1; i < cap(errs); i++ {
					if _, duplicate, err := s.Accept(t.Context(), numbered(i)); err != nil || duplicate != applied {
						t.Errorf("sent again: duplicate %t, error %v", duplicate, err)
					}
				}
				late := numbered(9)
				late.EventTime = late.ReceivedAt.Add(-time.Hour)
				if d, _, err := s.Accept(t.Context(), late); err != nil || d.Updates[0].State != gitops.Superseded {
					t.Errorf("a late event afterwards: %+v, %v", d, err)
				}
			})
		})
	}
}

// TestFullDisk is about a limit that SQLite reports as it reports a full disk.
func TestFullDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, _ string, _ *groups) {
		accept := func(d gitops.Delivery) error {
			_, _, err := s.Accept(t.Context(), d)
			return err
		}
		if err := accept(numbered(1)); err != nil {
			t.Fatal(err)
		}
		err := s.writer.do(t.Context(), func(tx *tx) error {
			_, err := tx.pragma(`PRAGMA max_page_count = 1`) // no more than there are
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		big := numbered(2)
		big.Body = make([]byte, 1<<20)
		err = accept(big)
		if gitops.CodeOf(err) != gitops.Unavailable || gitops.SentenceOf(err) != "the store's disk is full" {
			t.Errorf("Accept on a full disk: %v", err)
		}
		// The writer's next connection has no limit, as if there were room again.
		for _, d := range []gitops.Delivery{big, numbered(3)} {
			if err := accept(d); err != nil {
				t.Errorf("Accept when there is room again: %v", err)
			}
		}
	})
}

// walLengths measures the WAL after each commit.
type walLengths struct {
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

// TestWALStaysShort writes many times what the WAL may hold.
func TestWALStaysShort(t *testing.T) {
	lengths := &walLengths{}
	s := openFile(t, filepath.Join(t.TempDir(), "queue.db"), lengths)
	defer s.Close()
	lengths.s = s
	limits := walLimits{long: 40, rest: 10, most: 100}
	if err := s.writer.do(t.Context(), func(tx *tx) error { tx.w.checkpoint.limits = limits; return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		d := numbered(i)
		d.Body = make([]byte, 20<<10)
		if _, _, err := s.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	const each = 20 // pages of one Accept, at most
	if lengths.longest > limits.most+each || lengths.longest < limits.long {
		t.Errorf("the WAL grew to %d pages", lengths.longest)
	}
}
