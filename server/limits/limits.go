// Package limits bounds what unauthenticated clients can take from authenticated
// ones: the work of refusing them, connections, and memory.
package limits

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/httprate"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Config says how much is too much; see the configuration's limits.
type Config struct {
	TrustedProxies        []string
	RefusedPerMinute      int64
	Connections           int64
	ConnectionsPerAddress int64
}

// Limits are one server's. Safe for concurrent use.
type Limits struct {
	proxies     []netip.Prefix // whose X-Forwarded-For counts
	refusals    *httprate.RateLimiter
	perMinute   int
	bodies      *bodyBudget
	connections *connections
	known       *knownClients
}

// New makes limits. Its error is Invalid and names the field.
func New(c Config) (*Limits, error) {
	l := &Limits{perMinute: int(c.RefusedPerMinute), bodies: newBodyBudget(maxBodies, maxBodies/4), known: newKnownClients(time.Now)}
	for i, text := range c.TrustedProxies {
		field := fmt.Sprintf("trustedProxies[%d]", i)
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, gitops.FieldErrorf(field, "must be a range of addresses such as 10.0.0.0/8")
		}
		if prefix.Bits() == 0 {
			return nil, gitops.FieldErrorf(field, "must not be every address: any client could say whose request it is")
		}
		l.proxies = append(l.proxies, prefix.Masked())
	}
	l.refusals = httprate.NewRateLimiter(l.perMinute, time.Minute, httprate.WithResponseHeaders(httprate.ResponseHeaders{}))
	l.connections = newConnections(int(c.Connections), int(c.ConnectionsPerAddress), l.proxies)
	return l, nil
}

// Listener bounds the connections of a listener.
func (l *Limits) Listener(inner net.Listener) net.Listener { return l.connections.bound(inner) }

// Bodies counts what is read of a body until its request is answered.
func (l *Limits) Bodies(next http.Handler) http.Handler { return l.bodies.limit(next) }

// ClientAddress makes RemoteAddr the client's where the request came through a
// trusted proxy. Of other clients the header does not count.
func (l *Limits) ClientAddress(next http.Handler) http.Handler {
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

// clientKey is what a client is counted by: its address, of IPv6 the network that
// one customer has.
func clientKey(r *http.Request) string {
	return httprate.CanonicalizeIP(webhook.ClientIP(r.RemoteAddr))
}
