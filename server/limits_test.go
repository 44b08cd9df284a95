package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// from is a client with an address of its own on the loopback interface.
func from(t *testing.T, address string) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// An address that is refused again and again is answered 429 at that route, others are
// not, and nobody with a valid credential is.
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
	do(t, attacker, r.ecr("guess", push("another-route", "main-1a2b3c4"))).problem(t, 401)
	do(t, attacker, r.github(oldSecret, "a-good", good)).delivery(t, 202)
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
	proxy, direct := from(t, "127.0.0.2"), from(t, "127.0.0.9")
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
		"through": {proxy, []string{"203.0.113.5"}, "203.0.113.5"},
		"two":     {proxy, []string{"198.51.100.1, 203.0.113.6, 10.1.2.3"}, "203.0.113.6"},
		"lines":   {proxy, []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7"},
		"none":    {proxy, nil, "127.0.0.2"},
		"garbage": {proxy, []string{"203.0.113.8, unknown"}, "127.0.0.2"},
		"direct":  {direct, []string{"203.0.113.9"}, "127.0.0.9"},
	} {
		send(c.client, oldSecret, id, c.forwarded...).delivery(t, 202)
		if got := remote(id); got != c.want {
			t.Errorf("%s came from %s, want %s", id, got, c.want)
		}
	}
	for range 5 {
		send(proxy, "guess", "x", "203.0.113.66")
	}
	send(proxy, "guess", "limited", "203.0.113.66").problem(t, 429)
	send(proxy, "guess", "another", "203.0.113.67").problem(t, 401)
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

// 2,000 slow connections and a flood of forged requests from one address: what
// comes from another is taken, and the memory stays small.
func TestAnAttackFromOneAddress(t *testing.T) {
	s := newSite(t)
	r := s.start()
	before := inUse()
	for n := range 2000 {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.66")}}).Dial("tcp", r.Addr())
		if errors.Is(err, syscall.ECONNRESET) {
			continue // it is refused before it is made
		}
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
}

// inUse is what the process holds, garbage included.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
