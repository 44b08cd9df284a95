package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

const podUser = 65532

// pod is a root directory as the image's: it holds the static binary and nothing else, no
// shell, no /tmp, no /dev. The user may write into the store's directory alone.
type pod struct {
	t     *testing.T
	root  string
	files []string // at the beginning, but for the store's
}

func newPod(t *testing.T, s *site, store string) *pod {
	t.Helper()
	p := &pod{t: t, root: t.TempDir()}
	for _, dir := range []string{"usr/bin", "etc/tallyman", "var/lib/tallyman"} {
		s.must(os.MkdirAll(filepath.Join(p.root, dir), 0o755))
	}
	s.must(os.Chown(filepath.Join(p.root, "var/lib/tallyman"), podUser, podUser))
	s.must(os.Link(binary, filepath.Join(p.root, "usr/bin/tallyman")))
	for _, name := range []string{"tallyman.yaml", "token", "secret", "api-token"} {
		text, err := os.ReadFile(filepath.Join(s.dir, name))
		s.must(err)
		text = []byte(strings.ReplaceAll(string(text), s.dir+"/", "/etc/tallyman/"))
		s.must(os.WriteFile(filepath.Join(p.root, "etc/tallyman", name), text, 0o600))
		s.must(os.Chown(filepath.Join(p.root, "etc/tallyman", name), podUser, podUser))
	}
	config := filepath.Join(p.root, "etc/tallyman/tallyman.yaml")
	text, err := os.ReadFile(config)
	s.must(err)
	s.must(os.WriteFile(config, bytes.Replace(text, []byte("store: sqlite:///etc/tallyman/tallyman.db"), []byte("store: "+store), 1), 0o600))
	p.files = p.list()
	return p
}

// command is a process of the pod: serve, or what kubectl exec starts beside it.
func (p *pod) command(args ...string) *exec.Cmd {
	return &exec.Cmd{
		Path: "/usr/bin/tallyman", Args: append([]string{"tallyman"}, args...), Env: []string{}, Dir: "/",
		SysProcAttr: &syscall.SysProcAttr{Chroot: p.root, Credential: &syscall.Credential{Uid: podUser, Gid: podUser}},
	}
}

// list returns the files of the pod, but for those of the store.
func (p *pod) list() (files []string) {
	p.t.Helper()
	err := filepath.WalkDir(p.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasSuffix(path, "/var/lib/tallyman") {
			return fs.SkipDir
		}
		files = append(files, path)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return files
}

// TestAPodIsBackedUpAndRestored pipes a backup out of a pod beside serve, loses the pod
// with its store, and pipes the backup into another one: nothing is lost, and nothing
// written twice.
func TestAPodIsBackedUpAndRestored(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("A POD'S BACKUP IS NOT TESTED: to change the root directory the test must run as root")
	}
	for kind, store := range map[string]func(*testing.T) string{
		"SQLite":     func(*testing.T) string { return "sqlite:///var/lib/tallyman/tallyman.db" },
		"PostgreSQL": func(t *testing.T) string { return postgrestest.Start(t).Schema(t) },
	} {
		t.Run(kind, func(t *testing.T) {
			f := newTraffic(t, 30)
			address := store(t)
			first := newPod(t, f.site, address)
			f.command = first.command
			var backup, errs bytes.Buffer
			f.loseStore(func() {
				cmd := first.command("backup", "--config", "/etc/tallyman/tallyman.yaml", "-")
				cmd.Stdout, cmd.Stderr = &backup, &errs
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v: %s", err, errs.String())
				}
			})

			second := newPod(t, f.site, address)
			f.command = second.command
			restore := second.command("restore", "--replace", "--config", "/etc/tallyman/tallyman.yaml", "-")
			restore.Stdin = &backup
			out, err := restore.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			expect(t, "restore", string(out), "deliveries: 20, updates: 20, ", "marked: ")
			f.goOn()
			for _, p := range []*pod{first, second} {
				if files := p.list(); !slices.Equal(files, p.files) {
					t.Errorf("the pod has %q, and had %q", files, p.files)
				}
			}
		})
	}
}
