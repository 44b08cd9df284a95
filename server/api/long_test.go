package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// world is all that an API needs, and as simple as it can be: everybody may read,
// for as long as believed, the store has always as many changes more, and origin
// takes its time.
type world struct {
	Store
	Intake
	Origin
	believed atomic.Bool
	more     int           // changes behind each cursor
	takes    time.Duration // for a look at the past
}

func (w *world) Authenticate(context.Context, string) (Caller, error) {
	if !w.believed.Load() {
		return Caller{}, gitops.Errorf(gitops.Unauthorized, "the token is not one that we know")
	}
	return Caller{Can: []Right{Read}}, nil
}

func (w *world) Latest(context.Context) (string, error) { return "0", nil }
func (w *world) Changed() <-chan struct{}               { return nil }

func (w *world) Changes(_ context.Context, _ string, limit int) (found []queue.Change, err error) {
	for range min(limit, w.more) {
		found = append(found, queue.Change{Cursor: "1", Update: &gitops.Update{Environment: "dev"}})
	}
	return found, nil
}

func (w *world) History(ctx context.Context, _ HistoryQuery) (History, error) {
	select {
	case <-time.After(w.takes):
		return History{}, nil
	case <-ctx.Done():
		return History{}, ctx.Err()
	}
}

// pipe is a listener of one connection.
type pipe chan net.Conn

func (p pipe) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (p pipe) Close() error   { close(p); return nil }
func (p pipe) Addr() net.Addr { return &net.TCPAddr{} }

// ask asks an API on a server that bounds requests as ours does, and returns when
// the answer is over or a fault in it would have it go on for ever.
func (w *world) ask(t *testing.T, drain chan struct{}, query string) (status int, body string, took time.Duration, err error) {
	a := New(Config{Store: w, Intake: w, Origin: w, Authenticators: []Authenticator{w}, Drain: drain})
	mux := http.NewServeMux()
	for _, route := range a.Routes() {
		mux.HandleFunc(route.Method+" "+route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			status, _, err := route.Handle(w, r)
			if err != nil {
				status = http.StatusServiceUnavailable
			}
			if status != 0 {
				w.WriteHeader(status)
			}
		})
	}
	client, conn := net.Pipe()
	listener := make(pipe, 1)
	listener <- conn
	srv := &http.Server{Handler: mux, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(listener) }()
	began := time.Now()
	defer func() {
		client.Close()
		srv.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	if err := client.SetReadDeadline(began.Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n", query)
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		return 0, "", time.Since(began), err
	}
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), time.Since(began), err
}

// A stream that has always more to catch up with ends all the same when the
// server stops.
func TestAStreamThatCatchesUpDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{more: changesAtOnce}
		w.believed.Store(true)
		drain := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(drain) })
		status, _, took, err := w.ask(t, drain, "/api/v1/events?environment=prod")
		if status != 200 || err != nil || took > 2*time.Second {
			t.Errorf("answered %d, and ended after %s: %v", status, took, err)
		}
	})
}

// Who wants nothing of what happens is told now and then how far that is.
func TestAQuietStreamTellsItsCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{more: 1}
		w.believed.Store(true)
		drain := make(chan struct{})
		time.AfterFunc(40*time.Second, func() { close(drain) })
		_, body, _, err := w.ask(t, drain, "/api/v1/events?environment=prod")
		if want := "retry: 1000\nid: 0\n\n" + strings.Repeat(": still here\nid: 1\n\n", 2); body != want || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// A token that is taken back reads no more, also what it has begun to read.
func TestATokenTakenBackEndsItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{more: 1}
		w.believed.Store(true)
		time.AfterFunc(40*time.Second, func() { w.believed.Store(false) })
		status, body, took, err := w.ask(t, nil, "/api/v1/events")
		if status != 200 || err != nil || body == "" || took < 40*time.Second || took > time.Minute {
			t.Errorf("answered %d, and ended after %s: %v", status, took, err)
		}
	})
}

// A look far back is answered, although it takes longer than other requests may,
// also when it is only told that it took too long.
func TestALongLookAtThePastIsAnswered(t *testing.T) {
	for _, takes := range []time.Duration{time.Second, HistoryWithin, HistoryWithin + writeWithin/2} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{takes: takes}
			w.believed.Store(true)
			status, _, took, err := w.ask(t, nil, "/api/v1/history?environment=dev&app=api")
			if status != 200 || err != nil || took != takes {
				t.Errorf("answered %d after %s: %v", status, took, err)
			}
		})
	}
}
