package git

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// sshKey returns the private key in OpenSSH's format, and the public one as a line
// of authorized_keys.
func sshKey(t *testing.T, key crypto.Signer) (private, public string) {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAConnectionIsReplacedOnlyOnce(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	r := o.remote()
	if err := looks(r); err != nil {
		t.Fatal(err)
	}
	drained(r) // a session is counted when it ends
	o.server.ResetCounts()
	o.server.Inject(gitserver.Fault{Cut: true, Times: -1})
	if err := looks(r); gitops.CodeOf(err) != gitops.Unavailable {
		t.Fatalf("got %v, want unavailable", err)
	}
	if c := o.server.Counts(); c.Requests[gitserver.PushRefs] != 2 || c.Connections != 1 {
		t.Errorf("%v and %d new connections, want 2 sessions and 1", c.Requests, c.Connections)
	}
	o.server.Heal()
	if err := looks(r); err != nil {
		t.Error(err)
	}
}

func TestAnSSHKeyThatIsRefused(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	r := o.remote()
	o.ssh.RefuseKeys(true)
	if err := looks(r); gitops.CodeOf(err) != gitops.Unauthorized || !strings.Contains(gitops.PublicOf(err), "does not accept the SSH key") {
		t.Errorf("got %v, want unauthorized", err)
	}
	o.ssh.RefuseKeys(false)
	if err := looks(r); err != nil {
		t.Error(err)
	}
}

func TestAHostKeyIsHeldAgainstTheFile(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	known, err := os.ReadFile(o.ssh.KnownHostsFile)
	if err != nil {
		t.Fatal(err)
	}
	r := o.remote()
	on := o.advertised(r, ReceivePack)
	if err := o.ssh.ReplaceHostKeys(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ content, says string }{
		{string(known), "somebody may pose as the server"},
		{"", "compare it with what the server's owner publishes, then add it"},
		{"[127.0.0.1]:1 " + strings.SplitN(string(known), " ", 2)[1], "then add it"},
		{"not a line\n", "cannot be read"},
	} {
		if err := os.WriteFile(o.ssh.KnownHostsFile, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		o.ssh.Drop()
		_, err := o.push(r, on)
		public := PublicError(err)
		if gitops.CodeOf(public) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(public), tt.says) || !ResultKnown(err) {
			t.Errorf("with %q: %v, want unavailable and %q", tt.content, err, tt.says)
		}
	}
	if n := o.server.Counts().Requests[gitserver.Push]; n != 0 {
		t.Errorf("%d pushes were sent", n)
	}
}

func TestAnSSHKeyFileThatHoldsNoKeySendsNothing(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(newKey(t), "", []byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		writeFile(t, ""), writeFile(t, "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n"),
		writeFile(t, string(pem.EncodeToMemory(locked))), filepath.Join(t.TempDir(), "none"),
	} {
		err := looks(o.remote(func(c *Config) { c.SSH.KeyFile = path }))
		if gitops.CodeOf(err) != gitops.Unauthorized || strings.Contains(gitops.PublicOf(err), path) {
			t.Errorf("%v, want unauthorized", err)
		}
	}
	if n := o.server.Counts().Connections; n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestWhatTheServerSaysInsteadOfServing(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	for _, tt := range []struct {
		status int
		said   string
		code   gitops.Code
		says   string
	}{
		{1, "ERROR: Repository not found.\n\x1b[31mfatal: no\n", gitops.NotFound, "ERROR: Repository not found."},
		{1, "ERROR: Permission to a/b.git denied to deploy-key", gitops.Forbidden, "denied to deploy-key"},
		{1, "ERROR: The key you are authenticating with has been marked as read only.", gitops.Forbidden, "read only"},
		{1, "remote: internal trouble", gitops.Unavailable, "internal trouble"},
		{1, strings.Repeat("A banner.\n", 1000) + "internal trouble\n", gitops.Unavailable, "internal trouble"},
		{1, "", gitops.Unavailable, "it does not say why"},
		{200, "Welcome!\n", gitops.Unavailable, "connection to the git server failed"},
		{200, "002dERR the repository is being moved, sorry", gitops.Unavailable, "connection to the git server failed"},
	} {
		o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Times: -1, Status: tt.status, Body: tt.said})
		err := looks(o.remote())
		if gitops.CodeOf(err) != tt.code || !strings.Contains(gitops.PublicOf(err), tt.says) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%.40q: %v, want %s and %q", tt.said, err, tt.code, tt.says)
		}
		o.server.Heal()
	}
	for _, path := range []string{"/none.git", "/it's!.git"} {
		if err := looks(o.remote(func(c *Config) { c.URL = o.ssh.URL + path })); gitops.CodeOf(err) != gitops.NotFound {
			t.Errorf("%s: %v, want not_found", path, err)
		}
	}
}

func TestAServerThatDoesNotAnswerIsLeftInTime(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		released := make(chan struct{})
		t.Cleanup(func() { close(released) })
		a := o.advertised(o.remote(), UploadPack)
		o.server.Inject(gitserver.Fault{Times: -1, Wait: released})
		r := o.remote(func(c *Config) {
			c.Timeouts.Refs, c.Timeouts.Fetch = 300*time.Millisecond, 300*time.Millisecond
		})
		_, refsErr := r.Refs(t.Context(), UploadPack, "main")
		_, fetchErr := r.Fetch(t.Context(), FetchRequest{Wants: []Hash{a.Tip}, Depth: 1, Capabilities: a.Capabilities}, Nothing)
		for _, err := range []error{refsErr, fetchErr} {
			if err := PublicError(err); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "in time") {
				t.Errorf("%v, want unavailable", err)
			}
		}
	})
}

// Hooks of earlier pushes may still run while the next ones go out, but never
// more of them than a connection takes sessions.
func TestHooksThatRunOnAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	r := o.remote()
	on := o.advertised(r, ReceivePack)
	o.pushBehindHooks(r, &on)
	if n := o.server.Counts().Connections; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// pushBehindHooks makes as many pushes as there may be hooks that run on, and one
// more while those end.
func (o *origin) pushBehindHooks(r Remote, on *Advertisement) {
	o.Helper()
	gate := filepath.Join(o.TempDir(), "gate")
	if err := o.repo.Hook("post-receive", `while [ ! -e "`+gate+`" ]; do echo waiting >&2; sleep 0.05; done`); err != nil {
		o.Fatal(err)
	}
	var err error
	for range maxSessions {
		if on.Tip, err = o.push(r, *on); err != nil {
			o.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		var err error
		on.Tip, err = o.push(r, *on)
		done <- err
	}()
	if err := errors.Join(os.WriteFile(gate, nil, 0o600), <-done); err != nil {
		o.Fatal(err)
	}
}
