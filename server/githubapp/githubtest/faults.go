package githubtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
)

// Fault is an answer in place of the right one.
type Fault struct {
	Method, Path string // of the calls it is for
	Contains     string // which their bodies have, such as a mutation's name; "" for all
	Times        int    // how many of them
	Applied      bool   // what the call asks for happens before it is answered so
	Status       int
	Header       http.Header
	Body         string
	Stalled      bool            // the answer begins and does not end
	Asked        func()          // called when the call comes; may be nil
	Wait         <-chan struct{} // first the call lasts until this is closed; with Status 0 it is then answered rightly
}

// Inject makes calls fail.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Expect says that the test wants answers of this status.
func (s *Server) Expect(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected[status] = true
}

// Calls are all calls so far, as "METHOD /path"; those of GraphQL have the field behind
// that they are about.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// ForgetCalls makes Calls begin again.
func (s *Server) ForgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// Count is how often a call was made.
func (s *Server) Count(method, path string) int {
	n := 0
	for _, call := range s.Calls() {
		if call == method+" "+path {
			n++
		}
	}
	return n
}

// maxBody is the longest request that GitHub takes.
const maxBody = 1 << 20

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return // the client has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.calls = append(s.calls, called(r, body))
	fault := s.take(r, string(body))
	s.mu.Unlock()
	if fault == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.route(w, r)
		return
	}
	if fault.Asked != nil {
		fault.Asked()
	}
	if fault.Wait != nil {
		select {
		case <-fault.Wait:
		case <-r.Context().Done():
			return
		}
	}
	if fault.Status == 0 || fault.Applied {
		var to http.ResponseWriter = w
		if fault.Applied {
			to = httptest.NewRecorder()
		}
		s.mu.Lock()
		s.route(to, r)
		s.mu.Unlock()
	}
	if fault.Status != 0 {
		for name, values := range fault.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(fault.Status)
		_, _ = w.Write([]byte(fault.Body))
	}
	if fault.Stalled {
		_ = http.NewResponseController(w).Flush() // a client that has gone is what ends it
		<-r.Context().Done()
	}
}

// called is how a call is written down.
func called(r *http.Request, body []byte) string {
	call := r.Method + " " + r.URL.Path
	if strings.HasSuffix(r.URL.Path, "/graphql") {
		if fields := strings.FieldsFunc(string(body), func(c rune) bool { return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') }); len(fields) > 0 {
			for _, root := range append(mutations(), "node") {
				if slices.Contains(fields, root) {
					return call + " " + root
				}
			}
		}
	}
	return call
}

func (s *Server) take(r *http.Request, body string) *Fault {
	for _, f := range s.faults {
		if f.Times > 0 && f.Method == r.Method && f.Path == r.URL.Path && strings.Contains(body, f.Contains) {
			f.Times--
			return f
		}
	}
	return nil
}
