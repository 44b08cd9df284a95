// Package limits bounds what unauthenticated clients can take from authenticated
// ones: the work of refusing them, connections, and memory.
package limits

import (
	"net"
	"net/http"
	"time"
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
	proxies     proxies
	refusals    *refusals
	verifiers   chan struct{} // holds one for each credential that is verified; see [Limits.Guard]
	bodies      *bodyBudget
	connections *connections
}

// New makes limits. Its error is Invalid and names the field.
func New(c Config) (*Limits, error) {
	trusted, err := parseProxies(c.TrustedProxies)
	if err != nil {
		return nil, err
	}
	return &Limits{
		proxies:     trusted,
		refusals:    newRefusals(int(c.RefusedPerMinute), time.Now),
		verifiers:   make(chan struct{}, verifiers()),
		bodies:      newBodyBudget(maxBodies, maxBodies/4),
		connections: newConnections(int(c.Connections), int(c.ConnectionsPerAddress), trusted),
	}, nil
}

// Listener bounds the connections of a listener.
func (l *Limits) Listener(inner net.Listener) net.Listener { return l.connections.bound(inner) }

// Bodies counts what is read of a body until its request is answered.
func (l *Limits) Bodies(next http.Handler) http.Handler { return l.bodies.limit(next) }
