package limits

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// from makes a connection from a loopback address.
func (s *site) from(address string) net.Conn {
	s.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = conn.Close() })
	return conn
}

const lastRequest = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

// Whoever holds every place there is, in whichever way, keeps no sender out: neither one
// that nobody knows yet, nor one at the same address, nor one behind the same proxy.
func TestHeldPlacesKeepNobodyOut(t *testing.T) {
	for way, sends := range map[string]string{
		"nothing":         "",
		"half a header":   "POST / HTTP/1.1\r\nHost: x\r\n",
		"half a body":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
		"an idle request": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		for name, c := range map[string]struct {
			config Config
			from   func(n int) string
			sender string
			reason Reason
		}{
			"of four addresses": {Config{Connections: 16}, func(n int) string { return fmt.Sprint("127.0.0.", 2+n%4) }, "127.0.0.9", ReasonLimit},
			"of its address":    {Config{Connections: 16}, func(int) string { return "127.0.0.9" }, "127.0.0.9", ReasonAddressLimit},
			"of its proxy": {Config{Connections: 16, TrustedProxies: []string{"127.0.0.2/32"}},
				func(int) string { return "127.0.0.2" }, "127.0.0.2", ReasonLimit},
			"past the proxies": {Config{Connections: 16, TrustedProxies: []string{"192.0.2.0/24"}},
				func(n int) string { return fmt.Sprint("127.0.0.", 2+n%4) }, "127.0.0.9", ReasonLimit},
		} {
			t.Run(way+" on all "+name, func(t *testing.T) {
				s := serve(t, c.config)
				for n := range 16 {
					s.write(s.from(c.from(n)), sends)
				}
				s.watch.await("refused: "+string(c.reason), 1)
				for range 3 {
					conn := s.from(c.sender)
					s.write(conn, lastRequest)
					if got := answers(conn); len(got) != 1 || !strings.HasPrefix(got[0], "200 ") {
						t.Errorf("answered %q", got)
					}
				}
			})
		}
	}
}

// A request that is here whole is answered, however many come after it.
func TestNobodyTakesThePlaceOfAWholeRequest(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	s := serveWith(t, Config{Connections: 8, ConnectionsPerAddress: 2}, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		begun <- struct{}{}
		<-end
		fmt.Fprint(w, err)
	})
	var open []net.Conn
	for _, request := range []string{lastRequest, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"} {
		conn := s.dial()
		s.write(conn, request)
		<-begun
		open = append(open, conn)
	}
	for n := range 3 { // each is one too many of its address, and none of the two may go
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if err == nil {
			t.Error("one too many is served")
		}
		s.watch.await("refused: address_limit", n+1)
	}
	close(end)
	for _, conn := range open {
		if got := answers(conn); len(got) != 1 || got[0] != "200 <nil>" {
			t.Errorf("answered %q", got)
		}
	}
}

// Whoever is known has a place of its own, and one that is not known takes none of it.
func TestKnownClientsKeepTheirPlaces(t *testing.T) {
	s := serve(t, Config{Connections: 4, ConnectionsPerAddress: 4})
	s.limits.known.note("127.0.0.9")
	idle := s.from("127.0.0.9")
	s.watch.await("opened", 1)
	for range 10 {
		s.from("127.0.0.2")
	}
	s.watch.await("refused: limit", 7)
	s.write(idle, lastRequest)
	if got := answers(idle); len(got) != 1 {
		t.Errorf("answered %q", got)
	}
}

// What is replaced is counted once, and every place is given back.
func TestPlacesAreGivenBackOnce(t *testing.T) {
	s := serve(t, Config{Connections: 4, ConnectionsPerAddress: 2})
	var open []net.Conn
	for range 20 {
		open = append(open, s.dial())
	}
	s.watch.await("refused: address_limit", 18)
	for _, conn := range open {
		_ = conn.Close()
	}
	s.watch.await("closed", 20)
	if s.watch.has("refused: limit") {
		t.Error("refused for the limit of all")
	}
	s.limits.connections.mu.Lock()
	defer s.limits.connections.mu.Unlock()
	if c := s.limits.connections; c.open != 0 || c.leaving != 0 || len(c.opens) != 0 || c.classes != [3]int{} {
		t.Errorf("%d are open, %d leave, %v, %v", c.open, c.leaving, c.opens, c.classes)
	}
}
