package server

import (
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/httprate"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// limits bound what those who are not known can take from those who are: the work
// of refusing them, connections, and memory.
type limits struct {
	proxies     []netip.Prefix // whose word on the client's address counts
	refusals    *httprate.RateLimiter
	perMinute   int
	bodies      *bodies
	connections *connections
}

func newLimits(c config.Limits) (*limits, error) {
	l := &limits{perMinute: int(c.RefusedPerMinute), bodies: newBodies(maxBodies, maxBodies/4)}
	for i, text := range c.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, gitops.FieldErrorf("limits.trustedProxies["+strconv.Itoa(i)+"]", "must be a range of addresses such as 10.0.0.0/8")
		}
		if prefix.Bits() == 0 {
			return nil, gitops.FieldErrorf("limits.trustedProxies["+strconv.Itoa(i)+"]", "must not be every address: anybody could say whose request it is")
		}
		l.proxies = append(l.proxies, prefix.Masked())
	}
	l.refusals = httprate.NewRateLimiter(l.perMinute, time.Minute, httprate.WithResponseHeaders(httprate.ResponseHeaders{}))
	l.connections = newConnections(int(c.Connections), int(c.ConnectionsPerAddress), l.proxies)
	return l, nil
}

// clientAddress makes RemoteAddr the client's where the request came through a
// trusted proxy. Of others the headers count for nothing.
func (l *limits) clientAddress(next http.Handler) http.Handler {
	if len(l.proxies) == 0 {
		return next
	}
	var prefixes []string
	for _, p := range l.proxies {
		prefixes = append(prefixes, p.String())
	}
	return middleware.ClientIPFromXFF(prefixes...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if address := middleware.GetClientIP(r.Context()); address != "" {
			r.RemoteAddr = address
		}
		next.ServeHTTP(w, r)
	}))
}

// keyOf is what a client is counted by: its address, of IPv6 the network that one
// customer has.
func keyOf(r *http.Request) string {
	return httprate.CanonicalizeIP(webhook.ClientIP(r.RemoteAddr))
}

// refusedAgain is how long an address that was refused too often is asked to wait.
const refusedAgain = 10 * time.Second

// limitRefusals turns an address away that was refused too often, before anything
// of its request is read. Those who are believed are not counted, so a burst of
// deliveries costs nobody anything.
func (s *Server) limitRefusals(next http.Handler) http.Handler {
	l := s.parts.limits
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := keyOf(r)
		if _, rate, err := l.refusals.Status(key); err != nil || rate >= float64(l.perMinute) {
			w.Header().Set("Connection", "close")
			e := gitops.Errorf(gitops.RateLimited, "too many requests from this address were refused")
			e.RetryAfter = refusedAgain
			s.writeProblem(w, e)
			return
		}
		ww, ok := w.(middleware.WrapResponseWriter)
		if !ok {
			ww = middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		}
		next.ServeHTTP(ww, r)
		if isRefusal(r, ww.Status()) {
			l.refusals.OnLimit(ww, r, key) // it has answered: this only counts
		}
	})
}

// isRefusal reports whether an answer is one that somebody who is known gets by
// mistake at most.
func isRefusal(r *http.Request, status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge:
		return true
	case http.StatusBadRequest: // of a body that did not come whole: mostly nobody is known by then
		body, ok := r.Body.(*countedBody)
		return ok && body.broken
	case http.StatusNotFound: // not of a thing that the API was asked for
		return chi.RouteContext(r.Context()).RoutePattern() == ""
	}
	return false
}

// secureHeaders are for browsers that are led here: nothing of an answer is to be
// shown, kept or guessed at.
func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

const (
	maxBodies = 64 << 20 // bytes of bodies that are read at the same moment, besides the first of each
	freeBody  = 16 << 10 // bytes of each that are not counted: more than most have
)

// bodies bounds the memory of bodies that nobody has authenticated yet. Of it one
// address gets a part, so that one that sends large bodies slowly leaves room for
// the others.
type bodies struct {
	most, each int64

	mu    sync.Mutex
	held  int64
	holds map[string]int64 // by address; nothing is not kept
}

func newBodies(most, each int64) *bodies {
	return &bodies{most: most, each: each, holds: make(map[string]int64)}
}

func (b *bodies) take(key string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > b.most || b.holds[key]+n > b.each {
		return false
	}
	b.held += n
	b.holds[key] += n
	return true
}

func (b *bodies) give(key string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	if b.holds[key] -= n; b.holds[key] == 0 {
		delete(b.holds, key)
	}
}

// limit counts what is read of a body until its request is answered.
func (b *bodies) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body := &countedBody{ReadCloser: r.Body, of: b, key: keyOf(r)}
		r.Body = body
		defer body.done()
		next.ServeHTTP(w, r)
	})
}

// countedBody is read by one goroutine.
type countedBody struct {
	io.ReadCloser
	of    *bodies
	key   string
	read  int64
	taken int64

	broken bool // it ended before its end
}

// Read errs with Unavailable when there is no room.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read += int64(n)
	c.broken = c.broken || err != nil && err != io.EOF
	if over := c.read - freeBody - c.taken; over > 0 {
		if !c.of.take(c.key, over) {
			return 0, gitops.Errorf(gitops.Unavailable, "too many large bodies are coming in at once: send it again")
		}
		c.taken += over
	}
	return n, err
}

func (c *countedBody) done() {
	if c.taken > 0 {
		c.of.give(c.key, c.taken)
	}
}
