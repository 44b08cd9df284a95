package server

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Each listener serves what is its own, and profiles are there by choice.
func TestEachListenerServesItsOwn(t *testing.T) {
	paths := []string{"/metrics", "/livez", "/readyz", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/debug/pprof/heap", "/webhooks/github", "/api/v1/updates", "/"}
	for _, profiles := range []bool{false, true} {
		s := newSite(t)
		if profiles {
			s.yaml += "pprof: true\n"
		}
		r := s.start()
		for _, path := range paths {
			admin, probe := 404, 404
			switch {
			case path == "/metrics", profiles && strings.HasPrefix(path, "/debug/pprof/"):
				admin = 200
			case path == "/livez", path == "/readyz":
				probe = 200
			}
			if answer := r.get(r.AdminAddr(), path); answer.StatusCode != admin {
				t.Errorf("pprof %t: adminListen answers %s with %s", profiles, path, answer.Status)
			}
			if answer := r.get(r.ProbeAddr(), path); answer.StatusCode != probe {
				t.Errorf("pprof %t: probeListen answers %s with %s", profiles, path, answer.Status)
			}
		}
		if lines := s.log.Lines(`"msg":"ready"`, `"admin":"`+r.AdminAddr()+`"`, `"probes":"`+r.ProbeAddr()+`"`); len(lines) != 1 {
			t.Errorf("logged %q", lines)
		}
	}
}

// Whoever holds connections open keeps nobody from asking whether the process lives.
func TestProbesGetThrough(t *testing.T) {
	r := newSite(t).start()
	for range 200 {
		conn, err := net.Dial("tcp", r.ProbeAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if answer := r.probe(path); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}

// deadlineWriter notes by when an answer must be written.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *deadlineWriter) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

// An answer has its time, and a profile that much more as it was asked to take.
func TestAProfileMayTakeItsTime(t *testing.T) {
	s := newSite(t)
	s.yaml += "pprof: true\n"
	server, err := s.newServer()
	s.must(err)
	defer server.Stop(t.Context())
	srv := server.httpServer(server.adminHandler())
	if srv.WriteTimeout == 0 {
		t.Error("an answer may take for ever")
	}
	w, began := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}, time.Now()
	r := httptest.NewRequest(http.MethodGet, "/debug/pprof/trace?seconds=0.1", nil)
	srv.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, srv)))
	if w.Code != http.StatusOK || w.Body.Len() == 0 || w.deadline.Sub(began) < srv.WriteTimeout+100*time.Millisecond {
		t.Errorf("answered %d with %d bytes, and has until %s after it was asked", w.Code, w.Body.Len(), w.deadline.Sub(began))
	}
}
