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
	"strings"
	"sync"
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

	t       TB
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
	served        map[string]*Repository            // by owner/name in lower case
	sources       map[string]*Source                // likewise
	enterprise    bool
	hidden        bool // settings of repositories
	ignoresHead   bool
	limits        limits
	redelivered   []int64
	faults        []*Fault
	expected      map[int]bool
	calls         []string
}

type installation struct {
	id          int64
	repository  map[string]int64 // by owner/name
	permissions map[string]string
	events      []string
}

type token struct {
	installation *installation
	expires      time.Time
	fresh        []int // what it is answered with before it works
}

// TB is what a server needs of a test. A [testing.TB] is one, and a demonstration has its own.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// New starts a server that ends with the test. Nothing is installed yet.
func New(t TB) *Server {
	t.Helper()
	s := &Server{
		t: t, now: time.Now,
		installations: make(map[int64]*installation), tokens: make(map[string]*token), expected: make(map[int]bool), environments: make(map[string]map[string]Environment),
		served: make(map[string]*Repository), sources: make(map[string]*Source),
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
	i := &installation{id: id, repository: make(map[string]int64), permissions: map[string]string{"metadata": "read", "contents": "write"}, events: []string{"repository_dispatch"}}
	for n, name := range repositories {
		i.repository[name] = id*100 + int64(n)
	}
	s.installations[id] = i
}

// reaches is the number of a repository of the installation. GitHub knows owners and
// repositories in any case of letters.
func (i *installation) reaches(name string) (id int64, ok bool) {
	for full, id := range i.repository {
		if strings.EqualFold(full, name) {
			return id, true
		}
	}
	return 0, false
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

// Subscribe gives an installation events beside repository_dispatch.
func (s *Server) Subscribe(id int64, events ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installations[id].events = append(s.installations[id].events, events...)
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
