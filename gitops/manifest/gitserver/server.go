// Package gitserver serves real git repositories over smart HTTP and over SSH on
// the loopback interface, with git's own http-backend, receive-pack and
// upload-pack doing the work.
//
// It exists for tests, the demo and the benchmarks: what is proved against it is
// proved against git itself. Faults can be injected between the client and git
// ([Server.Inject]), latency added ([Server.SetLatency]), and requests, bytes
// and connections counted ([Server.Counts]). It needs a git binary on PATH, and
// it is not a server for the public: whoever reaches it may push.
package gitserver

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves every repository below one directory. Safe for concurrent use.
type Server struct {
	URL string // http://127.0.0.1:port, without a slash at its end

	root     string
	http     *http.Server
	backend  *cgi.Handler
	counters counters

	mu      sync.Mutex
	ssh     []*SSH
	faults  []*Fault
	token   string
	admit   func(password string) bool
	noThin  bool
	latency Latency
}

// Latency is what a distant server would add.
type Latency struct {
	Request time.Duration // to each request or SSH session, before git sees it
	Connect time.Duration // to the first request of each new connection: TCP and TLS or SSH handshakes
}

// Start serves the repositories below root, which must exist, until Close.
func Start(root string) (*Server, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("gitserver needs a git binary: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	s := &Server{
		URL:  "http://" + listener.Addr().String(),
		root: root,
		backend: &cgi.Handler{
			Path:   git,
			Args:   []string{"http-backend"},
			Dir:    root,
			Env:    append(isolated(), "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1"),
			Stderr: io.Discard,
		},
	}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext:       newConnection,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.counters.connections.Add(1)
			}
		},
	}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("gitserver stopped serving: %v", err)) // a test tool: nobody is left to tell
		}
	}()
	return s, nil
}

// Close cuts every connection and stops serving. The repositories stay.
func (s *Server) Close() error {
	err := s.http.Close()
	s.mu.Lock()
	over := s.ssh
	s.mu.Unlock()
	for _, h := range over {
		err = errors.Join(err, h.close())
	}
	return err
}

// RequireToken makes the server answer 401 to every request whose basic
// password is not token. The empty token lets everybody in.
func (s *Server) RequireToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// Admit makes the server answer 401 to every request whose basic password good
// does not find good.
func (s *Server) Admit(good func(password string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit = good
}

// RefuseThinPacks makes the server take only packs that need nothing from
// outside, as some servers that are not git's own do. It is for repositories
// with receive.unpackLimit set to 1.
func (s *Server) RefuseThinPacks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noThin = true
}

// SetLatency makes the server seem that far away.
func (s *Server) SetLatency(l Latency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = l
}

func (s *Server) latencies() (connect, request time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latency.Connect, s.latency.Request
}

// ServeHTTP counts the request, applies what was injected for it, and lets git
// answer the rest.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := operationOf(r)
	s.counters.request(operation)
	s.delay(r)
	if !s.admitted(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "a token is needed here", http.StatusUnauthorized)
		return
	}
	if fault := s.take(operation); fault != nil {
		s.fail(w, r, fault)
		return
	}
	s.answer(&flushing{ResponseWriter: w, written: &s.counters.bytesOut}, r)
}

// answer lets git answer. CGI needs to know the body's length beforehand, and
// git sends large pushes chunked, so the body is read first.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the request's body ended early", http.StatusBadRequest)
		return
	}
	s.counters.bytesIn.Add(int64(len(body)))
	if s.refusesThin() && operationOf(r) == Push {
		s.receiveWhole(w, r, body)
		return
	}
	whole := r.Clone(context.WithoutCancel(r.Context())) // git finishes what it began, as behind a real proxy
	whole.Body = io.NopCloser(bytes.NewReader(body))
	whole.ContentLength = int64(len(body))
	whole.TransferEncoding = nil
	s.backend.ServeHTTP(w, whole)
}

func (s *Server) refusesThin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noThin
}

// receiveWhole answers a push with the switch that git's own tests use.
func (s *Server) receiveWhole(w http.ResponseWriter, r *http.Request, body []byte) {
	repository := filepath.Join(s.root, filepath.FromSlash(strings.TrimSuffix(r.URL.Path, "/git-receive-pack")))
	command := exec.Command("git", "receive-pack", "--stateless-rpc", "--reject-thin-pack-for-testing", repository)
	command.Env = isolated()
	command.Stdin = bytes.NewReader(body)
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	command.Stdout = w
	_ = command.Run() // what it has to say of a failure is in its answer
}

func (s *Server) admitted(r *http.Request) bool {
	s.mu.Lock()
	token, admit := s.token, s.admit
	s.mu.Unlock()
	_, password, _ := r.BasicAuth()
	if admit != nil {
		return admit(password)
	}
	return token == "" || subtle.ConstantTimeCompare([]byte(password), []byte(token)) == 1
}

func (s *Server) delay(r *http.Request) {
	s.mu.Lock()
	pause := s.latency.Request
	if first, ok := r.Context().Value(connectionKey{}).(*atomic.Bool); ok && first.Swap(false) {
		pause += s.latency.Connect
	}
	s.mu.Unlock()
	if pause == 0 {
		return
	}
	select {
	case <-time.After(pause):
	case <-r.Context().Done():
	}
}

type connectionKey struct{}

// newConnection gives each connection a flag that is true until its first request.
func newConnection(ctx context.Context, _ net.Conn) context.Context {
	first := new(atomic.Bool)
	first.Store(true)
	return context.WithValue(ctx, connectionKey{}, first)
}

// flushing sends each write at once, as real git servers do. A client that
// stops reading at the report then finds the body still open.
type flushing struct {
	http.ResponseWriter
	written *atomic.Int64
}

func (f *flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	f.written.Add(int64(n))
	if flusher, ok := f.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
	return n, err
}

// isolated is an environment in which no configuration of this machine's user
// reaches git.
func isolated() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=A Person", "GIT_AUTHOR_EMAIL=person@example.com",
		"GIT_COMMITTER_NAME=A Person", "GIT_COMMITTER_EMAIL=person@example.com",
		"LC_ALL=C",
	}
}

// run runs git in dir and returns what it wrote to its standard output, without
// the final newline.
func run(dir string, stdin io.Reader, args ...string) (string, error) {
	command := exec.Command("git", args...)
	command.Dir = dir
	command.Env = isolated()
	command.Stdin = stdin
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("git %s in %s: %w: %s", strings.Join(args, " "), filepath.Base(dir), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}
