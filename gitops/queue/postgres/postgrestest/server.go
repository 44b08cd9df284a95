//go:build unix

// Package postgrestest runs a PostgreSQL server of a test's own, from the
// binaries that are installed: real, durable, on the loopback interface, and gone
// when the test ends. It can be stopped, killed and started again, as servers are.
package postgrestest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// User is the server's superuser. It needs no password.
const User = "tallyman"

// Server is one server and its data. Its methods are for one goroutine at a
// time, but for Schema and URL.
type Server struct {
	dir      string
	bin      string
	port     int
	settings []string
	as       *syscall.Credential // whom it runs as; nil is whoever runs the test
	process  *exec.Cmd           // nil while it is stopped
	schemas  atomic.Int64
}

// Start makes a server, and removes it when the test ends. Where PostgreSQL is
// not installed the test is skipped, and fails in CI.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s, err := New(settings...)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
		tb.Skipf("POSTGRESQL IS NOT TESTED: %v; `make test-deps` installs it", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// New makes a server with the settings, such as "fsync=off", and starts it. Its
// error wraps [exec.ErrNotFound] when PostgreSQL is not installed.
func New(settings ...string) (_ *Server, err error) {
	s := &Server{settings: settings}
	if s.bin, err = findBinaries(); err != nil {
		return nil, err
	}
	if s.as, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "tallyman-postgres-"); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// findBinaries looks where distributions put them.
func findBinaries() (string, error) {
	places := filepath.SplitList(os.Getenv("PATH"))
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for i := range packaged {
		places = append(places, packaged[len(packaged)-1-i])
	}
	places = append(places, "/usr/local/pgsql/bin", "/usr/local/bin")
	for _, place := range places {
		if _, err := os.Stat(filepath.Join(place, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(place, "postgres")); err == nil {
			return place, nil
		}
	}
	return "", fmt.Errorf("initdb and postgres: %w", exec.ErrNotFound)
}

// unprivileged is whom the server runs as: it refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// begin makes the data and starts the server.
func (s *Server) begin() error {
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return err
		}
	}
	// The databases sort as people do, with small letters beside capitals: what a
	// statement orders by a name has to say so where the order counts.
	initdb := s.command("initdb", "--pgdata", s.data(), "--username", User, "--auth", "trust", "--encoding", "UTF8", "--locale", "C",
		"--locale-provider", "icu", "--icu-locale", "en-US", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	// The port that the kernel gives is free until somebody else is given it; there
	// is no way to hand the listener on.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return err
	}
	return s.Start()
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	return cmd
}

// Start starts the server after Stop, with the port and the data it had, and
// returns when it takes connections.
func (s *Server) Start() error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.dir}
	for _, setting := range append([]string{"listen_addresses=127.0.0.1", "max_connections=200", "shared_buffers=64MB", "log_min_messages=log"}, s.settings...) {
		args = append(args, "-c", setting)
	}
	cmd := s.command("postgres", args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	go func() {
		// The kernel ends the server with the thread that started it, so the thread
		// is kept: a test that dies leaves no server behind.
		runtime.LockOSThread()
		started <- cmd.Start()
		select {}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process = cmd
	var said []string
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), "database system is ready to accept connections") {
			go func() { _, _ = io.Copy(io.Discard, stderr) }() // it must never wait for a reader
			return nil
		}
	}
	return fmt.Errorf("the server did not start: %s", strings.Join(said, "\n"))
}

// How the server may be stopped.
const (
	Fast      = syscall.SIGINT  // sessions are cut off, everything is written: as for an upgrade
	Immediate = syscall.SIGQUIT // sessions are cut off, and what was committed is recovered at the next start: as power loss, but for the disk
)

// Stop stops the server and returns when it is gone.
func (s *Server) Stop(how syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(how); err != nil {
		return err
	}
	err := s.process.Wait()
	s.process = nil
	var exit *exec.ExitError
	if errors.As(err, &exit) && how == Immediate {
		return nil // it does not end with 0 then
	}
	return err
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	return errors.Join(s.Stop(Immediate), os.RemoveAll(s.dir))
}

// URL is the address of the database, with a schema first in the search path
// unless it is empty.
func (s *Server) URL(schema string) string {
	u := url.URL{Scheme: "postgres", User: url.User(User), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/postgres"}
	if schema != "" {
		u.RawQuery = url.Values{"search_path": {schema}}.Encode()
	}
	return u.String()
}

// Schema makes an empty schema, as good as a database of its own, and returns its
// address.
func (s *Server) Schema(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", s.schemas.Add(1))
	s.Exec(tb, "CREATE SCHEMA "+name)
	return s.URL(name)
}

// RequirePassword has the server ask the user for a password from now on.
func (s *Server) RequirePassword(tb testing.TB, user string) {
	tb.Helper()
	path := filepath.Join(s.data(), "pg_hba.conf")
	rules, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append([]byte("host all "+user+" 127.0.0.1/32 scram-sha-256\n"), rules...), 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
	s.Exec(tb, "SELECT pg_reload_conf()")
}

// Exec runs statements as the superuser.
func (s *Server) Exec(tb testing.TB, text string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(""))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, text, pgx.QueryExecModeSimpleProtocol); err != nil {
		tb.Fatal(err)
	}
}
