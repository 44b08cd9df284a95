package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

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
				late.EventTime, late.Recovered = late.ReceivedAt.Add(-time.Hour), true
				if d, _, err := s.Accept(t.Context(), late); err != nil || d.Updates[0].State != gitops.Superseded {
					t.Errorf("a late event afterwards: %+v, %v", d, err)
				}
				if waits, err := s.Backlogs(t.Context()); err != nil || len(waits) != 1 || waits[0].Pending != cap(errs)-1 {
					t.Errorf("what waits afterwards: %+v, %v", waits, err)
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
		if gitops.CodeOf(err) != gitops.Unavailable || gitops.PublicOf(err) != "the store's disk is full" {
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
