package limits

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/server/budget"
)

// watch is a ConnectionRecorder that writes down what it is told.
type watch struct {
	mu   sync.Mutex
	seen []string
	news sync.Cond
}

func newWatch() *watch {
	c := &watch{}
	c.news.L = &c.mu
	return c
}

func (c *watch) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, what)
	c.news.Broadcast()
}

func (c *watch) Opened(string)                  { c.note("opened") }
func (c *watch) Closed(string)                  { c.note("closed") }
func (c *watch) Refused(_ string, why Reason)   { c.note("refused: " + string(why)) }
func (c *watch) WithoutRequest(listener string) { c.note("without request to " + listener) }
func (c *watch) HeaderRefused(listener string)  { c.note("header refused by " + listener) }

// await waits until it was told something so many times.
func (c *watch) await(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		found := 0
		for _, seen := range c.seen {
			if seen == what {
				found++
			}
		}
		if found >= n {
			return
		}
		c.news.Wait()
	}
}

func (c *watch) has(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.seen, what)
}

// site is a server behind limits, on a real port.
type site struct {
	*testing.T
	limits *Limits
	watch  *watch
	addr   string
}

// serve answers each request with what it was: method, path, fields of the header, body.
func serve(t *testing.T, c Config) *site {
	t.Helper()
	return serveWith(t, c, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d fields, %d bytes, %v", r.Method, r.URL.Path, len(r.Header), len(body), err)
	})
}

func serveWith(t *testing.T, c Config, handler http.HandlerFunc) *site {
	t.Helper()
	c.Shares, c.Logger, c.RefusedPerMinute = budget.Split(budget.Default), slog.New(slog.DiscardHandler), 100
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, limits: l, watch: newWatch(), addr: inner.Addr().String()}
	srv := &http.Server{Handler: handler}
	Protect(srv)
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Serve(l.Listener(inner, "listen", s.watch)) })
	t.Cleanup(func() { _ = srv.Close(); running.Wait() })
	return s
}

func (s *site) dial() *net.TCPConn {
	s.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

func (s *site) write(conn net.Conn, text string) {
	s.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		s.Fatal(err)
	}
}

// answers reads answers until the connection ends.
func answers(from io.Reader) (list []string) {
	reader := bufio.NewReader(from)
	for {
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return list
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return append(list, err.Error())
		}
		list = append(list, fmt.Sprint(answer.StatusCode, " ", string(body)))
	}
}

// A connection serves what it served before: pipelined requests, bodies of which
// nothing is a header, lines with and without CR, however they are cut.
func TestWhatIsAllowedComesThrough(t *testing.T) {
	s := serve(t, Config{})
	trap := strings.Repeat("a:\n", 2*maxHeaderLines) + "\r\n" + strings.Repeat("y", 2*maxHeaderBytes)
	text := "GET /one HTTP/1.1\r\nHost: x\r\nA: 1\r\n 2\r\n\r\n" +
		fmt.Sprintf("POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(trap), trap) +
		"GET /three HTTP/1.1\nHost: x\nB: 1\nC: 2\n\n" +
		"POST /four HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" +
		"GET /five HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("z", maxHeaderBytes-100) + "\r\n\r\n" +
		"POST /six HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend"
	want := []string{
		"200 GET /one 1 fields, 0 bytes, <nil>", fmt.Sprintf("200 POST /two 1 fields, %d bytes, <nil>", len(trap)), "200 GET /three 2 fields, 0 bytes, <nil>",
		"200 POST /four 1 fields, 0 bytes, <nil>", "200 GET /five 1 fields, 0 bytes, <nil>", "200 POST /six 2 fields, 3 bytes, <nil>",
	}
	for _, piece := range []int{len(text), 4096, 1000, 7, 1} {
		conn := s.dial()
		var writing sync.WaitGroup
		writing.Go(func() {
			for rest := text; len(rest) > 0; {
				n := min(piece, len(rest))
				if _, err := io.WriteString(conn, rest[:n]); err != nil {
					t.Errorf("in pieces of %d: %v", piece, err)
					return
				}
				rest = rest[n:]
			}
		})
		if got := answers(conn); !slices.Equal(got, want) {
			t.Errorf("in pieces of %d:\n%s", piece, strings.Join(got, "\n"))
		}
		writing.Wait()
	}
	s.watch.await("closed", 5)
	if s.watch.has("without request to listen") || s.watch.has("header refused by listen") {
		t.Error("they are counted as refused")
	}
}

// A header too large is answered 431 wherever in a connection it comes, and the answers
// before it come whole.
func TestLargeHeadersAreAnswered(t *testing.T) {
	small := "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
	for name, large := range map[string]string{
		"in short lines": "POST / HTTP/1.1\r\n" + strings.Repeat("a:\n", 32<<10/3),
		"in one line":    "POST / HTTP/1.1\r\nX: " + strings.Repeat("x", 32<<10),
		"a first line":   "POST /" + strings.Repeat("x", 32<<10),
		"whole":          "POST / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a: b\r\n", maxHeaderLines) + "Content-Length: 0\r\n\r\n",
	} {
		for before := range 3 {
			s := serve(t, Config{})
			conn := s.dial()
			s.write(conn, strings.Repeat(small, before)+large)
			got := answers(conn)
			if len(got) != before+1 || !strings.HasPrefix(got[before], "431 {") || !strings.Contains(got[before], "more than 100 lines or 8 KiB") {
				t.Errorf("%s after %d requests:\n%s", name, before, strings.Join(got, "\n"))
			}
			if err := conn.Close(); err != nil { // or the server waits for it
				t.Fatal(err)
			}
			s.watch.await("header refused by listen", 1)
			s.watch.await("without request to listen", 1)
		}
	}
}

// A request whose end is not known is its connection's last, so that nothing behind it
// passes as its body.
func TestNothingFollowsAChunkedBody(t *testing.T) {
	s := serve(t, Config{})
	conn := s.dial()
	s.write(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("a:\n", 200)+"\n")
	if got := answers(conn); len(got) != 1 {
		t.Errorf("answered %q", got)
	}
}

// A connection that ends without a request, or within the header of a later one, is a
// refusal of its address; one that rests between requests is not.
func TestConnectionsWithoutARequestAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		count bool
	}{
		"nothing":                     {"", true},
		"a part of a header":          {"GET / HTTP/1.1\r\nHost: x\r\n", true},
		"no request":                  {"hello\r\n\r\n", true},
		"a request":                   {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false},
		"a request and a part of one": {"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", true},
	} {
		s := serve(t, Config{RefusedPerMinute: 100})
		conn := s.dial()
		s.watch.await("opened", 1)
		s.write(conn, c.text)
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn)
		s.watch.await("closed", 1)
		if c.count {
			s.watch.await("without request to listen", 1)
		} else if s.watch.has("without request to listen") {
			t.Errorf("%s is counted", name)
		}
	}
}
