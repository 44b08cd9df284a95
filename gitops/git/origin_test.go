package git

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
)

// origin is a real git server with one repository.
type origin struct {
	*testing.T
	server *gitserver.Server
	ssh    *gitserver.SSH // nil over HTTP
	repo   *gitserver.Repository
	via    func(*Config) // how remotes reach another server of the same repository; nil for none
	pushed int
}

// origins makes origins that are reached in one way.
type origins func(*testing.T) *origin

func newOrigin(t *testing.T) *origin {
	t.Helper()
	server, repo := gittest.Start(t, "myshop/manifests.git")
	o := &origin{T: t, server: server, repo: repo}
	o.commit(gitserver.Change{Files: map[string]string{"README.md": "Manifests\n", "charts/shop/values.yaml": file(1, "none"), "charts/cart/values.yaml": file(2, "none")}})
	return o
}

func newSSHOrigin(t *testing.T) *origin {
	t.Helper()
	o := newOrigin(t)
	var err error
	if o.ssh, err = o.server.ServeSSH(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return o
}

// overEach runs a test over HTTP and over SSH: what is promised of the one is
// promised of the other.
func overEach(t *testing.T, test func(*testing.T, origins)) {
	t.Parallel()
	t.Run("http", func(t *testing.T) { t.Parallel(); test(t, newOrigin) })
	t.Run("ssh", func(t *testing.T) { t.Parallel(); test(t, newSSHOrigin) })
}

func (o *origin) remote(changes ...func(*Config)) Remote {
	o.Helper()
	c := Config{URL: o.repo.URL}
	if o.ssh != nil {
		c.URL = o.ssh.URL + strings.TrimPrefix(o.repo.URL, o.server.URL)
		c.SSH = SSH{KeyFile: o.ssh.KeyFile, KnownHostsFile: o.ssh.KnownHostsFile}
	}
	if o.via != nil {
		o.via(&c)
	}
	for _, change := range changes {
		change(&c)
	}
	r, err := NewRemote(c)
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(r.Close)
	return r
}

func (o *origin) commit(c gitserver.Change) string {
	o.Helper()
	commit, err := o.repo.Commit(c)
	if err != nil {
		o.Fatal(err)
	}
	return commit
}

func (o *origin) git(args ...string) string {
	o.Helper()
	return gittest.Git(o, o.repo, args...)
}

func (o *origin) hash(revision string) Hash {
	o.Helper()
	h, ok := ParseHash(o.git("rev-parse", revision))
	if !ok {
		o.Fatalf("%s is no hash", revision)
	}
	return h
}

// advertised asks what a service has.
func (o *origin) advertised(r Remote, service string) Advertisement {
	o.Helper()
	a, err := r.Refs(o.Context(), service, "main")
	if err != nil {
		o.Fatal(err)
	}
	return a
}

// push pushes a commit that changes nothing on top of the branch as the server
// advertised it, and returns it.
func (o *origin) push(r Remote, on Advertisement) (Hash, error) {
	o.Helper()
	o.pushed++
	commit := fmt.Sprintf("tree %s\nparent %s\nauthor A <a@b> %d +0000\ncommitter A <a@b> %[3]d +0000\n\nPush %d\n",
		o.hash(on.Tip.String()+"^{tree}"), on.Tip, time.Now().Unix(), o.pushed)
	draft := NewDraft()
	name := draft.Put(Object{KindCommit, []byte(commit)}, Base{})
	var w PackWriter
	pack, err := w.Write(draft, true)
	if err != nil {
		o.Fatal(err)
	}
	return name, r.Push(o.Context(), PushRequest{Branch: "main", Old: on.Tip, New: name, Pack: pack, Capabilities: on.Capabilities})
}

// bury puts n commits on top of the branch that change a file, a minute apart from
// the time, with every tenth a merge of a side branch.
func (o *origin) bury(n int, from time.Time) {
	o.Helper()
	var b strings.Builder
	for i := range n {
		message, at := fmt.Sprintf("Change %d", i), from.Add(time.Duration(i)*time.Minute).Unix()
		content := file(i, "buried")
		if i%10 == 9 {
			fmt.Fprintf(&b, "commit refs/heads/side\ncommitter A Person <person@example.com> %d +0000\ndata %d\n%s\n", at, len(message), message)
			fmt.Fprintf(&b, "from refs/heads/main^0\nM 100644 inline side.txt\ndata %d\n%s\n", len(content), content)
		}
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter A Person <person@example.com> %d +0000\ndata %d\n%s\n", at, len(message), message)
		if i == 0 {
			fmt.Fprintf(&b, "from refs/heads/main^0\n")
		}
		if i%10 == 9 {
			fmt.Fprintf(&b, "merge refs/heads/side\n")
		}
		fmt.Fprintf(&b, "M 100644 inline charts/cart/values.yaml\ndata %d\n%s\n", len(content), content)
	}
	if err := o.repo.Import(strings.NewReader(b.String())); err != nil {
		o.Fatal(err)
	}
}
