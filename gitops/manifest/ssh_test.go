package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestOverSSHAWriteIsOneSession(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server.ResetCounts()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	if c := o.server.Counts(); c.Total() != 1 || c.Requests[gitserver.Push] != 1 || c.Connections != 0 {
		t.Errorf("%v and %d connections, want one push on the connection that was there", c.Requests, c.Connections)
	}
}

// The session shows the branch before anything is sent: a push that would lose
// is not made, and nobody has to look afterwards.
func TestOverSSHALostRaceSendsNothing(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	recorder := &countingRecorder{}
	w := o.writer(func(c *Config) { c.Recorder = recorder })
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.commit(gitserver.Change{Files: map[string]string{"README.md": "theirs\n"}})
	o.server.ResetCounts()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	c := o.server.Counts().Requests
	if c[gitserver.PushRefs] != 1 || c[gitserver.Fetch] != 1 || c[gitserver.Push] != 1 || recorder.outcomes[PushConflict] != 1 {
		t.Errorf("%v sessions, pushes ended as %v; want a look, a fetch, a push, and one conflict", c, recorder.outcomes)
	}
	o.git("update-ref", "refs/heads/other", "main")
	o.git("symbolic-ref", "HEAD", "refs/heads/other")
	o.git("update-ref", "-d", "refs/heads/main")
	if _, err := writeAll(t.Context(), w, o.update("dev", "shop", "main-0000002")); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("the branch is gone: %v, want not_found", err)
	}
}

func TestAConnectionIsMadeAnewOnlyOnce(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	o.server.ResetCounts()
	o.server.Inject(gitserver.Fault{Cut: true, Times: -1})
	u := o.update("dev", "shop", "main-0000002")
	if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable {
		t.Fatalf("got %v, want unavailable", err)
	}
	// The push over the kept connection and a new one, then one look over another.
	if c := o.server.Counts(); c.Requests[gitserver.PushRefs] != 3 || c.Connections != 2 {
		t.Errorf("%v and %d connections, want 3 sessions and 2 connections", c.Requests, c.Connections)
	}
	o.server.Heal()
	o.check(o.write(w, u)...)
}

func TestAnSSHKeyThatIsRefused(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	w := o.writer()
	u := o.update("dev", "shop", "main-0000001")
	o.ssh.RefuseKeys(true)
	if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unauthorized || !strings.Contains(gitops.PublicOf(err), "does not accept the SSH key") {
		t.Errorf("got %v, want unauthorized", err)
	}
	o.ssh.RefuseKeys(false)
	o.check(o.write(w, u)...)
}

func TestAHostKeyIsHeldAgainstTheFile(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	known, err := os.ReadFile(o.ssh.KnownHostsFile)
	if err != nil {
		t.Fatal(err)
	}
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	if err := o.ssh.ReplaceHostKeys(); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ content, says string }{
		{string(known), "somebody may pose as the server"},
		{"", "compare it with what the server's owner publishes, then add it"},
		{"[127.0.0.1]:1 " + strings.SplitN(string(known), " ", 2)[1], "then add it"},
		{"not a line\n", "cannot be read"},
	}
	u := o.update("dev", "shop", "main-0000002")
	for _, tt := range tests {
		if err := os.WriteFile(o.ssh.KnownHostsFile, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		o.ssh.Drop()
		_, err := writeAll(t.Context(), w, u)
		if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), tt.says) {
			t.Errorf("with %q: %v, want unavailable and %q", tt.content, err, tt.says)
		}
	}
	if n := o.server.Counts().Requests[gitserver.Push]; n != 1 {
		t.Errorf("%d pushes, want the first alone", n)
	}
}

func TestAnSSHKeyFileThatHoldsNoKeySendsNothing(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	files := map[string]string{
		"empty": "", "nonsense": "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n", "none": "-",
	}
	for name, content := range files {
		path := filepath.Join(t.TempDir(), name)
		if content != "-" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w := o.writer(func(c *Config) { c.SSH.KeyFile = path })
		err := w.Handshake(t.Context())
		if gitops.CodeOf(err) != gitops.Unauthorized || strings.Contains(gitops.PublicOf(err), path) {
			t.Errorf("%s: %v, want unauthorized", name, err)
		}
	}
	if n := o.server.Counts().Connections; n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestWhatTheServerSaysInsteadOfServing(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	tests := []struct {
		status int
		said   string
		code   gitops.Code
		says   string
	}{
		{1, "ERROR: Repository not found.\n\x1b[31mfatal: no\n", gitops.NotFound, "ERROR: Repository not found."},
		{1, "ERROR: Permission to a/b.git denied to deploy-key", gitops.Forbidden, "denied to deploy-key"},
		{1, "ERROR: The key you are authenticating with has been marked as read only.", gitops.Forbidden, "read only"},
		{1, "remote: internal trouble", gitops.Unavailable, "internal trouble"},
		{1, strings.Repeat("xxx ", 2000), gitops.Unavailable, "xxx xxx"},
		{1, "", gitops.Unavailable, "it does not say why"},
		{200, "Welcome!\n", gitops.Unavailable, "connection to the git server failed"},
		{200, "002dERR the repository is being moved, sorry", gitops.Unavailable, "connection to the git server failed"},
	}
	for _, tt := range tests {
		o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Times: -1, Status: tt.status, Body: tt.said})
		err := o.writer().Handshake(t.Context())
		if gitops.CodeOf(err) != tt.code || !strings.Contains(gitops.PublicOf(err), tt.says) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%.40q: %v, want %s and %q", tt.said, err, tt.code, tt.says)
		}
		o.server.Heal()
	}
	for path, code := range map[string]gitops.Code{"/none.git": gitops.NotFound, "/it's!.git": gitops.NotFound} {
		w := o.writer(func(c *Config) { c.URL = o.ssh.URL + path })
		if err := w.Handshake(t.Context()); gitops.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", path, err, code)
		}
	}
}

func TestAnSSHServerThatDoesNotAnswerIsLeftInTime(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	t.Cleanup(func() { close(released) })
	for _, on := range []gitserver.Operation{gitserver.PushRefs, gitserver.FetchRefs, gitserver.Fetch} {
		o := newSSHOrigin(t)
		w := o.writer(func(c *Config) {
			c.Timeouts.Refs, c.Timeouts.Fetch = 300*time.Millisecond, 300*time.Millisecond
		})
		o.server.Inject(gitserver.Fault{On: on, Times: -1, Wait: released})
		if err := w.Handshake(t.Context()); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "in time") {
			t.Errorf("%s: %v, want unavailable", on, err)
		}
	}
}

// Hooks of earlier pushes may still run while the next ones go out, but never
// more of them than a connection takes sessions.
func TestHooksThatRunOnAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	gate := filepath.Join(t.TempDir(), "gate")
	open := func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(open) // the server waits for its hooks before it closes
	if err := o.repo.Hook("post-receive", `while [ ! -e "`+gate+`" ]; do echo waiting >&2; sleep 0.05; done`); err != nil {
		t.Fatal(err)
	}
	for n := range 8 {
		o.check(o.write(w, o.update("dev", "shop", "main-000000"+string(rune('0'+n))))...)
	}
	next := writeSoon(t.Context(), w, o.update("dev", "cart", "main-0000001"))
	open()
	r := <-next
	if r.err != nil {
		t.Fatal(r.err)
	}
	o.check(r.settled...)
	if n := o.server.Counts().Connections; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
