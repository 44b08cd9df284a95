package git

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/tallyman-dev/tallyman/gitops"
)

// sshd is OpenSSH's own server in front of git's own shell: it proves that the
// other SSH tests, whose server is of the same library as the client, do not only
// prove that the library agrees with itself.
type sshd struct {
	*testing.T
	binary, config string
	listener       net.Listener
	accepted       atomic.Int64
	running        sync.WaitGroup

	mu        sync.Mutex
	processes map[*exec.Cmd]bool
}

// findSSHD skips the test where there is no sshd, except in CI, where a skip would hide it.
func findSSHD(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is no sshd: install openssh-server")
	} else {
		t.Skip("SKIPPED: there is no sshd; install openssh-server to test against OpenSSH")
	}
	return ""
}

// newSSHDOrigin makes an origin that remotes reach by sshd. A process of it serves
// each connection, as (x)inetd would have it, so no port is chosen before it is
// listened on.
func newSSHDOrigin(t *testing.T) (*origin, *sshd) {
	t.Helper()
	s := &sshd{T: t, binary: findSSHD(t), processes: make(map[*exec.Cmd]bool)}
	o := newOrigin(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := func() (private, public string) {
		return sshKey(t, newKey(t))
	}
	hostPrivate, hostPublic := key()
	private, public := key()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" { // else sshd needs no such directory, and could not use it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	shell := "GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git shell -c \\\"$SSH_ORIGINAL_COMMAND\\\""
	s.config = file("sshd_config", strings.Join([]string{
		"HostKey " + file("host", hostPrivate),
		"AuthorizedKeysFile " + file("authorized_keys", fmt.Sprintf("restrict,command=\"%s\" %s\n", shell, public)),
		"StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PidFile none", "LogLevel ERROR", "",
	}, "\n"))
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	address := s.listener.Addr().String()
	var kind, data string
	if _, err := fmt.Sscan(hostPublic, &kind, &data); err != nil {
		t.Fatal(err)
	}
	hosts := file("known_hosts", fmt.Sprintf("%s %s %s\n", knownhosts.Normalize(address), kind, data))
	clientKey := file("id", private)
	o.via = func(c *Config) {
		c.URL = fmt.Sprintf("ssh://%s@%s%s", me.Username, address, o.repo.Dir)
		c.SSH = SSH{KeyFile: clientKey, KnownHostsFile: hosts}
	}
	s.running.Go(s.accept)
	t.Cleanup(func() {
		if err := s.listener.Close(); err != nil {
			t.Error(err)
		}
		s.drop()
		s.running.Wait()
	})
	return o, s
}

func (s *sshd) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		if err := s.serve(conn.(*net.TCPConn)); err != nil {
			s.Error(err)
		}
	}
}

// serve gives the connection to a process of sshd.
func (s *sshd) serve(conn *net.TCPConn) error {
	defer conn.Close() // the process has its own
	socket, err := conn.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	process := exec.Command(s.binary, "-i", "-e", "-f", s.config)
	process.Stdin, process.Stdout, process.Stderr = socket, socket, s.Output()
	if err := process.Start(); err != nil {
		return err
	}
	s.mu.Lock()
	s.processes[process] = true
	s.mu.Unlock()
	s.running.Go(func() {
		_ = process.Wait() // it ends with its client, or is made to
		s.mu.Lock()
		delete(s.processes, process)
		s.mu.Unlock()
	})
	return nil
}

// drop ends every connection as a server does that is restarted.
func (s *sshd) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for process := range s.processes {
		_ = process.Process.Signal(os.Interrupt) // one that has ended is what is wanted
	}
}

func TestAgainstOpenSSH(t *testing.T) {
	t.Parallel()
	o, server := newSSHDOrigin(t)
	r := o.remote()
	on := o.advertised(r, ReceivePack)
	o.pushBehindHooks(r, &on)
	a := o.advertised(r, UploadPack)
	fetched, err := r.Fetch(t.Context(), FetchRequest{Wants: []Hash{a.Tip}, Depth: 3, Capabilities: a.Capabilities}, Nothing)
	if err != nil {
		t.Fatal(err)
	}
	if commits, err := CommitsOf(fetched); err != nil || len(commits) != 3 || on.Tip != a.Tip {
		t.Errorf("%d commits of %s, %v; want 3 of %s", len(commits), a.Tip, err, on.Tip)
	}
	if n := server.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	drained(r)
	kept := r.(*sshRemote).conn
	if _, _, err := kept.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("it does not answer whether it is there: %v", err)
	}
	server.drop()
	<-kept.gone
	if _, err := o.push(r, on); err != nil {
		t.Error(err)
	}
	if n := server.accepted.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// What is promised of a remote holds with OpenSSH between.
func TestOverOpenSSH(t *testing.T) {
	t.Parallel()
	findSSHD(t)
	for name, test := range map[string]func(*testing.T, *origin){
		"what came since": testAPagerReadsWhatCameSince,
		"a hook's reason": testTheReasonOfAHookIsFound,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := newSSHDOrigin(t)
			test(t, o)
		})
	}
}

func TestOpenSSHRefuses(t *testing.T) {
	t.Parallel()
	o, _ := newSSHDOrigin(t)
	private, public := sshKey(t, newKey(t))
	for name, tt := range map[string]struct {
		change func(*Config)
		code   gitops.Code
		says   string
	}{
		"an unknown key": {func(c *Config) { c.SSH.KeyFile = writeFile(t, private) }, gitops.Unauthorized, "does not accept the SSH key"},
		"no repository":  {func(c *Config) { c.URL += "-none" }, gitops.NotFound, "not appear to be a git repository"},
		"a quoted path":  {func(c *Config) { c.URL += "/it's" }, gitops.NotFound, "not appear to be a git repository"},
		"another server's key": {func(c *Config) {
			known, err := os.ReadFile(c.SSH.KnownHostsFile)
			if err != nil {
				t.Fatal(err)
			}
			c.SSH.KnownHostsFile = writeFile(t, strings.Fields(string(known))[0]+" "+public+"\n")
		}, gitops.Unavailable, "somebody may pose as the server"},
	} {
		if err := looks(o.remote(tt.change)); gitops.CodeOf(err) != tt.code || !strings.Contains(gitops.PublicOf(err), tt.says) {
			t.Errorf("%s: %v, want %s and %q", name, err, tt.code, tt.says)
		}
	}
}
