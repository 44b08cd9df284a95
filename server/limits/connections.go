package limits

import (
	"net"
	"net/netip"
	"sync"
)

// connections bounds how many are open, in all and from one address. One too many
// is closed as it comes: the newest is turned away, and the timeouts make room.
type connections struct {
	most, each int
	proxies    []netip.Prefix // of which each stands for many clients

	mu    sync.Mutex
	open  int
	opens map[netip.Addr]int // by address, without zeros
}

func newConnections(most, each int, proxies []netip.Prefix) *connections {
	return &connections{most: most, each: each, proxies: proxies, opens: make(map[netip.Addr]int)}
}

// bound wraps a listener.
func (c *connections) bound(listener net.Listener) net.Listener {
	return &boundedListener{listener, c}
}

type boundedListener struct {
	net.Listener
	of *connections
}

// Accept returns the next connection that there is room for.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := l.of.counted(conn.RemoteAddr())
		if !l.of.take(address) {
			_ = conn.Close() // before the first byte there is no way to give a reason
			continue
		}
		return &boundedConn{Conn: conn, done: sync.OnceFunc(func() { l.of.give(address) })}, nil
	}
}

// counted is the address that a connection counts for; the zero one for a trusted
// proxy's.
func (c *connections) counted(of net.Addr) netip.Addr {
	tcp, ok := of.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	address := tcp.AddrPort().Addr().Unmap()
	for _, p := range c.proxies {
		if p.Contains(address) {
			return netip.Addr{}
		}
	}
	if address.Is6() {
		network, _ := address.WithZone("").Prefix(64)
		return network.Addr()
	}
	return address
}

func (c *connections) take(address netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.most || address.IsValid() && c.opens[address] >= c.each {
		return false
	}
	c.open++
	if address.IsValid() {
		c.opens[address]++
	}
	return true
}

func (c *connections) give(address netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if address.IsValid() {
		if c.opens[address]--; c.opens[address] == 0 {
			delete(c.opens, address)
		}
	}
}

// boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn
	done func()
}

func (c *boundedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}
