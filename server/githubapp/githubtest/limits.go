package githubtest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// GitHub's limits, per installation: calls an hour, and what makes content a minute and an
// hour. The documentation calls the last two approximate.
const (
	quota         = 5000
	madePerMinute = 80
	madePerHour   = 500
)

type limits struct {
	used  int
	since time.Time
	made  []time.Time // content, in the last hour
}

// Spend uses up the hour's calls, but for some that are left.
func (s *Server) Spend(left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.used, s.limits.since = quota-left, s.now()
}

// Left are the calls that are left of the hour's.
func (s *Server) Left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return quota - s.limits.used
}

// withinLimits counts a call, and answers one over a limit. That is by the server's clock.
func (s *Server) withinLimits(w http.ResponseWriter, r *http.Request) bool {
	l, now := &s.limits, s.now()
	if now.Sub(l.since) >= time.Hour {
		l.used, l.since = 0, now
	}
	header := w.Header()
	header.Set("X-RateLimit-Limit", strconv.Itoa(quota))
	header.Set("X-RateLimit-Reset", strconv.FormatInt(l.since.Add(time.Hour).Unix(), 10))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, quota-l.used-1)))
	if l.used >= quota {
		s.limit(w, r, "API rate limit exceeded for installation.", "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api")
		return false
	}
	l.used++
	if r.Method != http.MethodPost || strings.HasSuffix(r.URL.Path, "/graphql") {
		return true
	}
	for len(l.made) > 0 && now.Sub(l.made[0]) >= time.Hour {
		l.made = l.made[1:]
	}
	minute := 0
	for _, at := range l.made {
		if now.Sub(at) < time.Minute {
			minute++
		}
	}
	if minute >= madePerMinute || len(l.made) >= madePerHour {
		s.limit(w, r, "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. Please retry your request again later.",
			"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits")
		return false
	}
	l.made = append(l.made, now)
	return true
}

// limit answers who asks too often. GitHub does not say how long a secondary limit lasts.
func (s *Server) limit(w http.ResponseWriter, r *http.Request, message, url string) {
	if !s.expected[http.StatusForbidden] {
		s.t.Errorf("GitHub would limit %s %s: %s", r.Method, r.URL.Path, message)
	}
	answer(w, http.StatusForbidden, map[string]string{"message": message, "documentation_url": url, "status": "403"})
}
