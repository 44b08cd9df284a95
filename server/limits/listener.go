package limits

import (
	"net"
	"net/netip"
	"sync/atomic"
)

// ConnectionRecorder counts what happens to connections, by the listener's name. Safe
// for concurrent use.
type ConnectionRecorder interface {
	Opened(listener string)
	Closed(listener string)
	Refused(listener string, why Reason) // closed as it came, or to make room for one that came
	WithoutRequest(listener string)      // ended before a request came, or within the header of one
	HeaderRefused(listener string)       // answered 431
}

// boundedListener is a listener whose connections are bounded.
type boundedListener struct {
	net.Listener
	name     string
	recorder ConnectionRecorder
	places   *connections
	waiting  *waiting
	classify func(netip.Addr) class
	pressure *pressure // nil for a listener of operators
	refused  func(client)

	stopping atomic.Bool
}

// Listener bounds the connections of the public listener. Its server needs [Protect].
func (l *Limits) Listener(inner net.Listener, name string, recorder ConnectionRecorder) net.Listener {
	return &boundedListener{
		Listener: inner, name: name, recorder: recorder, places: l.connections, waiting: newWaiting(), classify: l.classOf,
		pressure: l.pressure, refused: l.countRefusal,
	}
}

// apart bounds the connections of a listener that is not for senders. They have places
// of their own, so that no attack on the public listener takes them.
func apart(inner net.Listener, name string, most, each int, recorder ConnectionRecorder) *boundedListener {
	return &boundedListener{
		Listener: inner, name: name, recorder: recorder, places: newConnections(most, each, false), waiting: newWaiting(),
		classify: func(netip.Addr) class { return known }, refused: func(client) {},
	}
}

// classOf says what is known of an address.
func (l *Limits) classOf(address netip.Addr) class {
	of := clientAt(address)
	switch {
	case l.proxies.have(of.address):
		return proxy
	case l.known.has(of.network.String()):
		return known
	}
	return unknown
}

// Accept returns the next connection that there is room for.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		of := client{class: proxy} // a connection without an address counts for the whole alone
		if address, ok := addressOf(conn); ok {
			of = clientAt(address)
			of.class = l.classify(address)
		}
		if why, ok := l.places.take(of); !ok && !l.makeRoom(of, why) {
			discard(conn)
			l.recorder.Refused(l.name, why)
			l.pressure.note(of, why)
			continue
		}
		l.recorder.Opened(l.name)
		return newBoundedConn(conn, l, of), nil
	}
}

// makeRoom gives a client the place of the connection that waits for longest of those
// which keep it out. That one is discarded; its server notices, and closes it, too.
func (l *boundedListener) makeRoom(of client, why Reason) bool {
	l.places.awaitLeaving()
	may := l.places.replaceable(of, why)
	if may == nil {
		return false
	}
	longest := l.waiting.replace(may)
	if longest == nil {
		return false
	}
	l.places.replace(longest.client, of)
	discard(longest.Conn)
	l.recorder.Refused(l.name, why)
	l.pressure.note(longest.client, why)
	return true
}

// discard closes a connection that there is no room for. Before the first byte there is
// no way to give a reason. It is reset, so that the kernel keeps nothing of it either:
// else each would be remembered for a minute.
func discard(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Close stops listening. Connections that end from now on end because of it.
func (l *boundedListener) Close() error {
	l.stopping.Store(true)
	return l.Listener.Close()
}

// closed is called once for each connection that Accept has returned.
func (l *boundedListener) closed(c *boundedConn) {
	replaced := l.waiting.end(c)
	if replaced {
		l.places.gone()
	} else {
		l.places.give(c.client)
	}
	l.recorder.Closed(l.name)
	if replaced || c.idle.Load() || l.stopping.Load() {
		return // what was replaced is counted as refused
	}
	if c.client.class != proxy { // of whom nobody behind it is known
		l.refused(c.client)
	}
	l.pressure.note(c.client, "")
	l.recorder.WithoutRequest(l.name)
}
