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
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// world is all that an API needs, as simple as it can be: every token may read while
// authorized, the store always has as many more changes, and the git server takes its
// time.
type world struct {
	Store
	Intake
	ManifestReader
	authorized atomic.Bool
	more       int           // changes behind each cursor
	takes      time.Duration // for a history
}

func (w *world) Authenticate(context.Context, string) (Caller, error) {
	if !w.authorized.Load() {
		return Caller{}, gitops.Errorf(gitops.Unauthorized, "invalid token")
	}
	return Caller{Principal: gitops.Principal{Token: "reader"}}, nil
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

func (w *world) Commit(context.Context, gitops.Update) (Commit, error) { return Commit{}, nil }

// AuditEntries has no end, and takes a second for each page.
func (w *world) AuditEntries(context.Context, queue.AuditFilter, queue.Page) ([]gitops.AuditEntry, string, error) {
	time.Sleep(time.Second)
	return []gitops.AuditEntry{{Act: gitops.ActConfig}}, "1", nil
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
	list, err := access.New(access.Config{
		Rules: []access.Rule{{Who: access.Who{Token: "reader"}, May: []gitops.Right{gitops.RightRead}}}, Tokens: []string{"reader"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{Store: w, Intake: w, Manifests: w, Access: list, Authenticators: []Authenticator{w}, Drain: drain})
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

// A stream that always has more to catch up with ends when the server stops.
func TestAStreamThatCatchesUpDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{more: changesAtOnce}
		w.authorized.Store(true)
		drain := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(drain) })
		status, _, took, err := w.ask(t, drain, "/api/v1/events?environment=prod")
		if status != 200 || err != nil || took > 2*time.Second {
			t.Errorf("answered %d, and ended after %s: %v", status, took, err)
		}
	})
}

// A stream of which the reader wants no event sends its cursor now and then.
func TestAQuietStreamSendsItsCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{more: 1}
		w.authorized.Store(true)
		drain := make(chan struct{})
		time.AfterFunc(40*time.Second, func() { close(drain) })
		_, body, _, err := w.ask(t, drain, "/api/v1/events?environment=prod")
		if want := "retry: 1000\nid: 0\n\n" + strings.Repeat(": heartbeat\nid: 1\n\n", 2); body != want || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// A token that is revoked reads no more, also not on a stream that is open.
func TestARevokedTokenEndsItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{more: 1}
		w.authorized.Store(true)
		time.AfterFunc(40*time.Second, func() { w.authorized.Store(false) })
		status, body, took, err := w.ask(t, nil, "/api/v1/events")
		if status != 200 || err != nil || body == "" || took < 40*time.Second || took > time.Minute {
			t.Errorf("answered %d, and ended after %s: %v", status, took, err)
		}
	})
}

// Nor does it go on with an export, however long that takes; the last line says why.
func TestARevokedTokenEndsItsExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.authorized.Store(true)
		time.AfterFunc(40*time.Second, func() { w.authorized.Store(false) })
		status, body, took, err := w.ask(t, nil, "/api/v1/audit?format=jsonl")
		if status != 200 || err != nil || took < 40*time.Second || took > time.Minute || !strings.HasSuffix(body, `{"problem":"invalid token"}`+"\n") {
			t.Errorf("answered %d, and ended after %s with %.100q: %v", status, took, body[max(0, len(body)-100):], err)
		}
	})
}

// A search far back is answered, although it takes longer than other requests may,
// also when the answer is that it took too long.
func TestALongHistoryIsAnswered(t *testing.T) {
	for _, takes := range []time.Duration{time.Second, HistoryWithin, HistoryWithin + writeWithin/2} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{takes: takes}
			w.authorized.Store(true)
			status, _, took, err := w.ask(t, nil, "/api/v1/history?environment=dev&app=api")
			if status != 200 || err != nil || took != takes {
				t.Errorf("answered %d after %s: %v", status, took, err)
			}
		})
	}
}
