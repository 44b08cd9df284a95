package proposals_test

import (
	"maps"
	"sync"
	"time"
)

// recorder keeps what was measured.
type recorder struct {
	mu       sync.Mutex
	open     map[string]int
	oldest   map[string]time.Time
	requests map[string]int
	ended    map[string]int
	left     int
}

func newRecorder() *recorder {
	return &recorder{open: map[string]int{}, oldest: map[string]time.Time{}, requests: map[string]int{}, ended: map[string]int{}}
}

func (r *recorder) Open(environment string, open int, oldest time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[environment], r.oldest[environment] = open, oldest
}

func (r *recorder) Request(outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests[outcome]++
}

func (r *recorder) RateLeft(_ string, left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = left
}

func (r *recorder) Ended(environment, how string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended[environment+" "+how]++
}

// now is what was recorded until now.
func (r *recorder) now() (open, requests, ended map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.open), maps.Clone(r.requests), maps.Clone(r.ended)
}
