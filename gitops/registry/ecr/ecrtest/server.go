// Package ecrtest is a strict fake of what tallyman asks of AWS: Amazon ECR's API, and where
// credentials come from (STS for IRSA, the agent of EKS Pod Identity). The real SDK drives it
// over 127.0.0.1. A call that AWS would refuse fails the test, unless the test ordered that.
package ecrtest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is the fake. Safe for concurrent use.
type Server struct {
	t    testing.TB
	http *httptest.Server

	mu          sync.Mutex // guards what follows
	registries  map[place]*Registry
	keys        map[string]*key // by access key id
	identity    string          // what the web identity's token file has
	agentToken  string          // what the agent's token file has
	faults      map[string][]Fault
	calls       map[string]int
	hanging     chan string   // receives the operation of a call that hangs or is slow
	goesOn      chan struct{} // has a slow call answered
	passwordFor time.Duration
	onPassword  func(password string)
	now         func() time.Time
}

// place is where a registry is.
type place struct{ account, region string }

// New starts a fake without registries, and without credentials: see [Server.UseKeys] and the like.
func New(t testing.TB) *Server {
	s := &Server{
		t:           t,
		registries:  make(map[place]*Registry),
		keys:        make(map[string]*key),
		faults:      make(map[string][]Fault),
		calls:       make(map[string]int),
		hanging:     make(chan string, 100),
		goesOn:      make(chan struct{}),
		passwordFor: 12 * time.Hour,
		onPassword:  func(string) {},
		now:         time.Now,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ecr", s.serveECR)
	mux.HandleFunc("/sts", s.serveSTS)
	mux.HandleFunc("/credentials", s.serveAgent)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("ecrtest: %s %s is not of AWS", r.Method, r.URL.Path)
		http.NotFound(w, r)
	})
	s.http = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.http.CloseClientConnections() // what hangs ends
		s.http.Close()
	})
	s.isolate(t)
	return s
}

// Calls is how many calls of an operation came, such as DescribeImages.
func (s *Server) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

// SetNow changes the clock that passwords and pushes are dated by.
func (s *Server) SetNow(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// SetPasswordsFor changes how long a new password is good; AWS's are for 12 h.
func (s *Server) SetPasswordsFor(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwordFor = d
}

// OnPassword is called with each password that the API gives out, so that another fake's
// registry takes it.
func (s *Server) OnPassword(do func(password string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onPassword = do
}

// target is what the header X-Amz-Target has before the operation.
const target = "AmazonEC2ContainerRegistry_V20150921."

func (s *Server) serveECR(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), target)
	if !ok || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		s.t.Errorf("ecrtest: not a call of JSON 1.1: %s, X-Amz-Target %q, Content-Type %q", r.Method, r.Header.Get("X-Amz-Target"), r.Header.Get("Content-Type"))
	}
	signed, refused := s.verify(r, body)
	if refused != nil {
		answer(w, refused)
		return
	}
	fault := s.next(operation)
	switch fault {
	case Hang:
		s.hang(r, operation)
		return
	case Slow:
		s.hanging <- operation
		<-s.goesOn
	case Gone:
		panic(http.ErrAbortHandler)
	}
	if refused := fault.answer(operation, signed); refused != nil {
		answer(w, refused)
		return
	}
	s.mu.Lock()
	result, refused := s.do(operation, signed, body)
	s.mu.Unlock()
	if refused != nil {
		answer(w, refused)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(result)
}

// do answers an operation. The caller holds the lock.
func (s *Server) do(operation string, by *key, body []byte) (any, *refusal) {
	switch operation {
	case "GetAuthorizationToken":
		return s.getAuthorizationToken(by, body)
	case "DescribeImages":
		return s.describeImages(by, body)
	case "DescribeRepositories":
		return s.describeRepositories(by, body)
	case "DescribeImageSigningStatus":
		return s.describeImageSigningStatus(by, body)
	}
	s.t.Errorf("ecrtest: %q is not an operation that tallyman has a permission for", operation)
	return nil, &refusal{400, "UnknownOperationException", ""}
}

// refusal is an error of AWS.
type refusal struct {
	status  int
	code    string
	message string
}

func answer(w http.ResponseWriter, r *refusal) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": r.code, "message": r.message})
}
