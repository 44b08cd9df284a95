package git

import (
	"errors"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// drained waits until the answers to earlier pushes are read.
func drained(r Remote) {
	switch r := r.(type) {
	case *httpRemote:
		r.draining.Wait()
	case *sshRemote:
		r.draining.Wait()
	}
}

// go-git leaves the body of every push's answer open. A server that flushes then
// sees a new connection each time.
func TestManyPushesUseOneConnection(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		if err := o.repo.Hook("post-receive", `i=0; while [ $i -lt 50 ]; do echo "deploying step $i" >&2; i=$((i+1)); done`); err != nil {
			t.Fatal(err)
		}
		r := o.remote()
		on := o.advertised(r, ReceivePack)
		const pushes = 10
		for range pushes {
			var err error
			if on.Tip, err = o.push(r, on); err != nil {
				t.Fatal(err)
			}
			drained(r)
		}
		counts := o.server.Counts()
		if counts.Connections != 1 {
			t.Errorf("%d connections for %d pushes, want 1", counts.Connections, pushes)
		}
		if counts.Requests[gitserver.Push] != pushes || counts.Total() != pushes+1 {
			t.Errorf("requests %v, want %d pushes and a look at the refs", counts.Requests, pushes)
		}
		if tip := o.hash("main"); tip != on.Tip {
			t.Errorf("the branch is at %s, want %s", tip, on.Tip)
		}
	})
}

func TestADroppedConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	o := newSSHOrigin(t)
	r := o.remote()
	on := o.advertised(r, ReceivePack)
	for n := range 3 {
		drained(r)
		kept := r.(*sshRemote).conn
		o.ssh.Drop()
		if n > 0 {
			<-kept.gone // else the remote finds out by itself
		}
		var err error
		if on.Tip, err = o.push(r, on); err != nil {
			t.Fatal(err)
		}
	}
	if n := o.server.Counts().Connections; n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
}

// A push from another place than the branch is at moves nothing, and over SSH
// nothing is sent.
func TestAPushFromElsewhereMovesNothing(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		r := o.remote()
		on := o.advertised(r, ReceivePack)
		theirs := o.commit(gitserver.Change{Files: map[string]string{"README.md": "theirs\n"}})
		_, err := o.push(r, on)
		var behind *BehindError
		var no *Refusal
		switch {
		case o.ssh != nil && (!errors.As(err, &behind) || behind.Seen.Tip.String() != theirs):
			t.Errorf("got %v, want to see %s", err, theirs)
		case o.ssh == nil && (!errors.As(err, &no) || no.Kind() != RefusedMoved):
			t.Errorf("got %v, want that the branch has moved", err)
		}
		if !ResultKnown(err) {
			t.Errorf("the result of %v is not known", err)
		}
		if tip := o.git("rev-parse", "main"); tip != theirs {
			t.Errorf("the branch is at %s, want %s", tip, theirs)
		}
	})
}

// Hooks may say a lot before they say why they refuse, and the server is not asked
// for counters.
func TestTheReasonOfAHookIsFound(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) { testTheReasonOfAHookIsFound(t, newOrigin(t)) })
}

func testTheReasonOfAHookIsFound(t *testing.T, o *origin) {
	script := `i=0; while [ $i -lt 200 ]; do printf 'Checking files: %d%% (%d/200)\r' $((i/2)) $i >&2; echo "notice $i" >&2; i=$((i+1)); done; echo "POLICY: frozen" >&2; exit 1`
	if err := o.repo.Hook("pre-receive", script); err != nil {
		t.Fatal(err)
	}
	r := o.remote()
	_, err := o.push(r, o.advertised(r, ReceivePack))
	var no *Refusal
	if !errors.As(err, &no) || no.Kind() != RefusedHook {
		t.Fatalf("got %v, want a hook's refusal", err)
	}
	first := no.Error()
	if len(first) > maxWordsBytes+100 || first[len(first)-len("POLICY: frozen"):] != "POLICY: frozen" {
		t.Errorf("the reason is %q", first)
	}
	_, err = o.push(r, o.advertised(r, ReceivePack))
	if !errors.As(err, &no) || !SameReason(first, no.Error()) {
		t.Errorf("%q is another reason than %q", err, first)
	}
}

func TestTheDefaultBranchIsNamed(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		a, err := o.remote().Refs(t.Context(), UploadPack, "master")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.CanFetch("master"); err == nil || err.Error() != "the repository has no branch master; its default branch is main" {
			t.Errorf("got %v", err)
		}
	})
}
