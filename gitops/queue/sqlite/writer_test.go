package sqlite

import (
	"context"
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
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// groups records how many requests each transaction had.
type groups struct {
	unrecorded
	sizes []int
}

func (g *groups) Committed(requests int, _ time.Duration) { g.sizes = append(g.sizes, requests) }

func openFile(t testing.TB, path string, recorder Recorder) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{Recorder: recorder, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func numbered(i int) gitops.Delivery {
	return gitops.Delivery{
		Source: "github", ID: fmt.Sprintf("delivery-%d", i), ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted,
		Updates: []gitops.Update{{Environment: "dev", App: "api", Tag: "main-1a2b3c4"}},
	}
}

// updateOf is the id of numbered's update.
func updateOf(i int) string { return gitops.UpdateID(numbered(i).Key(), "dev", "api") }

// claim takes the lane of dev for an hour.
func (s *Store) claim(t *testing.T, holder string) queue.Lease {
	t.Helper()
	claimed, err := s.Claim(t.Context(), holder, []string{"dev"}, time.Hour)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim: %+v, %v", claimed, err)
	}
	return claimed[0]
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
		const callers = groupItems + 100
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
		if want := []int{groupItems, 100}; !slices.Equal(g.sizes, want) {
			t.Errorf("%d requests were committed in groups of %v; want %v", callers, g.sizes, want)
		}
	})
}

// A transaction is bounded by the updates and bytes that it writes, too.
func TestLargeRequestsDoNotShareACommit(t *testing.T) {
	large := numbered(1)
	large.Body = make([]byte, groupBytes/2+1)
	many := numbered(2)
	for i := range groupUpdates / 2 {
		many.Updates = append(many.Updates, gitops.Update{Environment: "dev", App: fmt.Sprint(i)})
	}
	for _, d := range []gitops.Delivery{large, many} {
		inBubble(t, func(t *testing.T, s *Store, _ string, g *groups) {
			release := s.hold(t)
			var all sync.WaitGroup
			for i := range 3 {
				all.Go(func() {
					d := d
					d.ID = fmt.Sprint(i)
					if _, _, err := s.Accept(t.Context(), d); err != nil {
						t.Errorf("Accept: %v", err)
					}
				})
			}
			synctest.Wait()
			if err := release(); err != nil {
				t.Error(err)
			}
			all.Wait()
			if want := []int{1, 1, 1}; !slices.Equal(g.sizes, want) {
				t.Errorf("large requests were committed in groups of %v; want %v", g.sizes, want)
			}
		})
	}
}

// A request that fails after it wrote is undone, and those beside it are not.
func TestBadRequestFailsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, _ string, _ *groups) {
		release := s.hold(t)
		errs := make([]error, 6)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				errs[i] = s.writer.do(t.Context(), func(tx *tx) error {
					_, _, err := tx.accept(numbered(i))
					if err == nil && i == 3 {
						err = errors.New("half-way")
					}
					return err
				})
			})
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
		if waits, err := s.Backlogs(t.Context()); err != nil || len(waits) != 1 || waits[0].Pending != len(errs)-1 {
			t.Errorf("what waits: %+v, %v", waits, err)
		}
	})
}

// TestEndedContext holds the writer to the truth: what it did not begin is not
// done, and what it began is answered with its result.
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
		if want := []int{1}; !slices.Equal(g.sizes, want) {
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

// Power loss cannot be tested, but what protects from it can be asked for.
func TestEveryWritingConnectionSyncs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tallyman.db")
	if _, err := createFile(path); err != nil {
		t.Fatal(err)
	}
	c, err := connect(path, writerSetup...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.close() })
	if synchronous, err := c.pragma(`PRAGMA synchronous`); err != nil || synchronous != int64(2) { // FULL
		t.Errorf("synchronous is %v, %v", synchronous, err)
	}
}
