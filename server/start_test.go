package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// goroutines returns the stacks of what runs the program's code, but for tests
// and the servers of git and PostgreSQL beside them.
func goroutines() (stacks []string) {
	buffer := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		ours := strings.Contains(stack, "tallyman-dev/tallyman/")
		if ours && !strings.Contains(stack, "testing.") && !strings.Contains(stack, "gitserver") && !strings.Contains(stack, "postgrestest") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// nothingRuns waits until what has said goodbye has gone, too.
func nothingRuns(t *testing.T) {
	t.Helper()
	for {
		left := goroutines()
		if len(left) == 0 {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("left running:\n%s", strings.Join(left, "\n\n"))
		}
		runtime.Gosched()
	}
}

// A start that fails says which field is at fault, and leaves nothing: the same
// configuration starts as soon as the cause is gone.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name  string
		spoil func(s *site) (repair func())
		code  gitops.Code
		says  string
	}{
		{"the public port is taken", func(s *site) func() {
			s.edit("\nlisten: 127.0.0.1:0", "\nlisten: "+taken.Addr().String())
			return func() { s.edit(taken.Addr().String(), "127.0.0.1:0") }
		}, gitops.Invalid, "listen: cannot listen on " + taken.Addr().String()},
		{"the admin port is taken", func(s *site) func() {
			s.edit("adminListen: 127.0.0.1:0", "adminListen: "+taken.Addr().String())
			return func() { s.edit(taken.Addr().String(), "127.0.0.1:0") }
		}, gitops.Invalid, "adminListen: cannot listen on " + taken.Addr().String()},
		{"the port for probes is taken", func(s *site) func() {
			s.edit("probeListen: 127.0.0.1:0", "probeListen: "+taken.Addr().String())
			return func() { s.edit(taken.Addr().String(), "127.0.0.1:0") }
		}, gitops.Invalid, "probeListen: cannot listen on " + taken.Addr().String()},
		{"the store is another's", func(s *site) func() {
			other, err := sqlite.Open(t.Context(), filepath.Join(s.dir, "tallyman.db"), sqlite.Options{})
			s.must(err)
			return func() { s.must(other.Close()) }
		}, gitops.Conflict, "the store is in use by another process"},
		{"the store is no database", func(s *site) func() {
			path := filepath.Join(s.dir, "tallyman.db")
			s.must(os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600))
			return func() { s.must(os.Remove(path)) }
		}, gitops.Unavailable, "the store's file "},
		{"the store is damaged", func(s *site) func() {
			s.start().stop() // which makes it
			path := filepath.Join(s.dir, "tallyman.db")
			whole, err := os.ReadFile(path)
			s.must(err)
			damaged := bytes.Clone(whole)
			copy(damaged[len(damaged)/2:], bytes.Repeat([]byte{0xa5}, 3000))
			s.must(os.WriteFile(path, damaged, 0o600))
			return func() { s.must(os.WriteFile(path, whole, 0o600)) }
		}, gitops.Unavailable, "the store's file "},
		{"the store's file is something else", func(s *site) func() {
			path := filepath.Join(s.dir, "tallyman.db")
			s.must(os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600))
			return func() { s.must(os.Remove(path)) }
		}, gitops.Unavailable, "the store's file "},
		{"the store has no directory", func(s *site) func() {
			s.edit("/tallyman.db", "/missing/tallyman.db")
			return func() { s.edit("/missing/tallyman.db", "/tallyman.db") }
		}, gitops.Unavailable, "the store's directory "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			repair := c.spoil(s)
			server, err := s.newServer()
			s.must(err)
			err = server.Start(t.Context())
			if gitops.CodeOf(err) != c.code || !strings.HasPrefix(gitops.PublicOf(err), c.says) {
				t.Errorf("Start says %v, want %s", err, c.says)
			}
			s.must(server.Stop(t.Context())) // harmless
			repair()
			nothingRuns(t)
			s.start().stop()
		})
	}
}

// Servers come and go on one store while senders and probes know nothing of it.
func TestStartAndStopAgainAndAgain(t *testing.T) {
	s := newSite(t)
	probed := freePort(t)
	s.edit("probeListen: 127.0.0.1:0", "probeListen: "+probed)
	ctx, cancel := context.WithCancel(t.Context())
	var probes sync.WaitGroup
	for _, path := range []string{"/livez", "/readyz"} {
		probes.Go(func() {
			for ctx.Err() == nil {
				if resp, err := http.Get("http://" + probed + path); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		})
	}
	accepted := 0
	for i := range 8 {
		r := s.start()
		for j := range 5 {
			r.do(r.github(newSecret, fmt.Sprintf("d%d-%d", i, j), order("api", "dev", fmt.Sprintf("main-%07x", accepted)))).delivery(t, 202)
			accepted++
		}
		r.stop()
	}
	cancel()
	probes.Wait()
	r := s.start()
	for i := range 8 {
		for j := range 5 {
			if d, found := r.stored("github", fmt.Sprintf("d%d-%d", i, j)); !found || len(d.Updates) != 1 {
				t.Errorf("delivery %d-%d is %+v", i, j, d)
			}
		}
	}
	r.stop()
	nothingRuns(t)
}

// freePort is an address that was free a moment ago. It lies outside the range
// from which clients and ":0" are served, so nobody takes it by accident.
func freePort(t *testing.T) string {
	t.Helper()
	for t.Context().Err() == nil {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// Probes come from the moment their listener is there. Whoever is told that
// the server is ready can reach it. Many lanes make the start long enough to look.
func TestProbesWhileStarting(t *testing.T) {
	s := newSite(t)
	s.must(s.git.Close())
	for i := range 500 {
		s.edit("environments:\n", fmt.Sprintf("environments:\n  e%d: {tags: {match: x}}\n", i))
	}
	s.edit("{repository: 123456789012", "{environments: [dev], repository: 123456789012")
	probed, public := freePort(t), freePort(t)
	s.edit("probeListen: 127.0.0.1:0", "probeListen: "+probed)
	s.edit("\nlisten: 127.0.0.1:0", "\nlisten: "+public)
	started := make(chan struct{})
	probe := func(path string, look func(status int)) {
		for {
			resp, err := http.Get("http://" + probed + path)
			if err == nil {
				resp.Body.Close()
				look(resp.StatusCode)
			}
			select {
			case <-started:
				return
			default:
			}
		}
	}
	var probes sync.WaitGroup
	for range 2 {
		probes.Go(func() {
			probe("/livez", func(status int) {
				if status != http.StatusOK {
					t.Errorf("livez is %d while starting", status)
				}
			})
		})
	}
	probes.Go(func() {
		probe("/readyz", func(status int) {
			if conn, err := net.Dial("tcp", public); err == nil {
				conn.Close()
			} else if status == http.StatusOK {
				t.Errorf("ready, and not there: %v", err)
			}
		})
	})
	r := s.start()
	close(started)
	probes.Wait()
	if answer := r.probe("/readyz"); answer.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s %s", answer.Status, answer.body)
	}
}

// The steps of a start up to the moment before the public listener is there.
func TestNotReadyBeforeListening(t *testing.T) {
	s, err := newSite(t).newServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(t.Context())) })
	if err := s.openStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.probeHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != 503 || w.Body.String() != "starting\n" {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
}
