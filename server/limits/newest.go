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
	const places = maxProbes + 1 // the newest has one before the oldest has given its own back
	return &newestListener{boundedListener: apart(inner, name, places, places, recorder), open: list.New()}
}

type newestListener struct {
	*boundedListener

	mu   sync.Mutex
	open *list.List // of *boundedConn, the oldest in front
}

// Accept returns the next connection, and makes room for it.
func (l *newestListener) Accept() (net.Conn, error) {
	conn, err := l.boundedListener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open.Len() == maxProbes {
		_ = l.open.Remove(l.open.Front()).(*boundedConn).Close() // its server notices, and closes it, too
	}
	bounded := conn.(*boundedConn)
	return &newestConn{bounded, l, l.open.PushBack(bounded)}, nil
}

// newestConn leaves the list when it is closed.
type newestConn struct {
	*boundedConn
	of    *newestListener
	place *list.Element
}

func (c *newestConn) Close() error {
	c.of.mu.Lock()
	c.of.open.Remove(c.place) // which does nothing when its place was taken
	c.of.mu.Unlock()
	return c.boundedConn.Close()
}
