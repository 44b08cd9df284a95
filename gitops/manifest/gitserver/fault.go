package gitserver

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
)

// Operation is what a request wants of git. Over SSH a session is one request: a
// fetch or a push, or only a look at the refs.
type Operation string

const (
	FetchRefs Operation = "fetch-refs" // GET info/refs?service=git-upload-pack
	PushRefs  Operation = "push-refs"  // GET info/refs?service=git-receive-pack
	Fetch     Operation = "fetch"      // POST git-upload-pack
	Push      Operation = "push"       // POST git-receive-pack
	Other     Operation = "other"
)

func operationOf(r *http.Request) Operation {
	service := r.URL.Query().Get("service")
	switch {
	case strings.HasSuffix(r.URL.Path, "/info/refs") && service == "git-upload-pack":
		return FetchRefs
	case strings.HasSuffix(r.URL.Path, "/info/refs") && service == "git-receive-pack":
		return PushRefs
	case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
		return Fetch
	case strings.HasSuffix(r.URL.Path, "/git-receive-pack"):
		return Push
	}
	return Other
}

// Fault is what happens to a request instead of, before or after git's work.
// Its parts happen in the order of the fields.
type Fault struct {
	On    Operation   // the requests it is for; empty is all of them
	When  func() bool // which of those; nil is all. It is asked once for each request, and must not call the server
	Times int         // to how many of them it happens; 0 is once, negative until [Server.Heal]

	Before func()          // runs first: another writer's commit, a test's signal
	Wait   <-chan struct{} // then the request waits until this is closed, or its client is gone

	Apply   bool                       // git does the work, and its answer is dropped
	Hold    <-chan struct{}            // the answer waits until this is closed, or its client is gone
	Cut     bool                       // the connection is closed without an answer
	Status  int                        // this status is answered, with Header and Body; over SSH Body is the answer for 200, else what is said on standard error
	Header  http.Header                // as above
	Body    string                     // as above
	Replace func(answer []byte) []byte // git does the work, and its answer's body goes through this
}

// Inject makes the fault happen to the next requests it is for. Faults for the
// same operation happen one after the other.
func (s *Server) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal forgets every fault that is left.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Server) take(operation Operation) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.On != "" && f.On != operation || f.When != nil && !f.When() {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		return f
	}
	return nil
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, f *Fault) {
	f.begin(r.Context().Done())
	out := &flushing{ResponseWriter: w, written: &s.counters.bytesOut}
	if f.passes() {
		s.answer(out, r)
		return
	}
	answer := httptest.NewRecorder()
	if f.Apply || f.Replace != nil {
		s.answer(answer, r)
	}
	wait(f.Hold, r.Context().Done())
	switch {
	case f.Cut:
		panic(http.ErrAbortHandler) // net/http's way to close a connection without an answer
	case f.Status != 0:
		maps.Copy(w.Header(), f.Header)
		w.WriteHeader(f.Status)
		_, _ = out.Write([]byte(f.Body)) // a client that went away is what some tests want
	case f.Replace != nil:
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = out.Write(f.Replace(answer.Body.Bytes()))
	}
}

// begin does what comes before git's work.
func (f *Fault) begin(gone <-chan struct{}) {
	if f.Before != nil {
		f.Before()
	}
	wait(f.Wait, gone)
}

// passes reports whether the request then goes on to git as if nothing were.
func (f *Fault) passes() bool {
	return !f.Apply && !f.Cut && f.Status == 0 && f.Replace == nil && f.Hold == nil
}

// wait waits for the signal, but no longer than the request's client does.
func wait(signal, gone <-chan struct{}) {
	if signal == nil {
		return
	}
	select {
	case <-signal:
	case <-gone:
	}
}

// Counts is what has reached the server, and what it sent.
type Counts struct {
	Requests    map[Operation]int
	Connections int   // opened
	BytesIn     int64 // of request bodies
	BytesOut    int64 // of answers' bodies
}

// Total is the number of requests of every kind.
func (c Counts) Total() (n int) {
	for _, requests := range c.Requests {
		n += requests
	}
	return n
}

type counters struct {
	fetchRefs, pushRefs, fetch, push, other atomic.Int64
	connections, bytesIn, bytesOut          atomic.Int64
}

func (c *counters) of(operation Operation) *atomic.Int64 {
	switch operation {
	case FetchRefs:
		return &c.fetchRefs
	case PushRefs:
		return &c.pushRefs
	case Fetch:
		return &c.fetch
	case Push:
		return &c.push
	}
	return &c.other
}

func (c *counters) request(operation Operation) { c.of(operation).Add(1) }

// Counts returns what was counted since the start or the last ResetCounts.
func (s *Server) Counts() Counts {
	counts := Counts{
		Requests:    make(map[Operation]int),
		Connections: int(s.counters.connections.Load()),
		BytesIn:     s.counters.bytesIn.Load(),
		BytesOut:    s.counters.bytesOut.Load(),
	}
	for _, operation := range []Operation{FetchRefs, PushRefs, Fetch, Push, Other} {
		if n := s.counters.of(operation).Load(); n > 0 {
			counts.Requests[operation] = int(n)
		}
	}
	return counts
}

// ResetCounts starts counting at zero. Connections that are open count no more.
func (s *Server) ResetCounts() {
	for _, operation := range []Operation{FetchRefs, PushRefs, Fetch, Push, Other} {
		s.counters.of(operation).Store(0)
	}
	s.counters.connections.Store(0)
	s.counters.bytesIn.Store(0)
	s.counters.bytesOut.Store(0)
}
