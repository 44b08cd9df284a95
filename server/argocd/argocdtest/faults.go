package argocdtest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is something that happens to requests instead of an answer.
type Fault struct {
	Path  string // of the requests that it happens to: those that contain it; "" is each
	Times int    // so often, then no more; 0 is until it is lifted

	// What happens, one of these.
	Status     int           // with a body as Argo CD's
	Proxy      bool          // ... or, with Status, as a proxy in front of it says it: in HTML
	Redirect   string        // to there
	Hang       bool          // no answer, until the client gives up
	Drop       bool          // the connection ends without an answer
	CutOff     bool          // the answer ends in its middle
	Slow       time.Duration // the answer comes so much later
	RetryAfter string        // the header, with Status
}

var errDropped = errors.New("connection reset by peer")

// Fail has a fault happen from now on; of several the oldest. The returned function lifts it.
func (s *Server) Fail(f Fault) (lift func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := &f
	s.faults = append(s.faults, fault)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(g *Fault) bool { return g == fault })
	}
}

// faultFor takes the fault that happens to a request. The lock is held.
func (s *Server) faultFor(r *http.Request) *Fault {
	for i, f := range s.faults {
		if !strings.Contains(r.URL.Path, f.Path) {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return f
	}
	return nil
}

// happens has a fault happen, and reports whether that was the answer.
func (s *Server) happens(f *Fault, w http.ResponseWriter, r *http.Request) bool {
	switch {
	case f.Hang:
		<-r.Context().Done()
	case f.Drop:
		drop(w)
	case f.CutOff:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"items":[{"metadata":{"na`)) // the client sees that it is too short
	case f.Redirect != "":
		http.Redirect(w, r, f.Redirect, http.StatusTemporaryRedirect)
	case f.Proxy:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte("<html><title>Proxy</title></html>")) // a client that is gone needs none
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		refuse(w, f.Status, "a fault of the test")
	case f.Slow > 0:
		timer := time.NewTimer(f.Slow)
		defer timer.Stop()
		select {
		case <-timer.C:
			return false
		case <-r.Context().Done():
		}
	}
	return true
}

// drop ends the connection.
func drop(w http.ResponseWriter) {
	if d, ok := w.(*direct); ok {
		d.dropped = true
		return
	}
	panic(http.ErrAbortHandler)
}
