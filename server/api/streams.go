package api

import (
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
)

// How many streams are open at once on one replica, in all and of one principal: 5
// that take all they may are as many as there are. Each holds a connection, a
// goroutine and at most [Memory.Changes] changes.
const (
	MaxStreams     = 100
	maxStreamsEach = 20
)

// streams counts those that are open. Safe for concurrent use.
type streams struct {
	mu   sync.Mutex
	open int
	of   map[string]int // by principal, without zeros
}

// take makes room for one more stream of a principal, until done is called, once.
func (s *streams) take(principal string) (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.of[principal] >= maxStreamsEach:
		return nil, gitops.Errorf(gitops.RateLimited, "%s has %d streams open, and may have no more: close one, or poll /api/v1/updates/ID", principal, maxStreamsEach)
	case s.open >= MaxStreams:
		return nil, gitops.Errorf(gitops.RateLimited, "%d streams are open, and there may be no more: try again later, or poll /api/v1/updates/ID", MaxStreams)
	}
	if s.of == nil {
		s.of = make(map[string]int)
	}
	s.open++
	s.of[principal]++
	return func() { s.give(principal) }, nil
}

func (s *streams) give(principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.of[principal]--; s.of[principal] == 0 {
		delete(s.of, principal)
	}
}
