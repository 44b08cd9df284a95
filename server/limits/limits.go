// Package limits bounds what unauthenticated clients can take from authenticated
// ones: the work of refusing them, connections, and memory.
package limits

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/httprate"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/budget"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Config says how much is too much; see the configuration's limits.
type Config struct {
	TrustedProxies        []string
	RefusedPerMinute      int64
	Connections           int64 // 0 for as many as fit
	ConnectionsPerAddress int64 // 0 for a quarter of them

	Shares budget.Shares // of the process's memory
	Logger *slog.Logger
}

// Limits are one server's. Safe for concurrent use.
type Limits struct {
	proxies     []netip.Prefix // whose X-Forwarded-For counts
	refusals    *httprate.RateLimiter
	perMinute   int
	bodies      *bodyBudget
	connections *connections
	known       *knownClients
	pressure    *pressure
}

// New makes limits. Its error is Invalid and names the field.
func New(c Config) (*Limits, error) {
	l := &Limits{perMinute: int(c.RefusedPerMinute), known: newKnownClients(time.Now)}
	l.bodies = newBodyBudget(c.Shares.Bodies, l.isKnown)
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
	most, each, err := connectionLimits(c)
	if err != nil {
		return nil, err
	}
	l.connections = newConnections(most, each, len(l.proxies) > 0)
	l.pressure = newPressure(l.connections, time.Now, c.Logger)
	return l, nil
}

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
	text := webhook.ClientIP(r.RemoteAddr)
	address, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	return clientAt(address).network.String()
}
