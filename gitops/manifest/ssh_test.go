package manifest

import (
	"testing"

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
