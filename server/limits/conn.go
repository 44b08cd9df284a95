package limits

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// boundedConn is one connection of a client, on its way from the listener to package
// http. What a header may have is bounded here, below package http, which bounds its
// bytes alone and builds its map meanwhile.
type boundedConn struct {
	net.Conn
	of     *boundedListener
	client client
	close  func() error

	// Of whoever reads: package http's goroutine for the connection, or the one that
	// waits beside a handler for the connection's end, never both at once.
	header  header
	pending []byte // came with the end of a header or a body, and is given later
	refused bool   // its header was too large, and the answer has been written

	idle atomic.Bool // a request came with its whole header, and no other has begun

	// Of the listener's waiting, under its lock.
	place    *list.Element // nil while it does not wait
	replaced bool          // its place is another's
	ended    bool
}

// socketBuffer is what the kernel keeps, twice, of what a client sent and nobody read
// yet, and as much again of what was written and the client has not received. By itself
// it would keep up to 6 MiB and 4 MiB, which count against a pod's limit: a client gets
// there that sends requests for small answers and stops reading them.
const socketBuffer = 16 << 10

// SocketBytes is what the kernel keeps of one connection at its worst.
const SocketBytes = 2 * 2 * socketBuffer

func newBoundedConn(conn net.Conn, of *boundedListener, from client) *boundedConn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(socketBuffer) // a connection that is gone says so when it is read
		_ = tcp.SetWriteBuffer(socketBuffer)
	}
	c := &boundedConn{Conn: conn, of: of, client: from}
	c.close = sync.OnceValue(func() error {
		defer of.closed(c)
		return conn.Close()
	})
	of.waiting.enter(c)
	return c
}

// Close gives the connection's place back. It may be called more than once.
func (c *boundedConn) Close() error { return c.close() }

// CloseWrite lets package http say that it is done before it stops reading: a
// connection that is closed with unread bytes is reset, and the answer with it.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.refused {
		return 0, io.EOF
	}
	if len(c.pending) > 0 {
		n, ok := c.pass(p[:copy(p, c.pending)])
		if c.pending = c.pending[n:]; len(c.pending) == 0 {
			c.pending = nil
		}
		return c.given(p, n, ok)
	}
	n, err := c.Conn.Read(p)
	if n == 0 {
		return 0, err
	}
	given, ok := c.pass(p[:n])
	if given < n {
		c.pending = bytes.Clone(p[given:n])
	}
	return c.given(p, given, ok) // an error comes again
}

// pass is how much of what came package http may have now.
func (c *boundedConn) pass(came []byte) (n int, ok bool) {
	inBody := c.header.body > 0
	n, ok = c.header.next(came)
	if inBody && c.header.body == 0 {
		c.of.waiting.leave(c)
	}
	return n, ok
}

func (c *boundedConn) given(p []byte, n int, ok bool) (int, error) {
	if ok {
		if c.header.unfinished() {
			c.idle.Store(false)
		}
		return n, nil
	}
	c.refused, c.pending = true, nil
	c.refuseHeader(p)
	return 0, io.EOF // which package http does not answer
}

const (
	lingerFor   = 500 * time.Millisecond // as package http does
	lingerBytes = 64 << 10

	headerRefusal = `{"type":"about:blank","title":"Request Header Fields Too Large","status":431,` +
		`"detail":"the header has more than 100 lines or 8 KiB: send fewer or shorter fields","code":"too_large"}` + "\n"
)

// refuseHeader answers 431, and waits a little while the client reads it. Package http
// has answered every request before this one, so nobody else writes.
func (c *boundedConn) refuseHeader(scratch []byte) {
	c.of.recorder.HeaderRefused(c.of.name)
	_ = c.Conn.SetDeadline(time.Now().Add(lingerFor))
	answer := &http.Response{
		StatusCode: http.StatusRequestHeaderFieldsTooLarge, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header:        http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}},
		ContentLength: int64(len(headerRefusal)), Body: io.NopCloser(bytes.NewReader([]byte(headerRefusal))),
	}
	if errors.Join(answer.Write(c.Conn), c.CloseWrite()) != nil {
		return
	}
	for read := 0; read < lingerBytes; {
		n, err := c.Conn.Read(scratch)
		if err != nil {
			return
		}
		read += n
	}
}

// hasRequest is called with each request before its handler, while nobody reads.
func (c *boundedConn) hasRequest(r *http.Request) {
	c.idle.Store(true)
	switch {
	case r.ContentLength > 0:
		c.header.body = r.ContentLength
	case r.ContentLength < 0: // as long as it likes, but it is the connection's last
		c.header.body = math.MaxInt64
	default:
		c.of.waiting.leave(c)
	}
}

// answered is called with each request after its handler.
func (c *boundedConn) answered() { c.of.waiting.enter(c) }

type connKey struct{}

// protected is a connection that is told of its requests.
type protected interface {
	hasRequest(*http.Request)
	answered()
}

// Protect makes a server tell the connections of a bounded listener where its requests'
// bodies are, and when they are answered. Every server behind one needs it.
func Protect(srv *http.Server) {
	next := srv.Handler
	srv.MaxHeaderBytes = maxHeaderBytes
	srv.DisableGeneralOptionsHandler = true // which would answer some requests past this handler
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(protected); ok {
			c.hasRequest(r)
			defer c.answered()
			if r.ContentLength < 0 {
				w.Header().Set("Connection", "close")
			}
		}
		next.ServeHTTP(w, r)
	})
}
