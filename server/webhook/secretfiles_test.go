package webhook_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// secretDir is a directory of secrets' files.
type secretDir struct {
	t   *testing.T
	dir string
	log logtest.Log
}

func (d *secretDir) write(name, content string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

func (d *secretDir) open(files ...string) (*webhook.SecretFiles, error) {
	check := func(secret []byte) error {
		if bytes.HasPrefix(secret, []byte("bad")) {
			return gitops.Errorf(gitops.Invalid, "holds a bad secret")
		}
		return nil
	}
	return webhook.ReadSecretFiles("sources.x.secretFiles", files, check, slog.New(slog.NewTextHandler(&d.log, nil)))
}

func texts(secrets [][]byte) (out []string) {
	for _, s := range secrets {
		out = append(out, string(s))
	}
	return out
}

// A line break that an editor left is no part of a secret; a space is.
func TestSecretFiles(t *testing.T) {
	d := &secretDir{t: t, dir: t.TempDir()}
	s, err := d.open(d.write("a", "one"), d.write("b", " two \r\n\n"), d.write("c", "thr\nee\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", " two ", "thr\nee"}, texts(s.Current())); diff != "" {
		t.Error(diff)
	}
	good := d.write("d", "four")
	for name, files := range map[string][]string{
		"sources.x.secretFiles":    nil,
		"sources.x.secretFiles[0]": {d.write("empty", "\r\n\n")},
		"sources.x.secretFiles[1]": {good, d.dir},
		"sources.x.secretFiles[2]": {good, good, filepath.Join(d.dir, "missing")},
		"sources.x.secretFiles[3]": {good, good, good, d.write("bad", "bad s3cret")},
	} {
		_, err := d.open(files...)
		var e *gitops.Error
		if !errors.As(err, &e) || e.Field != name || e.Code != gitops.Invalid || strings.Contains(err.Error(), "four") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However a file is replaced, its secret counts at once.
func TestSecretFilesAreReadAgain(t *testing.T) {
	d := &secretDir{t: t, dir: t.TempDir()}
	path := d.write("a", "s3cret-1\n")
	other := d.write("b", "s3cret-b")
	s, err := d.open(path, other)
	if err != nil {
		t.Fatal(err)
	}
	holds := func(want string) {
		t.Helper()
		if diff := cmp.Diff([]string{want, "s3cret-b"}, texts(s.Current())); diff != "" {
			t.Error(diff)
		}
	}
	holds("s3cret-1")
	d.write("a", "s3cret-2\n") // of the same length, within the same moment
	holds("s3cret-2")
	if err := os.Rename(d.write("next", "s3cret-3"), path); err != nil {
		t.Fatal(err)
	}
	holds("s3cret-3")
	// As Kubernetes does it: the name is a link, and the link is replaced.
	if err := os.Symlink(d.write("v4", "s3cret-4"), filepath.Join(d.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(d.dir, "link"), path); err != nil {
		t.Fatal(err)
	}
	holds("s3cret-4")
	// A file that has not changed for a while is not read, only looked at.
	long := time.Now().Add(-time.Hour)
	for _, f := range []string{path, other} {
		if err := os.Chtimes(f, long, long); err != nil {
			t.Fatal(err)
		}
	}
	holds("s3cret-4")
	if n := testing.AllocsPerRun(50, func() { s.Current() }); n > 8 {
		t.Errorf("looking costs %v allocations", n)
	}
	if lines := d.log.Lines("s3cret"); len(lines) > 0 {
		t.Errorf("logged %q", lines)
	}
}

// A file that is gone, empty or wrong for a moment takes nobody's secret away.
func TestSecretFilesKeepWhatWasGood(t *testing.T) {
	d := &secretDir{t: t, dir: t.TempDir()}
	path := d.write("a", "s3cret-1")
	s, err := d.open(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(){
		"empty": func() { d.write("a", "\n") },
		"wrong": func() { d.write("a", "bad s3cret") },
		"gone": func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		spoil()
		for range 3 {
			if diff := cmp.Diff([]string{"s3cret-1"}, texts(s.Current())); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
	if len(d.log.Lines("using the previous secret")) != 3 || len(d.log.Lines("s3cret")) > 0 {
		t.Errorf("logged %q", d.log.Lines())
	}
	d.write("a", "s3cret-2")
	if diff := cmp.Diff([]string{"s3cret-2"}, texts(s.Current())); diff != "" {
		t.Error(diff)
	}
}

// Replaced under load no reader ever sees a secret that was in no file.
func TestSecretFilesUnderLoad(t *testing.T) {
	d := &secretDir{t: t, dir: t.TempDir()}
	path := d.write("a", "s3cret-00")
	s, err := d.open(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := ""
			for {
				got := string(s.Current()[0])
				if len(got) != len("s3cret-00") || got < last {
					t.Errorf("after %q comes %q", last, got)
				}
				last = got
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 50 {
		if err := os.Rename(d.write("next", fmt.Sprintf("s3cret-%02d", i)), path); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}
