package queue

import "sync"

// Notifier is the hints that a store hands out for [Lanes.Wake]. The zero value is
// ready. Safe for concurrent use.
type Notifier struct {
	mu       sync.Mutex
	channels map[string]chan struct{} // each holds at most one hint
	all      bool                     // WakeAll was called: a new channel begins with its hint
}

// Channel is the environment's; always the same one.
func (w *Notifier) Channel(environment string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.channels[environment]
	if !ok {
		c = make(chan struct{}, 1)
		if w.all {
			c <- struct{}{}
		}
		if w.channels == nil {
			w.channels = make(map[string]chan struct{})
		}
		w.channels[environment] = c
	}
	return c
}

// Wake hints at the environment. It never blocks.
func (w *Notifier) Wake(environment string) {
	select {
	case w.Channel(environment) <- struct{}{}:
	default:
	}
}

// WakeAll hints at every environment, also at one whose channel nobody has asked
// for yet: hints were missed, and nobody knows for whom.
func (w *Notifier) WakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = true
	for _, c := range w.channels {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Broadcast tells any number of goroutines that something happened, for
// [ChangeFeed.Changed]. The zero value is ready. Safe for concurrent use.
type Broadcast struct {
	mu     sync.Mutex
	waited chan struct{} // nil while nobody waits
}

// Next returns the channel that the next Send closes.
func (s *Broadcast) Next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waited == nil {
		s.waited = make(chan struct{})
	}
	return s.waited
}

// Send tells everybody who has asked for Next.
func (s *Broadcast) Send() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waited != nil {
		close(s.waited)
		s.waited = nil
	}
}
