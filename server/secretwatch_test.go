package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// A secret of any kind that is replaced is told of once, by its field. What is gone,
// empty or written again as it was is not replaced.
func TestReplacedSecretsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write := func(name, secret string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		files := []secretFile{{"api.tokens[0].file", write("token", "s3cret-1")}, {"manifests.credentials.tokenFile", write("git", "s3cret-2\n")}, {"storePasswordFile", filepath.Join(dir, "later")}}
		var log strings.Builder
		var told []string
		w := newSecretWatch(func() []secretFile { return files }, slog.New(slog.NewTextHandler(&log, nil)), func(field string) { told = append(told, field) })
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.run(ctx) })
		expect := func(what string, want ...string) {
			t.Helper()
			time.Sleep(2 * lookAtSecrets)
			synctest.Wait()
			if !slices.Equal(told, want) {
				t.Errorf("%s: told of %q, want %q", what, told, want)
			}
			told = nil
		}
		expect("nothing")
		write("token", "s3cret-3")
		expect("another token", "api.tokens[0].file")
		write("token", "s3cret-3\n")
		expect("a line break")
		write("token", "")
		expect("empty")
		write("token", "s3cret-3")
		expect("as it was")
		write("git", "s3cret-4\n")
		write("later", "s3cret-5")
		expect("two", "manifests.credentials.tokenFile", "storePasswordFile")
		if err := os.Remove(filepath.Join(dir, "token")); err != nil {
			t.Fatal(err)
		}
		expect("gone")
		write("token", "s3cret-6")
		stop()
		running.Wait()
		if !slices.Equal(told, []string{"api.tokens[0].file"}) {
			t.Errorf("at the end: told of %q", told)
		}
		if strings.Contains(log.String(), "s3cret") || strings.Count(log.String(), "secret replaced") != 4 {
			t.Errorf("logged %s", log.String())
		}
	})
}

// Each secret that the configuration names has its line in the audit when it is replaced
// under a running program, with the field and never the secret.
func TestEveryReplacedSecretIsInTheAudit(t *testing.T) {
	s := newSite(t)
	r := s.start()
	var want []string
	for _, f := range namedSecrets(s.config()) {
		s.must(os.WriteFile(f.path, []byte("an0ther-s3cret-of-"+filepath.Base(f.path)), 0o600))
		want = append(want, f.field+" was replaced")
	}
	said.Forbid("an0ther-s3cret-of-")
	r.stop() // which looks once more, and writes what it saw
	store, err := sqlite.Open(t.Context(), filepath.Join(s.dir, "tallyman.db"), sqlite.Options{})
	s.must(err)
	defer store.Close()
	found, _, err := store.AuditEntries(t.Context(), queue.AuditFilter{Act: gitops.ActSecret}, queue.Page{Limit: 100})
	s.must(err)
	var got []string
	for _, e := range found {
		got = append(got, e.Reason)
		if e.Config == "" || strings.Contains(e.Reason+e.Before+e.After, "s3cret") {
			t.Errorf("%+v", e)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(want) < 5 {
		t.Errorf("the audit has %q, want %q", got, want)
	}
}
