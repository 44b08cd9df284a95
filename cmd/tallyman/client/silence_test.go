package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// connections is a listener of those that are sent to it.
type connections chan net.Conn

func (c connections) Accept() (net.Conn, error) {
	if conn, ok := <-c; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (c connections) Close() error   { close(c); return nil }
func (c connections) Addr() net.Addr { return &net.TCPAddr{} }

// A stream that says nothing any more is taken up again, one that beats is not.
func TestSilenceEndsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		began := time.Now()
		listener := make(connections)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, time.Since(began))
			if len(asked) == 3 {
				_, _ = w.Write([]byte("event: update\ndata: {\"id\": \"u1\"}\n\n"))
				return
			}
			for range 10 * (2 - len(asked)) { // ten beats, then none; and then none at all, not even a header
				_, _ = w.Write([]byte("id: 1\n\n"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(17 * time.Second)
			}
			<-r.Context().Done()
		})}
		go srv.Serve(listener)
		defer srv.Close()
		c, err := New("http://127.0.0.1:1", strings.Repeat("x", 20))
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			listener <- server
			return client, nil
		}}
		defer transport.CloseIdleConnections()
		c.http.Transport = transport
		enough := errors.New("enough")
		if err := c.Follow(t.Context(), nil, "", func() error { return nil }, func(Event) error { return enough }, func(error) error { return nil }); err != enough {
			t.Error(err)
		}
		second := 9*17*time.Second + silence + usualWait
		if len(asked) != 3 || asked[1] != second || asked[2] != second+silence+2*usualWait {
			t.Errorf("asked after %s", asked)
		}
	})
}
