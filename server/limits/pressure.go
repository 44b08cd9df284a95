package limits

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	pressureEvery = time.Minute // between two lines of the log
	fewEndings    = 60          // connections without a request in that time that are not worth a line: probes of a load balancer are such
	mostNetworks  = 1024        // that are told apart between two lines
)

// pressure writes a line about refused connections and those without a request, at most
// once a minute, that names the network which has the most of them. Safe for
// concurrent use; a nil one writes nothing.
type pressure struct {
	logger *slog.Logger
	now    func() time.Time
	places *connections

	mu       sync.Mutex
	written  time.Time
	since    time.Time          // of the first one that is counted below
	refused  map[Reason]int     // by reason; "" is without a request
	networks map[netip.Addr]int // of either kind, by network
}

func newPressure(places *connections, now func() time.Time, logger *slog.Logger) *pressure {
	return &pressure{logger: logger, now: now, places: places, refused: map[Reason]int{}, networks: map[netip.Addr]int{}}
}

// note counts one connection of a client; the reason is "" for one that ended without a
// request.
func (p *pressure) note(of client, why Reason) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.since) >= pressureEvery && p.quiet() {
		p.reset() // what came in drops does not add up
	}
	if len(p.refused) == 0 {
		p.since = now
	}
	p.refused[why]++
	if _, counted := p.networks[of.network]; counted || len(p.networks) < mostNetworks {
		p.networks[of.network]++
	}
	if p.quiet() || now.Sub(p.written) < pressureEvery {
		return
	}
	p.write(now)
	p.written = now
	p.reset()
}

// quiet reports whether there is nothing to write about.
func (p *pressure) quiet() bool {
	return p.refused[ReasonLimit]+p.refused[ReasonAddressLimit] == 0 && p.refused[""] < fewEndings
}

func (p *pressure) reset() {
	clear(p.refused)
	clear(p.networks)
}

func (p *pressure) write(now time.Time) {
	var worst netip.Addr
	for network, n := range p.networks {
		if n > p.networks[worst] || n == p.networks[worst] && network.Less(worst) {
			worst = network
		}
	}
	largest, open := p.places.largest()
	p.logger.Warn("connections refused or without a request",
		slog.Int("refused", p.refused[ReasonLimit]), slog.Int("refusedByAddress", p.refused[ReasonAddressLimit]), slog.Int("withoutRequest", p.refused[""]),
		slog.Float64("seconds", now.Sub(p.since).Seconds()), slog.String("network", networkText(worst)), slog.Int("ofNetwork", p.networks[worst]),
		slog.String("mostOpen", networkText(largest)), slog.Int("open", open),
		slog.String("advice", "keep the network away from this service, in front of it; if its clients are yours, raise limits.connectionsPerAddress, or name their proxy in limits.trustedProxies"))
}

// networkText is a network as people write it.
func networkText(network netip.Addr) string {
	switch {
	case !network.IsValid():
		return "trusted proxies"
	case network.Is6():
		return network.String() + "/64"
	}
	return network.String()
}
