package server

import (
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
		if lines := s.log.with(`"msg":"ready"`, `"admin":"`+r.AdminAddr()+`"`, `"probes":"`+r.ProbeAddr()+`"`); len(lines) != 1 {
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

// A profile may take longer than other answers.
func TestAProfileMayTakeItsTime(t *testing.T) {
	s := newSite(t)
	s.yaml += "pprof: true\n"
	server, err := s.newServer()
	s.must(err)
	defer server.Stop(t.Context())
	inner := httptest.NewUnstartedServer(nil)
	inner.Config = server.httpServer(server.adminHandler())
	if inner.Config.WriteTimeout == 0 {
		t.Error("an answer may take for ever")
	}
	inner.Config.WriteTimeout = 10 * time.Millisecond
	inner.Start()
	defer inner.Close()
	req, err := http.NewRequest(http.MethodGet, inner.URL+"/debug/pprof/trace?seconds=0.2", nil)
	s.must(err)
	if answer := send(t, req); answer.StatusCode != http.StatusOK || answer.body == "" {
		t.Errorf("answered %s with %d bytes", answer.Status, len(answer.body))
	}
}
