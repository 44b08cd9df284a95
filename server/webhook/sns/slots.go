package sns

import (
	"context"
	"slices"
	"sync"
)

// slots bounds how many do something at once. Who came last is next: anybody can have
// certificates fetched that do not exist, and a message of SNS must not wait behind all
// of those. It is sent again and again, so it need not be next each time. Safe for
// concurrent use.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting []chan struct{} // each closed when it has a slot
}

func newSlots(n int) *slots { return &slots{free: n} }

// take waits for a slot, until ctx ends. Without an error give must be called.
func (s *slots) take(ctx context.Context) error {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	s.waiting = append(s.waiting, turn)
	s.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.waiting, turn)
	if at < 0 {
		return nil // it has one after all
	}
	s.waiting = slices.Delete(s.waiting, at, at+1)
	return ctx.Err()
}

func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.waiting) - 1
	if last < 0 {
		s.free++
		return
	}
	close(s.waiting[last])
	s.waiting = slices.Delete(s.waiting, last, last+1)
}
