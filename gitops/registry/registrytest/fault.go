package registrytest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
)

// Fault is what some requests are answered in place of what the registry would. An empty
// field matches all.
type Fault struct {
	Method     string
	Kind       string // as of [Request]
	Repository string
	Reference  string
	Times      int // how often; 0 is until it is removed
	Answer     Answer
}

// Answer is a fault's. Registry is what would have answered; closing is closed when the
// server is.
type Answer func(w http.ResponseWriter, r *http.Request, registry http.Handler, closing <-chan struct{})

// Inject makes a fault. The one that was injected last is tried first.
func (s *Server) Inject(f Fault) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	injected := &f
	if f.Times == 0 {
		injected.Times = -1
	}
	s.faults = append(s.faults, injected)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(other *Fault) bool { return other == injected })
	}
}

// takeFault returns the answer of the fault that a request meets. The server is locked.
func (s *Server) takeFault(r Request) Answer {
	for _, f := range slices.Backward(s.faults) {
		if f.Times == 0 || !matches(f.Method, r.Method) || !matches(f.Kind, r.Kind) ||
			!matches(f.Repository, r.Repository) || !matches(f.Reference, r.Reference) {
			continue
		}
		f.Times = max(f.Times-1, -1)
		return f.Answer
	}
	return nil
}

func matches(pattern, value string) bool { return pattern == "" || pattern == value }

// Status answers with a status, and headers as pairs of name and value.
func Status(status int, headers ...string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ <-chan struct{}) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

// Hang answers nothing until the client gives up.
func Hang() Answer {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler, closing <-chan struct{}) {
		select {
		case <-r.Context().Done():
		case <-closing:
		}
		panic(http.ErrAbortHandler)
	}
}

// Reset resets the connection.
func Reset() Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ <-chan struct{}) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // closed below in any case
		}
		_ = conn.Close()
	}
}

// Cut ends the connection in the middle of the body that the registry sends.
func Cut() Answer {
	return rewritten(func(w http.ResponseWriter, status int, body []byte) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// Body sends another body than the registry's, under its headers.
func Body(other []byte) Answer {
	return rewritten(func(w http.ResponseWriter, status int, _ []byte) {
		w.Header().Del("Content-Length")
		w.WriteHeader(status)
		_, _ = w.Write(other)
	})
}

// WithoutHeader takes a header off what the registry sends.
func WithoutHeader(name string) Answer {
	return rewritten(func(w http.ResponseWriter, status int, body []byte) {
		w.Header().Del(name)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
}

// Redirect sends the client to another server, with the same path and query.
func Redirect(status int, base string) Answer {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler, _ <-chan struct{}) {
		w.Header().Set("Location", base+r.URL.RequestURI())
		w.WriteHeader(status)
	}
}

// rewritten has the registry's answer, whose headers are w's, sent by another.
func rewritten(send func(w http.ResponseWriter, status int, body []byte)) Answer {
	return func(w http.ResponseWriter, r *http.Request, registry http.Handler, _ <-chan struct{}) {
		recorded := httptest.NewRecorder()
		registry.ServeHTTP(recorded, r)
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		send(w, recorded.Code, recorded.Body.Bytes())
	}
}

// HangInBody sends half of the body, and then nothing until the client gives up.
func HangInBody() Answer {
	return func(w http.ResponseWriter, r *http.Request, registry http.Handler, closing <-chan struct{}) {
		rewritten(func(w http.ResponseWriter, status int, body []byte) {
			w.WriteHeader(status)
			_, _ = w.Write(body[:len(body)/2])
			_ = http.NewResponseController(w).Flush()
			Hang()(w, r, registry, closing)
		})(w, r, registry, closing)
	}
}
