package limits

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

func TestLimitsRefuse(t *testing.T) {
	for _, text := range []string{"10.0.0.0", "load-balancer", "10.0.0.0/33", ""} {
		_, err := New(Config{TrustedProxies: []string{"10.0.0.0/8", text}})
		if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), "trustedProxies[1]: must be a range") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, everybody := range []string{"0.0.0.0/0", "::/0"} {
		_, err := New(Config{TrustedProxies: []string{everybody}})
		if want := "trustedProxies[0]: must not be every address"; gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", everybody, err)
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	c := newConnections(3, 2, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	of := func(text string) netip.Addr {
		return c.counted(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)))
	}
	for i, step := range []struct {
		address string
		want    bool
	}{
		{"192.0.2.1:1", true}, {"192.0.2.1:2", true}, {"192.0.2.1:3", false}, {"[::ffff:192.0.2.1]:4", false},
		{"192.0.2.2:1", true}, {"192.0.2.3:1", false},
	} {
		if got := c.take(of(step.address)); got != step.want {
			t.Errorf("step %d: %s is taken: %t", i, step.address, got)
		}
	}
	c.give(of("192.0.2.1:1"))
	c.give(of("192.0.2.1:2"))
	for i, step := range []struct {
		address string
		want    bool
	}{{"10.0.0.1:1", true}, {"10.0.0.1:2", true}, {"10.0.0.1:3", false}} { // of a proxy only the whole counts
		if got := c.take(of(step.address)); got != step.want {
			t.Errorf("step %d: %s is taken: %t", i, step.address, got)
		}
	}
	c.give(of("10.0.0.1:1"))
	c.give(of("10.0.0.1:2"))
	c.give(of("192.0.2.2:1"))
	if c.open != 0 || len(c.opens) != 0 {
		t.Errorf("%d open, %v", c.open, c.opens)
	}
	if a, b := of("[2001:db8::1]:1"), of("[2001:db8::2]:1"); a != b {
		t.Errorf("one network is two addresses: %s, %s", a, b)
	}
}

// A connection too many is closed, and one that ends makes room, once.
func TestABoundedListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := newConnections(10, 1, nil).bound(inner)
	defer listener.Close()
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first := dial()
	defer first.Close()
	served := <-accepted
	second := dial()
	defer second.Close()
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("one too many is served")
	}
	_, _ = served.Close(), served.Close()
	third := dial()
	defer third.Close()
	if conn, ok := <-accepted; !ok || conn.Close() != nil {
		t.Error("no room was made")
	}
}

// Bodies share their room, and one address gets a part of it.
func TestBodiesAreBounded(t *testing.T) {
	b := newBodyBudget(100_000, 40_000)
	hold, held := make(chan struct{}), make(chan error)
	handler := b.limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := webhook.ReadBody(w, r, 1<<20)
		held <- err
		<-hold
	}))
	var all sync.WaitGroup
	send := func(remote string, size int) error {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", size)))
		r.RemoteAddr = remote
		all.Go(func() { handler.ServeHTTP(httptest.NewRecorder(), r) })
		return <-held
	}
	for i, c := range []struct {
		remote string
		size   int
		code   gitops.Code
	}{
		{"192.0.2.1:1", freeBody + 30_000, ""},
		{"192.0.2.1:2", freeBody + 30_000, gitops.Unavailable}, // more than its part
		{"192.0.2.1:3", freeBody, ""},                          // small ones always
		{"192.0.2.2:1", freeBody + 40_000, ""},
		{"192.0.2.3:1", freeBody + 29_000, ""},
		{"192.0.2.4:1", freeBody + 10_000, gitops.Unavailable}, // more than there is
		{"192.0.2.4:1", 10, ""},
	} {
		if err := send(c.remote, c.size); c.code == "" && err != nil || c.code != "" && gitops.CodeOf(err) != c.code {
			t.Errorf("%d: %v", i, err)
		}
	}
	close(hold)
	all.Wait()
	if b.held != 0 || len(b.holds) != 0 {
		t.Errorf("%d are still held: %v", b.held, b.holds)
	}
}
