// Package githubtest is the part of GitHub's REST API that a GitHub App uses, on
// the loopback interface, for tests.
//
// It is strict: a call that GitHub would refuse for what the caller got wrong
// fails the test, besides being refused. That is a missing, expired or over-long
// JWT, a wrong issuer, a token of nobody, more than 100 items on a page, a path
// that does not exist. A test that wants to be refused says so with
// [Server.Expect].
//
// Facts: GitHub's documentation, "Generating a JSON Web Token (JWT) for a GitHub
// App", "Generating an installation access token", and the OpenAPI description
// of its REST API (apps, hook deliveries).
package githubtest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/secrettest"
)

// The App that the server knows, and its bot's user.
const (
	AppID    = 1234
	ClientID = "Iv23liTallyman"
	Slug     = "acme-tallyman"
	BotID    = 87654321
)

// Server is GitHub's API for one App. Safe for concurrent use.
type Server struct {
	URL string // without a slash at its end

	t       testing.TB
	pemText []byte
	http    *httptest.Server

	mu            sync.Mutex
	key           *rsa.PrivateKey
	now           func() time.Time
	installations map[int64]*installation
	tokens        map[string]*token // those that work
	minted        []string          // all
	newFormat     bool
	fresh         []int // statuses that the next new tokens are answered with at first
	deliveries    []Delivery
	environments  map[string]map[string]Environment // by repository and name
	redelivered   []int64
	faults        []*Fault
	expected      map[int]bool
	calls         []string
}

type installation struct {
	id          int64
	repository  map[string]int64 // by owner/name
	permissions map[string]string
}

type token struct {
	installation *installation
	expires      time.Time
	fresh        []int // what it is answered with before it works
}

// New starts a server that ends with the test. Nothing is installed yet.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		t: t, now: time.Now,
		installations: make(map[int64]*installation), tokens: make(map[string]*token), expected: make(map[int]bool), environments: make(map[string]map[string]Environment),
	}
	s.NewKey()
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	t.Cleanup(s.http.Close)
	return s
}

// NewKey gives the App another private key. The one before is good no longer.
func (s *Server) NewKey() {
	key := secrettest.Key(s.t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
	s.pemText = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// PrivateKey is the App's private key, as GitHub lets it be downloaded.
func (s *Server) PrivateKey() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pemText
}

// KeyFile writes the private key to a new file.
func (s *Server) KeyFile() string {
	path := filepath.Join(s.t.TempDir(), "app.pem")
	if err := os.WriteFile(path, s.PrivateKey(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// Install installs the App on repositories, each owner/name, with the right to
// write their contents.
func (s *Server) Install(id int64, repositories ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := &installation{id: id, repository: make(map[string]int64), permissions: map[string]string{"metadata": "read", "contents": "write"}}
	for n, name := range repositories {
		i.repository[name] = id*100 + int64(n)
	}
	s.installations[id] = i
}

// Uninstall ends an installation, and its tokens with it.
func (s *Server) Uninstall(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.installations, id)
	for value, t := range s.tokens {
		if t.installation.id == id {
			delete(s.tokens, value)
		}
	}
}

// Permit sets one of an installation's permissions.
func (s *Server) Permit(id int64, permission, access string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installations[id].permissions[permission] = access
}

// SetNow sets the clock by which tokens expire. JWTs are judged by the real one,
// by which they are made.
func (s *Server) SetNow(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// NewTokenFormat makes tokens long and dotted, as GitHub does since 2026.
func (s *Server) NewTokenFormat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newFormat = true
}

// FreshTokens makes the next token be answered with these statuses, one for each
// call, before it works: 404 and 401 are what GitHub says of a token that not all
// of its servers know yet.
func (s *Server) FreshTokens(statuses ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = statuses
}

// Revoke makes every token that was given out useless.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Good reports whether the token works: for a git server that asks.
func (s *Server) Good(value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[value]
	return ok && s.now().Before(t.expires)
}

// Tokens are all that were given out: what no log may hold.
func (s *Server) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.minted)
}

// Fault is an answer in place of the right one.
type Fault struct {
	Method, Path string // of the calls it is for
	Times        int    // how many of them
	Status       int
	Header       http.Header
	Body         string
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

// Calls are all calls so far, as "METHOD /path".
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
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

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	fault := s.take(r)
	s.mu.Unlock()
	if fault != nil {
		if fault.Wait != nil {
			select {
			case <-fault.Wait:
			case <-r.Context().Done():
				return
			}
		}
		if fault.Status != 0 {
			for name, values := range fault.Header {
				w.Header()[name] = values
			}
			w.WriteHeader(fault.Status)
			_, _ = w.Write([]byte(fault.Body))
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.route(w, r)
}

func (s *Server) take(r *http.Request) *Fault {
	for _, f := range s.faults {
		if f.Times > 0 && f.Method == r.Method && f.Path == r.URL.Path {
			f.Times--
			return f
		}
	}
	return nil
}

// refuse answers as GitHub does, and fails the test unless it wants that.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if !s.expected[status] {
		s.t.Errorf("GitHub would refuse %s %s with status %d: %s", r.Method, r.URL.Path, status, message)
	}
	answer(w, status, map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
