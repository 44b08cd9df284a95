package feedback_test

import (
	"time"

	"github.com/tallyman-dev/tallyman/server/feedback"
)

// site is a feedback.Recorder.

func (s *site) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted[what]++
}

func (s *site) Written()                  { s.count("written") }
func (s *site) Failed()                   { s.count("failed") }
func (s *site) LeftOut(why feedback.Left) { s.count(string(why)) }
func (s *site) Behind(oldest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = oldest
}
func (s *site) Refusing(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = n
}

// late is since when what should have been told waits, and refused how many repositories refuse.
func (s *site) late() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

func (s *site) refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusing
}

// counts are how often each thing was counted.
func (s *site) counts(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counted[what]
}
