package limits

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Reason says why a connection was closed as it came, or to make room for another.
type Reason string

const (
	ReasonLimit        Reason = "limit"         // there are too many in all
	ReasonAddressLimit Reason = "address_limit" // there are too many of its address
)

// Reasons lists every [Reason].
func Reasons() []Reason { return []Reason{ReasonLimit, ReasonAddressLimit} }

// class is what is known of a client when its connection comes.
type class int

const (
	unknown class = iota
	known         // its network was authenticated lately
	proxy         // a trusted proxy, which stands for many clients
)

// client is whom a connection counts for.
type client struct {
	class   class
	address netip.Addr
	network netip.Addr // an IPv4 address, or the /64 of an IPv6 address
	site    netip.Addr // the /48 of an IPv6 address, else invalid
}

// clientAt is the client at an address.
func clientAt(address netip.Addr) client {
	address = address.Unmap().WithZone("")
	if !address.Is6() {
		return client{address: address, network: address}
	}
	network, _ := address.Prefix(64)
	site, _ := address.Prefix(48)
	return client{address: address, network: network.Addr(), site: site.Addr()}
}

// siteShare is how many times as many connections a /48 may have as a /64: it is what
// one customer of a provider has, who can make 65,536 networks of it.
const siteShare = 4

// maxLeaving is how many connections whose place is another's may be open still, until
// the server's goroutines notice. ConnectionBytes has room for them.
const maxLeaving = 64

// leaveWithin is how long one more waits until fewer are leaving. They need a processor
// for it, and nothing of their clients.
const leaveWithin = time.Second

// connections bounds how many are open, in all and from one client. One too many takes
// the place of one that waits for its client, see [waiting], or is closed as it comes.
//
// A quarter is kept for clients that were authenticated lately: the others, however
// many they are, never get it. Connections of trusted proxies are of many clients, so
// they are not bounded by address, and nothing is known of who is behind them, so they
// do not get the kept quarter either. Where there are proxies, whoever comes past them
// without having been authenticated gets a quarter at most, so that the proxies
// always have half.
type connections struct {
	most, each int
	proxied    bool // there are trusted proxies

	mu      sync.Mutex
	open    int
	leaving int                // besides, whose place is another's
	left    chan struct{}      // has one after fewer are leaving
	classes [3]int             // of them, by class
	opens   map[netip.Addr]int // by network, without zeros; none of proxies
	sites   map[netip.Addr]int // by site, likewise
}

func newConnections(most, each int, proxied bool) *connections {
	return &connections{most: most, each: each, proxied: proxied, left: make(chan struct{}, 1), opens: make(map[netip.Addr]int), sites: make(map[netip.Addr]int)}
}

// take makes room for one more connection of a client; ok is false when there is none.
func (c *connections) take(of client) (why Reason, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.most / 4
	switch {
	case of.class != proxy && (c.opens[of.network] >= c.each || of.site.IsValid() && c.sites[of.site] >= siteShare*c.each):
		return ReasonAddressLimit, false
	case c.open >= c.most,
		of.class != known && c.classes[unknown]+c.classes[proxy] >= c.most-kept,
		of.class == unknown && c.proxied && c.classes[unknown] >= max(1, kept):
		return ReasonLimit, false
	}
	c.count(of, 1)
	return "", true
}

// replaceable says which connections may give their place to a client that take refused;
// it is nil where none may. What was refused for its address takes a place of its own
// network or site. Clients that are not known take none of those that are, and of those
// who come past the proxies none takes a proxy's.
func (c *connections) replaceable(of client, why Reason) func(client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving >= maxLeaving {
		return nil
	}
	if why == ReasonAddressLimit {
		ofNetwork := c.opens[of.network] >= c.each
		return func(other client) bool {
			same := other.network == of.network || !ofNetwork && other.site == of.site
			return same && (other.class == of.class || of.class == known && other.class == unknown)
		}
	}
	return func(other client) bool {
		return other.class == unknown || other.class == proxy && (of.class != unknown || !c.proxied)
	}
}

// replace gives a client the place of another.
func (c *connections) replace(other, of client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(other, -1)
	c.count(of, 1)
	c.leaving++
}

// gone notes that one whose place is another's is closed.
func (c *connections) gone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving--
	select {
	case c.left <- struct{}{}:
	default:
	}
}

// awaitLeaving waits a moment while too many are leaving. Without it a machine that is
// busy with the attack would turn those away who come meanwhile, attackers or not. One
// goroutine at a time calls it.
func (c *connections) awaitLeaving() {
	if !c.crowded() {
		return
	}
	late := time.NewTimer(leaveWithin)
	defer late.Stop()
	for c.crowded() {
		select {
		case <-c.left:
		case <-late.C:
			return
		}
	}
}

func (c *connections) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving >= maxLeaving
}

func (c *connections) give(of client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(of, -1)
}

// count is called with the lock held.
func (c *connections) count(of client, n int) {
	c.open += n
	c.classes[of.class] += n
	if of.class == proxy {
		return
	}
	add := func(to map[netip.Addr]int, at netip.Addr) {
		if to[at] += n; to[at] == 0 {
			delete(to, at)
		}
	}
	add(c.opens, of.network)
	if of.site.IsValid() {
		add(c.sites, of.site)
	}
}

// largest is the network with the most open connections, and how many they are.
func (c *connections) largest() (network netip.Addr, open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, n := range c.opens {
		if n > open || n == open && at.Less(network) {
			network, open = at, n
		}
	}
	return network, open
}

// addressOf is the address that a connection came from.
func addressOf(conn net.Conn) (netip.Addr, bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return tcp.AddrPort().Addr(), true
}
