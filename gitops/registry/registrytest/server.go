// Package registrytest has container registries for tests: olareg in process, behind a front
// that counts requests, demands tokens and makes faults, and the registry that Debian
// packages.
package registrytest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
)

// Server is a registry on the loopback interface. Safe for concurrent use.
type Server struct {
	Pusher
	http    *httptest.Server
	olareg  *olareg.Server
	closing chan struct{}

	mu       sync.Mutex
	requests []*Request
	faults   []*Fault
	access   access
	lists    map[string]List // by repository
}

// Request is one that the front was sent.
type Request struct {
	Method        string
	Kind          string // manifests, blobs, tags, referrers, token; "" for others
	Repository    string
	Reference     string // a tag or a digest
	Query         string
	Accept        string
	Authorization string
	Connection    string // the client's address: equal on a kept connection
	Status        int    // 0 where it was not answered
}

// New starts a registry, and closes it when the test ends.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := Start()
	tb.Cleanup(s.Close)
	return s
}

// Start starts a registry that is asked over plain HTTP.
func Start() *Server {
	s := newServer()
	s.http.Start()
	return s
}

func newServer() *Server {
	yes := true
	s := &Server{closing: make(chan struct{}), lists: make(map[string]List)}
	s.olareg = olareg.New(config.Config{
		Storage: config.ConfigStorage{StoreType: config.StoreMem, GC: config.ConfigGC{Frequency: -1}},
		API:     config.ConfigAPI{DeleteEnabled: &yes, Manifest: config.ConfigAPIManifest{SparseIndex: &yes, SparseImage: &yes}},
	})
	s.http = httptest.NewUnstartedServer(s)
	s.Pusher = Pusher{send: func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		s.olareg.ServeHTTP(w, r)
		return w.Result()
	}}
	return s
}

// Close ends it, with all requests that hang.
func (s *Server) Close() {
	close(s.closing)
	s.http.CloseClientConnections()
	s.http.Close()
	_ = s.olareg.Close() // it is in memory
}

// Host is the server's as image names have it.
func (s *Server) Host() string { return s.http.Listener.Addr().String() }

// Dial connects to the server, whatever the address: in place of DNS.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, s.Host())
}

// Requests returns what was sent so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = *r
	}
	return all
}

// Count returns how many requests there were, "" being any method or kind.
func (s *Server) Count(method, kind string) int {
	n := 0
	for _, r := range s.Requests() {
		if (method == "" || r.Method == method) && (kind == "" || r.Kind == kind) {
			n++
		}
	}
	return n
}

// Forget begins counting at nothing.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := parseRequest(r)
	sent := request
	s.mu.Lock()
	s.requests = append(s.requests, &sent)
	fault := s.takeFault(request)
	s.mu.Unlock()

	counted := &statusWriter{ResponseWriter: w, noted: func(status int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if sent.Status == 0 {
			sent.Status = status
		}
	}}
	registry := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, request) })
	if fault != nil {
		fault(counted, r, registry, s.closing)
		return
	}
	registry(counted, r)
}

// serve answers without a fault.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, request Request) {
	if request.Kind == "token" {
		s.giveToken(w, r)
		return
	}
	if !s.admit(w, r, request) {
		return
	}
	s.mu.Lock()
	list, shaped := s.lists[request.Repository]
	s.mu.Unlock()
	if shaped && request.Kind == "tags" {
		list.serve(w, r)
		return
	}
	s.olareg.ServeHTTP(w, r)
}

func parseRequest(r *http.Request) Request {
	request := Request{
		Method: r.Method, Query: r.URL.RawQuery, Connection: r.RemoteAddr,
		Accept: strings.Join(r.Header.Values("Accept"), ", "), Authorization: r.Header.Get("Authorization"),
	}
	if r.URL.Path == "/token" {
		request.Kind = "token"
		return request
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	if len(parts) < 3 {
		return request
	}
	n := len(parts)
	switch kind := parts[n-2]; kind {
	case "manifests", "blobs", "tags", "referrers":
		request.Kind, request.Reference, request.Repository = kind, parts[n-1], strings.Join(parts[:n-2], "/")
	}
	return request
}

// statusWriter notes the status.
type statusWriter struct {
	http.ResponseWriter
	noted func(status int)
}

func (w *statusWriter) WriteHeader(status int) {
	w.noted(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.noted(http.StatusOK) // unless WriteHeader was called
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
