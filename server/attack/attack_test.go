package attack_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/attack"
)

// A crowd comes from its own addresses, what the server does with each connection is
// counted, and who was sent away comes again.
func TestConnections(t *testing.T) {
	const clients, connections = 20, 60
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ReadHeaderTimeout = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(map[string]int)
	srv.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if state != http.StateNew { // which is called by the one goroutine that accepts
			return
		}
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		if opened[host]++; opened["127.0.0.2"]+opened["127.0.0.3"] == connections {
			cancel()
		}
	}
	srv.Start()
	ready := 0
	tally := attack.Connections{
		Target: srv.Listener.Addr().String(), From: []string{"127.0.0.2", "127.0.0.3"}, Count: clients,
		Opening: attack.UnfinishedHeader(1 << 10), Hold: time.Minute, Again: time.Millisecond, Ready: func() { ready++ },
	}.Run(ctx)
	srv.Close()
	if tally.Opened < connections-clients || tally.Failed != 0 || tally.GivenUp != 0 || opened["127.0.0.2"] < clients/2 || opened["127.0.0.3"] < clients/2 || ready != 1 {
		t.Errorf("%+v, from %v, ready %d times", tally, opened, ready)
	}
	ended := tally.Closed + tally.Answered[http.StatusRequestTimeout] + tally.Answered[http.StatusBadRequest]
	if ended < connections-clients || ended+tally.Open != tally.Opened {
		t.Errorf("%d were ended by the server: %+v", ended, tally)
	}
	if both := (attack.Tally{}).Add(tally).Add(tally); both.Opened != 2*tally.Opened || both.Closed != 2*tally.Closed {
		t.Errorf("added up they are %+v", both)
	}
}

// A body arrives a piece at a time, and its answer is counted by status.
func TestSlowBodies(t *testing.T) {
	bodies := make(chan int64, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(bodies) == 1 { // the client has read the answer to the first
			cancel()
		}
		n, _ := io.Copy(io.Discard, r.Body) // a body that is cut off by the end of the test is short
		bodies <- n
		w.WriteHeader(http.StatusTeapot)
	}))
	tally := attack.Connections{
		Target: srv.Listener.Addr().String(), From: []string{""}, Count: 1,
		Opening: attack.BodyHeader("/", 30), Then: make([]byte, 10), Every: time.Millisecond, Hold: time.Minute, Again: time.Millisecond,
	}.Run(ctx)
	srv.Close()
	if n := <-bodies; n != 30 || tally.Answered[http.StatusTeapot] < 1 {
		t.Errorf("%d bytes arrived: %+v", n, tally)
	}
}

// A client that the server says nothing to, or that does not read it, gives up by itself.
func TestAConnectionIsGivenUp(t *testing.T) {
	for _, unread := range []bool{false, true} {
		testGivenUp(t, unread)
	}
}

func testGivenUp(t *testing.T, unread bool) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tallies := make(chan attack.Tally)
	go func() {
		tallies <- attack.Connections{Target: silent.Addr().String(), From: []string{"127.0.0.9"}, Count: 1, Unread: unread, Hold: time.Millisecond, Again: time.Millisecond}.Run(ctx)
	}()
	for range 2 { // it comes again
		conn, err := silent.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	silent.Close()
	cancel()
	if tally := <-tallies; tally.GivenUp < 1 {
		t.Errorf("%+v", tally)
	}
}

func TestUnfinishedHeaders(t *testing.T) {
	for _, begin := range []func(int) []byte{attack.UnfinishedHeader, attack.UnfinishedLine} {
		header := begin(32 << 10)
		if len(header) > 32<<10 || len(header) < 32<<10-3 || bytes.Contains(header, []byte("\n\n")) || bytes.Contains(header, []byte("\r\n\r\n")) {
			t.Errorf("%d bytes that end: %.80q", len(header), header)
		}
	}
	if n := bytes.Count(attack.UnfinishedLine(6<<10), []byte("\n")); n != 2 {
		t.Errorf("the long line is of %d", n)
	}
}

// Each file has about the size that was asked for, is much smaller in git, and has the
// values that an update edits.
func TestFiles(t *testing.T) {
	for _, f := range attack.Files() {
		text := f.Text(100_000)
		if n := len(text); n < 100_000 || n > 101_100 {
			t.Errorf("%s has %d bytes", f.Name, n)
		}
		if !strings.Contains(text, "image:\n  tag: main-0000000\n") {
			t.Errorf("%s has no image", f.Name)
		}
		var packed bytes.Buffer
		w := zlib.NewWriter(&packed)
		if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if packed.Len() > len(text)/3 {
			t.Errorf("%s takes %d bytes in git", f.Name, packed.Len())
		}
	}
}

func TestForged(t *testing.T) {
	names := make(map[string]bool)
	for _, r := range attack.Forged("arn:aws:sns:eu-west-1:123456789012:events") {
		req, err := r.HTTP(t.Context(), "http://tallyman.example")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(req.Body)
		if err != nil || string(body) != r.Body || req.URL.RequestURI() != r.Path || req.Method != r.Method {
			t.Errorf("%s is %s %s with %d bytes: %v", r.Name, req.Method, req.URL, len(body), err)
		}
		for name, value := range r.Header {
			if req.Header.Get(name) != value {
				t.Errorf("%s: %s is missing", r.Name, name)
			}
		}
		names[r.Name] = true
	}
	if len(names) != 15 {
		t.Errorf("%d kinds are told apart", len(names))
	}
}
