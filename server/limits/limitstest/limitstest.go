// Package limitstest has clients that take all that the limits let them: for tests and
// for the soak. They speak to a running server over real connections, from addresses
// of the loopback interface.
package limitstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Shape is a way to hold a connection.
type Shape struct {
	Name string

	// Begin is what is sent at once. The server may refuse it, or close the connection
	// before all of it is sent.
	Begin string
	// Drip is sent a byte at a time, each Every, so that the connection is not closed for
	// being idle; the header's and the body's own time is still over some day.
	Drip  string
	Every time.Duration
}

// The shapes. Each of them keeps what the server has read so far in memory.
var (
	Silent        = Shape{Name: "silent"}
	ManyLines     = Shape{Name: "a header of 32 KiB in short lines", Begin: request + strings.Repeat("a:\n", 32<<10/3)}
	LongestHeader = Shape{Name: "an unfinished header, the longest that is read", Begin: longestHeader(), Drip: "x", Every: 2 * time.Second}
	SlowHeader    = Shape{Name: "a header byte by byte", Begin: request + "X-Slow: ", Drip: strings.Repeat("x", 60), Every: 200 * time.Millisecond}
	SlowBody      = Shape{Name: "a body that is announced and does not come", Begin: longestHeaderWith("Content-Length: 1048576\r\n") + strings.Repeat("x", 16<<10-60), Drip: strings.Repeat("x", 60), Every: 500 * time.Millisecond}
	LargeBody     = Shape{Name: "most of a large body", Begin: request + "Content-Length: 1048576\r\n\r\n" + strings.Repeat("x", 1000<<10)}
	KeepAlive     = Shape{Name: "a request with the longest header, and then nothing", Begin: longestHeaderWith("Content-Length: 0\r\n")}
)

// Shapes are all of them.
func Shapes() []Shape {
	return []Shape{Silent, ManyLines, LongestHeader, SlowHeader, SlowBody, LargeBody, KeepAlive}
}

const request = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\n"

// longestHeader is a header of nearly 100 lines and nearly 8 KiB that does not end.
func longestHeader() string {
	var b strings.Builder
	b.WriteString(request)
	for n := range 92 {
		fmt.Fprintf(&b, "X%d: %s\r\n", n, strings.Repeat("y", 80))
	}
	return b.String()
}

// longestHeaderWith is one that ends, with a line more.
func longestHeaderWith(line string) string { return longestHeader() + line + "\r\n" }

// Crowd is a number of connections of one shape. Close ends it.
type Crowd struct {
	cancel context.CancelFunc
	conns  []net.Conn
	all    sync.WaitGroup
}

// Open opens connections to an address, each from the local address, and begins to
// hold them. Those that the server closes stay closed.
func Open(ctx context.Context, target, local string, connections int, shape Shape) (*Crowd, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &Crowd{cancel: cancel}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	for range connections {
		conn, err := dialer.DialContext(ctx, "tcp", target)
		if errors.Is(err, syscall.ECONNRESET) {
			continue // it was refused at once
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening %s: %w", shape.Name, err), c.Close())
		}
		c.conns = append(c.conns, conn)
		c.all.Go(func() { hold(ctx, conn, shape) })
	}
	return c, nil
}

// hold sends what the shape sends, and reads nothing.
func hold(ctx context.Context, conn net.Conn, shape Shape) {
	if _, err := io.WriteString(conn, shape.Begin); err != nil {
		return // it was refused, which is what an attacker has to expect
	}
	if shape.Every == 0 {
		return
	}
	drip := time.NewTicker(shape.Every)
	defer drip.Stop()
	for i := range shape.Drip {
		select {
		case <-drip.C:
		case <-ctx.Done():
			return
		}
		if _, err := io.WriteString(conn, shape.Drip[i:i+1]); err != nil {
			return
		}
	}
}

// Close closes the connections.
func (c *Crowd) Close() error {
	c.cancel()
	for _, conn := range c.conns {
		_ = conn.Close() // the server may have closed it
	}
	c.all.Wait()
	return nil
}
