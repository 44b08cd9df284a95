package backup

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestAReaderThatSleepsEndsTheBackup has a pipe take something, and then nothing more.
func TestAReaderThatSleepsEndsTheBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer r.Close() // ends the write that was given up
		go func() {
			_, _ = io.ReadFull(r, make([]byte, 5))
			time.Sleep(50 * time.Second)
			_, _ = io.ReadFull(r, make([]byte, 5))
		}()
		began := time.Now()
		out := newStallWriter(t.Context(), w, time.Minute)
		for range 2 {
			if n, err := out.Write([]byte("12345")); n != 5 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		for range 2 {
			if _, err := out.Write([]byte("67890")); gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("when nobody reads: %v", err)
			}
		}
		if took := time.Since(began); took != 110*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestATargetThatStallsEndsTheBackup has a volume take nothing: the store is read no
// longer than that.
func TestATargetThatStallsEndsTheBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer r.Close()
		var s store
		began := time.Now()
		if _, err := s.source().Write(t.Context(), w); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took != stalledAfter {
			t.Errorf("it took %s", took)
		}
	})
}

// TestAStopDoesNotWaitForTheTarget stops the process while its volume takes nothing.
func TestAStopDoesNotWaitForTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var s store
		began := time.Now()
		if _, err := s.source().Write(ctx, w); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
