// Package limits bounds what unauthenticated clients can take from authenticated
// ones: the work of refusing them, connections, and memory.
package limits

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/server/budget"
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
	proxies     proxies
	refusals    *refusals
	verifiers   chan struct{} // holds one for each credential that is verified; see [Limits.Guard]
	bodies      *bodyBudget
	connections *connections
	known       *knownClients
	pressure    *pressure
}

// New makes limits. Its error is Invalid and names the field.
func New(c Config) (*Limits, error) {
	trusted, err := parseProxies(c.TrustedProxies)
	if err != nil {
		return nil, err
	}
	most, each, err := connectionLimits(c)
	if err != nil {
		return nil, err
	}
	places, known := newConnections(most, each, len(trusted) > 0), newKnownClients(time.Now)
	return &Limits{
		proxies:     trusted,
		refusals:    newRefusals(int(c.RefusedPerMinute), time.Now),
		verifiers:   make(chan struct{}, verifiers()),
		bodies:      newBodyBudget(c.Shares.Bodies, known.has),
		connections: places,
		known:       known,
		pressure:    newPressure(places, time.Now, c.Logger),
	}, nil
}

// Bodies counts what is read of a body until its request is answered.
func (l *Limits) Bodies(next http.Handler) http.Handler { return l.bodies.limit(next) }
