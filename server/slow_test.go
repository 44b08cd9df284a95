package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// oneConnection is a listener that has one connection and then no other.
type oneConnection struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *oneConnection) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConnection) Close() error   { close(l.closed); return nil }
func (l *oneConnection) Addr() net.Addr { return &net.TCPAddr{} }

// publicServer is what serves the public listener.
func publicServer(s *Server) *http.Server {
	s.prepare(s.current(), nil)
	return s.httpServer(s.generations)
}

// Who sends slowly, or nothing more, is let go after a while that does not depend
// on what was sent: nobody holds connections for nothing.
func TestSlowClientsAreLetGo(t *testing.T) {
	site := newSite(t)
	public := publicServer
	admin := func(s *Server) *http.Server { return s.httpServer(s.adminHandler()) }
	probe := func(s *Server) *http.Server {
		srv := s.httpServer(s.probeHandler())
		forProbes(srv)
		return srv
	}
	for _, c := range []struct {
		name, sends string
		to          func(*Server) *http.Server
		within      time.Duration
		status      int // of the answer; 0 when there is none
	}{
		{"nothing", "", public, 5 * time.Second, 0},
		{"half a header", "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-", public, 5 * time.Second, 400},
		{"half a body", "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", public, 15 * time.Second, 400},
		{"nothing after a request", "GET /app-created HTTP/1.1\r\nHost: x\r\n\r\n", public, 2 * time.Minute, 200},
		{"nothing to adminListen", "", admin, 5 * time.Second, 0},
		{"nothing after its metrics", "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", admin, 2 * time.Minute, 404},
		{"nothing to probeListen", "", probe, 2 * time.Second, 0},
		{"half a header to probeListen", "GET /livez HTTP/1.1\r\nHost: x\r\nX-", probe, 2 * time.Second, 400},
		{"nothing after a probe", "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", probe, 15 * time.Second, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := site.newServer()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Stop(t.Context())
			srv := c.to(s)
			synctest.Test(t, func(t *testing.T) {
				client, conn := net.Pipe()
				listener := &oneConnection{make(chan net.Conn, 1), make(chan struct{})}
				listener.conn <- conn
				ended := make(chan error, 1)
				go func() { ended <- srv.Serve(listener) }()
				began, answers := time.Now(), bufio.NewReader(client)
				fmt.Fprint(client, c.sends)
				if c.status > 0 {
					resp, err := http.ReadResponse(answers, nil)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != c.status {
						t.Errorf("answered with %s, %v", resp.Status, err)
					}
				}
				if text, err := io.ReadAll(answers); len(text) > 0 || err != nil {
					t.Errorf("then came %q, %v", text, err)
				}
				if took := time.Since(began); took < c.within || took > c.within+time.Second {
					t.Errorf("let go after %s", took)
				}
				client.Close()
				srv.Close()
				if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}

// Who reads no answer is let go, too, whichever listener it is.
func TestClientsThatDoNotReadAreLetGo(t *testing.T) {
	site := newSite(t)
	for name, c := range map[string]struct {
		path   string
		to     func(*Server) *http.Server
		within time.Duration
	}{
		"listen":      {"/app-created", publicServer, 30 * time.Second},
		"adminListen": {"/metrics", func(s *Server) *http.Server { return s.httpServer(s.adminHandler()) }, 30 * time.Second},
		"probeListen": {"/nowhere", func(s *Server) *http.Server {
			srv := s.httpServer(s.probeHandler())
			forProbes(srv)
			return srv
		}, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := site.newServer()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Stop(t.Context())
			srv := c.to(s)
			synctest.Test(t, func(t *testing.T) {
				client, conn := net.Pipe() // which takes nothing until it is read
				listener := &oneConnection{make(chan net.Conn, 1), make(chan struct{})}
				closed := make(chan time.Time, 1)
				listener.conn <- &noticedConn{conn, closed}
				ended := make(chan error, 1)
				go func() { ended <- srv.Serve(listener) }()
				began := time.Now()
				fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", c.path)
				if took := (<-closed).Sub(began); took < c.within-time.Second || took > c.within+time.Second {
					t.Errorf("let go after %s", took)
				}
				client.Close()
				srv.Close()
				<-ended
			})
		})
	}
}

// noticedConn says when it is closed first.
type noticedConn struct {
	net.Conn
	closed chan<- time.Time
}

func (c *noticedConn) Close() error {
	select {
	case c.closed <- time.Now():
	default:
	}
	return c.Conn.Close()
}
