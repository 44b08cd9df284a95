package discovery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A loop does it at once, every 15 s, and when it is asked, but at most once a second:
// what is asked for meanwhile is one.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		l := NewLoop(15*time.Second, time.Second, func(context.Context) { at = append(at, time.Since(began)) })
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		time.Sleep(20 * time.Second) // 0 s and 15 s
		for range 5 {
			l.Ask() // 20 s
			synctest.Wait()
		}
		time.Sleep(500 * time.Millisecond)
		l.Ask() // is the same as those that had to wait: 21 s
		time.Sleep(20 * time.Second)
		cancel()
		<-done
		want := []time.Duration{0, 15 * time.Second, 20 * time.Second, 21 * time.Second, 36 * time.Second}
		if len(at) != len(want) {
			t.Fatalf("it was done after %v, want %v", at, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Fatalf("it was done after %v, want %v", at, want)
			}
		}
	})
}

// A loop that ends while it waits does nothing more.
func TestLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		l := NewLoop(time.Second, time.Second, func(context.Context) { n++; cancel() })
		l.Ask()
		l.Run(ctx)
		if n != 1 {
			t.Errorf("it was done %d times", n)
		}
	})
}
