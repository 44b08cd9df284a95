package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// TestServerRestarts stops the server three times, in order and as a crash would,
// while two replicas take deliveries and one commits them. Every call that fails
// is made again; in the end each delivery is there once and committed once.
func TestServerRestarts(t *testing.T) {
	if shared == nil {
		t.Skip("POSTGRESQL IS NOT TESTED: it is not installed; `make test-deps` installs it")
	}
	server := postgrestest.Start(t)
	a := postgres.Address{URL: server.Schema(t)}
	replicas := []*postgres.Store{open(t, a), open(t, a)}
	const senders, each = 8, 60
	accepted := make(chan struct{}, senders*each)
	var doubled atomic.Int64
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for n := range each {
				d := order(fmt.Sprintf("%d-%d", sender, n), fmt.Sprintf("app-%d-%d", sender, n))
				failures := 0
				again(t, func() error {
					_, duplicate, err := replicas[(sender+n+failures)%2].Accept(t.Context(), d)
					if duplicate && failures == 0 {
						doubled.Add(1)
					}
					failures++
					return err
				})
				accepted <- struct{}{}
			}
		})
	}
	committed := make(chan int)
	go func() { committed <- commitAll(t, replicas[0], senders*each) }()
	for i, how := range []func() error{
		func() error { return server.Stop(postgrestest.Fast) },
		func() error { return server.Stop(postgrestest.Immediate) },
		func() error { return server.Stop(postgrestest.Fast) },
	} {
		for range senders * each / 5 {
			<-accepted
		}
		if err := errors.Join(how(), server.Start()); err != nil {
			t.Fatalf("restart %d: %v", i, err)
		}
	}
	all.Wait()
	if n := <-committed; n != senders*each || doubled.Load() > 0 {
		t.Errorf("%d deliveries became %d updates; %d were known when they were first sent", senders*each, n, doubled.Load())
	}
}

// commitAll works the lane of dev until so many updates were committed, and returns
// how many different ones they were. A lease whose session broke is claimed again.
func commitAll(t *testing.T, s *postgres.Store, want int) int {
	seen := make(map[string]bool)
	for len(seen) < want && t.Context().Err() == nil {
		var claimed []queue.Lease
		again(t, func() (err error) {
			claimed, err = s.Claim(t.Context(), "one", []string{"dev"}, time.Hour)
			return err
		})
		var taken []gitops.Update
		again(t, func() (err error) {
			taken, err = s.Take(t.Context(), claimed[0], queue.TakeOptions{Limit: 50})
			return err
		})
		var report queue.Report
		for _, u := range taken {
			if seen[u.ID] {
				t.Errorf("update %s was committed and is pending", u.ID)
			}
			seen[u.ID] = true
			report.Transitions = append(report.Transitions, committed(u.ID).Transitions...)
		}
		again(t, func() error { _, err := s.Report(t.Context(), claimed[0], report); return err })
	}
	return len(seen)
}

// TestServerThatDoesNotAnswer holds calls to their time limits: whoever waits for
// a delivery is told in time, and what does not need the lock goes on.
func TestServerThatDoesNotAnswer(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	l := claim(t, s, "one", "dev", time.Hour)
	release := holdTurn(t, a)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, _, err := s.Accept(ctx, order("1", "api"))
	if gitops.CodeOf(err) != gitops.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Accept: %v", err)
	}
	// A caller without a limit of its own is told when the group is given up.
	_, _, err = s.Accept(t.Context(), order("2", "api"))
	if gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("Accept: %v", err)
	}
	if err := s.Ping(ctx); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("Ping: %v", err)
	}
	if kept, err := s.Extend(t.Context(), []queue.Lease{l}, time.Hour); err != nil || len(kept) != 1 {
		t.Errorf("Extend: %+v, %v", kept, err)
	}
	if claimed, err := s.Claim(t.Context(), "two", []string{"dev"}, time.Hour); err != nil || len(claimed) > 0 {
		t.Errorf("a Claim of what is held: %+v, %v", claimed, err)
	}
	release()
	again(t, func() error { _, _, err := s.Accept(t.Context(), order("2", "api")); return err })
	again(t, func() error { return s.Ping(t.Context()) })
}

// TestUnknownCommit cuts the connection while a delivery is brought in: before the
// server has the call, and after it has committed but before it says so. The
// caller is told Unavailable both times, and what is sent again is stored once.
func TestUnknownCommit(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%t", applied), func(t *testing.T) {
			a := schema(t)
			p := startProxy(t, &a)
			s := open(t, a)
			accept(t, s, order("1", "api"))
			p.cutNext("accept(", applied)
			_, _, err := s.Accept(t.Context(), order("2", "api"))
			if gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("Accept over a connection that is cut: %v", err)
			}
			d, duplicate, err := s.Accept(t.Context(), order("2", "api"))
			if err != nil || duplicate != applied || len(d.Updates) != 1 {
				t.Errorf("sent again: %+v, duplicate %t, %v", d, duplicate, err)
			}
			l := claim(t, s, "one", "dev", time.Hour)
			p.cutNext("report(", applied)
			id := idOf("2", "api")
			if _, err := s.Report(t.Context(), l, committed(id)); gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("Report over a connection that is cut: %v", err)
			}
			if _, err := s.Report(t.Context(), l, committed(id)); err != nil {
				t.Errorf("reported again: %v", err)
			}
			u, err := s.Update(t.Context(), id)
			if err != nil || u.Attempts != 1 || len(u.Steps) != 1 || u.State != gitops.Committed {
				t.Errorf("reported: %+v, %v", u, err)
			}
		})
	}
}

// proxy stands between the store and the server and cuts connections.
type proxy struct {
	t        *testing.T
	server   string
	listener net.Listener

	mu      sync.Mutex
	word    string // the next client message with it is the last of its connection
	applied bool   // the server gets it
	servers []net.Conn
}

// startProxy puts a proxy into the address.
func startProxy(t *testing.T, a *postgres.Address) *proxy {
	t.Helper()
	u, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, server: u.Host, listener: listener}
	u.Host = listener.Addr().String()
	// Prepared statements are sent by name; unprepared ones have their text.
	a.URL = u.String() + "&default_query_exec_mode=exec"
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

func (p *proxy) cutNext(word string, applied bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.word, p.applied = word, applied
}

// kill cuts all connections, and lets no new one through.
func (p *proxy) kill() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.servers {
		_ = c.Close()
	}
}

// take reports whether this message is the one to cut at.
func (p *proxy) take(message []byte) (cut, applied bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.word == "" || !bytes.Contains(message, []byte(p.word)) {
		return false, false
	}
	p.word = ""
	return true, p.applied
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.servers = append(p.servers, server)
	p.mu.Unlock()
	var deaf atomic.Bool // the server's answers are not passed on
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if n > 0 && deaf.Load() {
				_ = client.Close() // the answer is here: the server has committed
				return
			}
			if n > 0 {
				_, _ = client.Write(buffer[:n])
			}
			if err != nil {
				_ = client.Close()
				return
			}
		}
	}()
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "closed") && !strings.Contains(err.Error(), "reset") {
				p.t.Error(err)
			}
			return
		}
		cut, applied := p.take(buffer[:n])
		deaf.Store(cut)
		if cut && !applied {
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
