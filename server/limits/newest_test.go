package limits

import (
	"net"
	"testing"
	"time"
)

func dialAll(t *testing.T, listener net.Listener, n int) (clients, served []net.Conn) {
	t.Helper()
	for range n {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		clients, served = append(clients, client), append(served, conn)
	}
	return clients, served
}

func isOpen(t *testing.T, client, served net.Conn) bool {
	t.Helper()
	if _, err := client.Write([]byte("x")); err != nil {
		return false
	}
	if err := served.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return false
	}
	_, err := served.Read(make([]byte, 1))
	return err == nil
}

// One too many takes the place of the oldest, and one that ends makes room, once.
func TestTheNewestConnectionsStay(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := NewestConnections(inner, "probeListen", newWatch())
	defer listener.Close()
	clients, served := dialAll(t, listener, maxProbes)
	for i := range clients {
		if !isOpen(t, clients[i], served[i]) {
			t.Fatalf("connection %d is closed, and there was room", i)
		}
	}
	_, _ = served[1].Close(), served[1].Close()
	dialAll(t, listener, 1)
	if !isOpen(t, clients[0], served[0]) {
		t.Error("the oldest is closed, and there was room")
	}
	dialAll(t, listener, 1)
	if isOpen(t, clients[0], served[0]) {
		t.Error("the oldest is open")
	}
	if !isOpen(t, clients[2], served[2]) {
		t.Error("the next is closed, too")
	}
	_ = served[0].Close() // whose place was taken
	if l := listener.(*newestListener); l.open.Len() != maxProbes || l.places.open != maxProbes {
		t.Errorf("%d are open, and %d have a place", l.open.Len(), l.places.open)
	}
	inner.Close()
	if _, err := listener.Accept(); err == nil {
		t.Error("accepts what a closed listener has")
	}
}

// One address leaves room for the others at the listener for operators.
func TestFewConnections(t *testing.T) {
	d := &doors{t: t, connections: FewConnections(nil, "adminListen", newWatch()).(*boundedListener).places}
	d.come(known, "192.0.2.1", maxAdminEach+1, maxAdminEach, ReasonAddressLimit)
	d.come(known, "192.0.2.2", maxAdmin-maxAdminEach, maxAdmin-maxAdminEach, "")
	d.come(known, "192.0.2.3", 1, 0, ReasonLimit)
	d.leave()
}
