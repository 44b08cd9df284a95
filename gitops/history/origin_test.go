package history

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
)

// origin is a real git server with one repository.
type origin struct {
	*testing.T
	server *gitserver.Server
	ssh    *gitserver.SSH // nil over HTTP
	repo   *gitserver.Repository
	first  string // its first commit
	ids    int    // of updates that were written
}

// origins makes origins that are reached in one way.
type origins func(*testing.T) *origin

const shop = "charts/shop/values-dev.yaml"

func newOrigin(t *testing.T) *origin {
	t.Helper()
	server, repo := gittest.Start(t, "myshop/manifests.git")
	o := &origin{T: t, server: server, repo: repo}
	o.first = o.commit(gitserver.Change{Message: "Everything", Files: map[string]string{
		shop: valuesFile("none"), "charts/cart/values-dev.yaml": valuesFile("none"), "README.md": "Manifests\n",
	}})
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

// overEach runs a test over HTTP and over SSH.
func overEach(t *testing.T, test func(*testing.T, origins)) {
	t.Parallel()
	t.Run("http", func(t *testing.T) { t.Parallel(); test(t, newOrigin) })
	t.Run("ssh", func(t *testing.T) { t.Parallel(); test(t, newSSHOrigin) })
}

// overEachServer runs a test against servers of each kind: those that send parts
// of a commit and single files, and those that do not.
func overEachServer(t *testing.T, test func(*testing.T, origins)) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		for _, settings := range [][2]string{{"true", "true"}, {"true", "false"}, {"false", "true"}, {"false", "false"}} {
			t.Run(fmt.Sprintf("filter %s, files %s", settings[0], settings[1]), func(t *testing.T) {
				test(t, newOrigin.sends(settings[0], settings[1]))
			})
		}
	})
}

// sends makes origins that allow filters, and single files, or do not.
func (newOrigin origins) sends(filters, files string) origins {
	return func(t *testing.T) *origin {
		o := newOrigin(t)
		o.git("config", "uploadpack.allowFilter", filters)
		o.git("config", "uploadpack.allowAnySHA1InWant", files)
		return o
	}
}

func (o *origin) reader(through ...func(git.Remote) git.Remote) *Reader {
	o.Helper()
	c := git.Config{URL: o.repo.URL}
	if o.ssh != nil {
		c.URL = o.ssh.URL + strings.TrimPrefix(o.repo.URL, o.server.URL)
		c.SSH = git.SSH{KeyFile: o.ssh.KeyFile, KnownHostsFile: o.ssh.KnownHostsFile}
	}
	remote, err := git.NewRemote(c)
	if err != nil {
		o.Fatal(err)
	}
	for _, wrap := range through {
		remote = wrap(remote)
	}
	r := New(remote, "main", prover, Limits{Memory: func() int64 { return 48 << 20 }})
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

// write commits a file as tallyman does, for so many updates.
func (o *origin) write(file, tag string, updates int) {
	o.Helper()
	message := "chore: bump\n\n"
	for range updates {
		o.ids++
		message += gitops.Update{
			ID: fmt.Sprintf("up-%04d", o.ids), Delivery: gitops.DeliveryKey{Source: "github", ID: fmt.Sprintf("guid-%04d", o.ids)},
			Actor: "octocat", Environment: "dev", App: "shop", AcceptedAt: time.Unix(1_700_000_000, 0),
		}.Trailers()
	}
	o.commit(gitserver.Change{Message: message, Files: map[string]string{file: valuesFile(tag)}})
}

// bury puts n commits on top of the branch.
func (o *origin) bury(n int) {
	o.Helper()
	var b strings.Builder
	for i := range n {
		message := fmt.Sprintf("A person's change %d", i)
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter A Person <person@example.com> %d +0000\ndata %d\n%s\n", time.Now().Unix(), len(message), message)
		if i == 0 {
			fmt.Fprintf(&b, "from refs/heads/main^0\n")
		}
		content := fmt.Sprintf("%d\n", i)
		fmt.Fprintf(&b, "M 100644 inline README.md\ndata %d\n%s\n", len(content), content)
	}
	if err := o.repo.Import(strings.NewReader(b.String())); err != nil {
		o.Fatal(err)
	}
}

func (o *origin) git(args ...string) string {
	o.Helper()
	return gittest.Git(o, o.repo, args...)
}

func (o *origin) file(r *Reader, q Query) History {
	o.Helper()
	if q.Read == nil {
		q.Read = readTag
	}
	if q.Path == "" {
		q.Path = shop
	}
	h, err := r.File(o.Context(), q)
	if err != nil {
		o.Fatalf("reading the history: %v", err)
	}
	return h
}

func valuesFile(tag string) string {
	return fmt.Sprintf("# An app\nimage:\n  tag: %q # by the bot\nreplicas: 2\n", tag)
}

// readTag reads what valuesFile writes.
func readTag(_ context.Context, _ string, file []byte) (string, error) {
	_, rest, ok := bytes.Cut(file, []byte(`tag: "`))
	tag, _, closed := bytes.Cut(rest, []byte(`"`))
	if !ok || !closed {
		return "", gitops.Errorf(gitops.NotFound, "the key .image.tag is not in the file")
	}
	return string(tag), nil
}

// brief is a version in one line: what, by whom, and for which updates.
func brief(versions []Version) (lines []string) {
	for _, v := range versions {
		line := v.Value
		if v.Missing {
			line = "missing"
		}
		if v.Err != nil {
			line = gitops.PublicOf(v.Err)
		}
		line += " by " + v.Author.Name
		for _, u := range v.Updates {
			line += fmt.Sprintf(", %s %s %s", u.Update, u.Delivery, u.Actor)
		}
		lines = append(lines, line)
	}
	return lines
}
