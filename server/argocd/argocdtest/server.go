// Package argocdtest is the part of Argo CD's API server that a get-only account may use, for
// tests: on the loopback interface, or as an [http.RoundTripper] in a bubble of
// testing/synctest, where real sockets do not work.
//
// It is strict: a call that the real one would refuse for what the caller got wrong, or that
// a get-only account has no business to make, fails the test besides being refused. Such are
// an unknown path or parameter, another method than GET, a missing project, refresh=hard, a
// list without fields or with one that lists do not know. What a caller may meet without a
// fault of its own is answered as recorded: 401, 403 for what is forbidden or not there, 404
// for what is not there in a project that the account may get in.
//
// Applications are played from recordings ([Server.Play]), or are a small live model
// ([Server.Add]), which goes through the partial states in the recorded order.
//
// Facts: recordings of Argo CD 3.4.7; its source (server/application,
// pkg/apiclient/application/forwarder_overwrite.go).
package argocdtest

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// TB is what of testing.TB is used.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Cleanup(func())
}

// Namespace is Argo CD's own: where an Application is whose namespace is not said.
const Namespace = "argocd"

// Server is the API server of one Argo CD. Safe for concurrent use.
type Server struct {
	t   TB
	now func() time.Time

	mu           sync.Mutex
	accounts     map[string]*account // by token
	projects     map[string][]string // the namespaces that each allows besides Argo CD's own
	namespaces   []string            // that are served
	applications map[key]application
	controller   chan struct{} // closed while it runs
	faults       []*Fault
	counts       counts
	minted       int
}

// key is where an Application is.
type key struct{ namespace, name string }

// application is one that is played or modelled. The server's lock is held in calls of all
// but refresh.
type application interface {
	// answer is the status and the body of a GET of what is below the Application's path: ""
	// is the Application itself. A nil body is for the server to answer: there is none.
	answer(below string, query map[string]string) (status int, body any)
	project() string
	// comparing is closed when a refresh that begins now is over; nil when that is at once.
	comparing() <-chan struct{}
}

// New makes a server without Applications that goes by the clock; nil is time.Now. Projects,
// namespaces and accounts are made as they are named.
func New(t TB, now func() time.Time) *Server {
	if now == nil {
		now = time.Now
	}
	running := make(chan struct{})
	close(running)
	return &Server{
		t: t, now: now, controller: running,
		accounts: make(map[string]*account), projects: make(map[string][]string),
		namespaces: []string{Namespace}, applications: make(map[key]application),
	}
}

// Listen serves on the loopback interface until the test ends, and returns the URL.
func (s *Server) Listen() string {
	server := httptest.NewServer(s)
	s.t.Cleanup(func() {
		server.CloseClientConnections() // some may hang
		server.Close()
	})
	return server.URL
}

// RoundTrip implements [http.RoundTripper]: the request does not leave the goroutine.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	direct := &direct{ResponseRecorder: w}
	s.ServeHTTP(direct, r)
	switch {
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	case direct.dropped:
		return nil, errDropped
	}
	response := w.Result()
	response.Request = r
	return response, nil
}

// direct answers a request that came through RoundTrip.
type direct struct {
	*httptest.ResponseRecorder
	dropped bool
}

// AllowNamespace has a project allow Applications in a namespace, and serves that.
func (s *Server) AllowNamespace(project, namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.projects[project] = append(s.projects[project], namespace)
	s.namespaces = append(s.namespaces, namespace)
}

// StopController has nothing compared any more: refreshes hang, and models stand. The
// returned function starts it again.
func (s *Server) StopController() (start func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stopped := make(chan struct{})
	s.controller = stopped
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(stopped)
	})
}

// controllerRuns reports whether it does. The lock is held.
func (s *Server) controllerRuns() bool {
	select {
	case <-s.controller:
		return true
	default:
		return false
	}
}

// Delete removes an Application: it is not there any more.
func (s *Server) Delete(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.applications, key{cmp.Or(namespace, Namespace), name})
}

// sorted are the keys of all Applications, as lists have them. The lock is held.
func (s *Server) sorted() []key {
	keys := make([]key, 0, len(s.applications))
	for k := range s.applications {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.namespace, b.namespace)) })
	return keys
}
