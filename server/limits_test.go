package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// from is a client with an address of its own on the loopback interface.
func from(t *testing.T, address string) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// An address that is refused again and again is turned away before it is read,
// others are not, and nobody who is believed is.
func TestRefusalsOfOneAddressAreLimited(t *testing.T) {
	s := newSite(t)
	s.yaml += "limits: {refusedPerMinute: 20}\n"
	r := s.start()
	attacker, sender := from(t, "127.0.0.7"), from(t, "127.0.0.8")
	good := order("api", "dev", "main-1a2b3c4")
	for n := range 60 { // taken requests do not count, however many
		do(t, sender, r.github(oldSecret, fmt.Sprintf("s%d", n), good)).delivery(t, 202)
	}
	unauthorized, limited := 0, 0
	for n := range 60 {
		switch answer := do(t, attacker, r.github("guess", fmt.Sprintf("a%d", n), good)); answer.StatusCode {
		case 401:
			unauthorized++
		case 429:
			limited++
			if p := answer.problem(t, 429); p.Code != gitops.RateLimited || answer.Header.Get("Retry-After") != "10" || !answer.Close {
				t.Errorf("answered %v %s", answer.Header, answer.body)
			}
		default:
			t.Errorf("answered %s", answer.Status)
		}
	}
	if unauthorized != 20 || limited != 40 {
		t.Errorf("%d were unauthorized, %d limited", unauthorized, limited)
	}
	do(t, attacker, r.github(oldSecret, "a-good", good)).problem(t, 429)
	do(t, sender, r.github(oldSecret, "s-good", good)).delivery(t, 202)
	// What the API does not have is no refusal: an operator may look for it.
	for range 30 {
		req := r.request("GET", "/api/v1/updates/0", "")
		req.Header.Set("Authorization", "Bearer "+apiToken)
		do(t, sender, req).problem(t, 404)
	}
}

// Bodies that do not come whole are refusals, too: nobody is known by then.
func TestBrokenBodiesAreLimited(t *testing.T) {
	s := newSite(t)
	s.yaml += "limits: {refusedPerMinute: 5}\n"
	r := s.start()
	var answered []int
	for range 8 {
		conn, err := net.Dial("tcp", r.Addr())
		s.must(err)
		_, err = io.WriteString(conn, "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
		s.must(errors.Join(err, conn.(*net.TCPConn).CloseWrite()))
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		s.must(errors.Join(err, conn.Close()))
		answered = append(answered, answer.StatusCode)
	}
	if want := []int{400, 400, 400, 400, 400, 429, 429, 429}; !slices.Equal(answered, want) {
		t.Errorf("answered %v, want %v", answered, want)
	}
}

// Behind a trusted proxy the client's address counts, and nobody else's word on it.
func TestTrustedProxies(t *testing.T) {
	s := newSite(t)
	s.yaml += "limits: {trustedProxies: [127.0.0.2/32, '10.0.0.0/8'], refusedPerMinute: 3}\n"
	r := s.start()
	proxy, stranger := from(t, "127.0.0.2"), from(t, "127.0.0.9")
	good := order("api", "dev", "main-1a2b3c4")
	send := func(client *http.Client, secret, id string, forwarded ...string) response {
		req := r.github(secret, id, good)
		req.Header["X-Forwarded-For"] = forwarded
		return do(t, client, req)
	}
	remote := func(id string) string {
		d, _ := r.stored("github", id)
		return d.Remote
	}
	for id, c := range map[string]struct {
		client    *http.Client
		forwarded []string
		want      string
	}{
		"through":  {proxy, []string{"203.0.113.5"}, "203.0.113.5"},
		"two":      {proxy, []string{"198.51.100.1, 203.0.113.6, 10.1.2.3"}, "203.0.113.6"},
		"lines":    {proxy, []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7"},
		"none":     {proxy, nil, "127.0.0.2"},
		"garbage":  {proxy, []string{"203.0.113.8, unknown"}, "127.0.0.2"},
		"stranger": {stranger, []string{"203.0.113.9"}, "127.0.0.9"},
	} {
		send(c.client, oldSecret, id, c.forwarded...).delivery(t, 202)
		if got := remote(id); got != c.want {
			t.Errorf("%s came from %s, want %s", id, got, c.want)
		}
	}
	for range 5 {
		send(proxy, "guess", "x", "203.0.113.66")
	}
	send(proxy, oldSecret, "limited", "203.0.113.66").problem(t, 429)
	send(proxy, oldSecret, "another", "203.0.113.67").delivery(t, 202)
}

func TestLimitsRefuse(t *testing.T) {
	for _, text := range []string{"10.0.0.0", "load-balancer", "10.0.0.0/33", ""} {
		_, err := newLimits(config.Limits{TrustedProxies: []string{"10.0.0.0/8", text}})
		if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), "limits.trustedProxies[1]: must be a range") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, everybody := range []string{"0.0.0.0/0", "::/0"} {
		_, err := newLimits(config.Limits{TrustedProxies: []string{everybody}})
		if want := "limits.trustedProxies[0]: must not be every address"; gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", everybody, err)
		}
	}
}

func TestAnswersTellNothing(t *testing.T) {
	r := newSite(t).start()
	for _, req := range []*http.Request{
		r.request("GET", "/", ""), r.request("OPTIONS", "/webhooks/github", ""), r.request("POST", "/webhooks/github", "{}"),
		r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4")),
	} {
		req.Header.Set("Origin", "https://evil.example")
		req.Header.Set("Access-Control-Request-Method", "POST")
		h := r.do(req).Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s %s answers with %s: %q", req.Method, req.URL.Path, name, got)
			}
		}
		for name, values := range h {
			if strings.Contains(strings.Join(values, " "), "1.2.3") || strings.Contains(name, "Ratelimit") {
				t.Errorf("the header %s says %q", name, values)
			}
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
	// The limit of refusals counts by the same.
	for address, want := range map[string]string{"[2001:db8::1]:1": "2001:db8::", "2001:db8::2": "2001:db8::", "2001:db8:0:1::1": "2001:db8:0:1::", "192.0.2.1:1": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1"} {
		if got := keyOf(&http.Request{RemoteAddr: address}); got != want {
			t.Errorf("%s is counted as %s, want %s", address, got, want)
		}
	}
}

// A connection too many is closed, and one that ends makes room, once.
func TestABoundedListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := newConnections(10, 1, nil).on(inner)
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
	b := newBodies(100_000, 40_000)
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

// 2,000 slow connections and a flood of forged requests from one address: what
// comes from another is taken, and the memory stays small.
func TestAnAttackFromOneAddress(t *testing.T) {
	s := newSite(t)
	r := s.start()
	before := inUse()
	for n := range 2000 {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.66")}}).Dial("tcp", r.Addr())
		if err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		defer conn.Close()
		// Half of them announce a body of a megabyte and send a part of it. Those that
		// were closed as they came do not take it.
		text := "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Slow: "
		if n%2 == 0 {
			text = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("x", 8<<10)
		}
		_, _ = io.WriteString(conn, text)
	}
	attacker, sender := from(t, "127.0.0.67"), from(t, "127.0.0.68")
	stop := make(chan struct{})
	var flood sync.WaitGroup
	for range 8 {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				req := r.request("POST", "/webhooks/github", strings.Repeat("x", 100<<10))
				req.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
				if resp, err := attacker.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}
		})
	}
	var took []time.Duration
	for n := range 50 {
		began := time.Now()
		do(t, sender, r.github(oldSecret, fmt.Sprintf("d%d", n), order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	grown := int64(inUse()) - int64(before)
	close(stop)
	flood.Wait()
	t.Logf("answered within %s at the median, %s at the most; %d MiB more are in use", took[len(took)/2], took[len(took)-1], grown>>20)
	if grown > 200<<20 {
		t.Errorf("%d MiB more are in use", grown>>20)
	}
	bounds := r.parts.limits.connections
	bounds.mu.Lock()
	defer bounds.mu.Unlock()
	if n := bounds.opens[netip.MustParseAddr("127.0.0.66")]; n > 1024 {
		t.Errorf("%d connections of one address are open", n)
	}
}

// inUse is what the process holds, garbage included.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
