package limits

import (
	"container/list"
	"net"
	"sync"
)

// The connections to the listeners that are not for senders: 3 MiB for all of them at
// their worst.
const (
	maxAdmin, maxAdminEach = 16, 8
	maxProbes              = 32
)

// FewConnections bounds the connections of a listener for operators: one too many is
// closed as it comes, and one address cannot take them all. Its server needs [Protect].
func FewConnections(inner net.Listener, name string, recorder ConnectionRecorder) net.Listener {
	return apart(inner, name, maxAdmin, maxAdminEach, recorder)
}

// NewestConnections bounds the connections of a listener for probes. When there is one too
// many, the oldest is closed: a probe is answered at once, so whoever holds connections
// open cannot keep the kubelet from asking, which would kill the process. Its server
// needs [Protect].
func NewestConnections(inner net.Listener, name string, recorder ConnectionRecorder) net.Listener {
	newest := &newestListener{Listener: inner, open: list.New()}
	return apart(newest, name, 2*maxProbes, 2*maxProbes, recorder) // the oldest may still be on their way out
}

type newestListener struct {
	net.Listener

	mu   sync.Mutex
	open *list.List // of net.Conn, the oldest in front
}

// Accept returns the next connection, and makes room for it.
func (l *newestListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open.Len() == maxProbes {
		_ = l.open.Remove(l.open.Front()).(net.Conn).Close() // its server notices, and closes it, too
	}
	return &newestConn{conn, l, l.open.PushBack(conn)}, nil
}

// newestConn gives its place back when it is closed.
type newestConn struct {
	net.Conn
	of    *newestListener
	place *list.Element
}

func (c *newestConn) Close() error {
	c.of.mu.Lock()
	c.of.open.Remove(c.place) // which does nothing when its place was taken
	c.of.mu.Unlock()
	return c.Conn.Close()
}
