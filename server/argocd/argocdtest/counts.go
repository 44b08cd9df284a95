package argocdtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Request is one that came.
type Request struct {
	At      time.Time
	URI     string
	Refresh bool
}

type counts struct {
	requests   []Request
	refreshing int
	most       int // refreshes at once
}

// begin counts a request. The lock is held.
func (c *counts) begin(r *http.Request, now time.Time) (refresh bool) {
	refresh = r.URL.Query().Has("refresh")
	c.requests = append(c.requests, Request{At: now, URI: r.URL.RequestURI(), Refresh: refresh})
	if refresh {
		c.refreshing++
		c.most = max(c.most, c.refreshing)
	}
	return refresh
}

// Requests are those whose URI has all of the texts, the oldest first.
func (s *Server) Requests(texts ...string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.counts.requests), func(r Request) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(r.URI, text) })
	})
}

// MostPerSecond is the largest number of requests that came within any second. Over real
// connections a request may come late, and so a few more than were sent within one.
func (s *Server) MostPerSecond() int {
	most, first := 0, 0
	requests := s.Requests()
	for i, r := range requests {
		for r.At.Sub(requests[first].At) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// MostRefreshes is the largest number of refreshes that were under way at once.
func (s *Server) MostRefreshes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts.most
}
