package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// largeFile is as large as a file may be by default: it takes a while to parse.
func largeFile() string {
	var b strings.Builder
	b.WriteString("image:\n    tag: main-0000000\nlist:\n")
	for n := range 24_000 {
		fmt.Fprintf(&b, "- {a%d: b}\n", n)
	}
	return b.String()
}

// note is what the store says of a file that is being parsed.
type note struct{ object, holder string }

// killWhileParsing kills a process as soon as the store says that it parses a file. It
// begins before there is a process; the note of the one before does not count.
func (s *site) killWhileParsing(ctx context.Context, started <-chan *child, before note) <-chan note {
	killed := make(chan note, 1)
	go func() {
		defer close(killed)
		c := <-started
		db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "tallyman.db")+"?mode=ro")
		if err != nil {
			s.t.Error(err)
			return
		}
		defer db.Close()
		for ctx.Err() == nil {
			var n note
			if db.QueryRowContext(ctx, `SELECT object, holder FROM parsing WHERE kind = 'file' AND holder <> ?`, before.holder).Scan(&n.object, &n.holder) == nil {
				if err := c.kill(); err != nil {
					s.t.Error(err)
				}
				killed <- n
				return
			}
		}
	}()
	return killed
}

// The program is killed twice in the middle of parsing a file. It starts the third
// time, the file's update fails with the reason, another environment goes on, and a
// person clears it.
func TestAFileThatKillsTheProcessIsSetAside(t *testing.T) {
	s := newSite(t, 2)
	ctx := deadline(t)
	const file = "charts/app-00/values-dev.yaml"
	_, err := s.repository.Commit(gitserver.Change{Message: "A large file", Files: map[string]string{file: largeFile()}})
	s.must(err)
	c, base, _ := s.start(ctx)
	s.commandLine(base)
	started := make(chan *child, 1)
	started <- c
	killed := s.killWhileParsing(ctx, started, note{})
	_, _, _ = run(t, "update", "app-00", "main-1111111", "--env", "dev", "--key", "poison") // it may be killed before it has answered
	first := <-killed
	object := first.object
	again := s.killWhileParsing(ctx, started, first)
	c, err = startChild(binary, "serve", "--config", s.config())
	s.must(err)
	started <- c
	if second := (<-again).object; second != object || object == "" {
		t.Fatalf("%q was parsed, and then %q", object, second)
	}

	c, base, admin := s.start(ctx)
	s.commandLine(base)
	if out, errs, exit := run(t, "update", "app-01", "main-2222222", "--env", "staging", "--wait"); exit != 0 {
		t.Errorf("another environment: exit %d, %s%s", exit, out, errs)
	}
	s.must(c.awaitEnds(ctx, 2))
	out, _, _ := run(t, "explain", "poison", "-o", "json")
	for _, part := range []string{file, object, "tallyman clear " + object} {
		if !strings.Contains(out, part) {
			t.Errorf("explain does not say %q: %s", part, out)
		}
	}
	status, _, _ := run(t, "status")
	expect(t, "status", status, "SET ASIDE", file, object)
	resp, err := http.Get(admin + "/metrics")
	s.must(err)
	metrics, err := io.ReadAll(resp.Body)
	s.must(err)
	s.must(resp.Body.Close())
	if !strings.Contains(string(metrics), `tallyman_files_set_aside{kind="file"} 1`) {
		t.Error("the metrics do not count the file")
	}

	if out, errs, exit := run(t, "clear", object, "--reason", "more memory"); exit != 0 {
		t.Fatalf("clear: exit %d, %s%s", exit, out, errs)
	}
	if _, errs, exit := run(t, "clear", object); exit == 0 {
		t.Errorf("cleared twice: %s", errs)
	}
	if out, errs, exit := run(t, "retry", s.updateOf("poison"), "--wait"); exit != 0 {
		t.Errorf("retry: exit %d, %s%s", exit, out, errs)
	}
	audit, _, _ := run(t, "audit", "--act", "clear", "-o", "json")
	expect(t, "audit", audit, object, "more memory", "token:ci")
	s.must(c.stop())
}

// updateOf is the id of the update of a delivery by its key.
func (s *site) updateOf(key string) string {
	s.t.Helper()
	out, errs, exit := run(s.t, "updates", "-o", "json")
	var list struct{ Updates []gitops.Update }
	if err := json.Unmarshal([]byte(out), &list); err != nil || exit != 0 {
		s.t.Fatal(err, errs)
	}
	for _, u := range list.Updates {
		if strings.HasSuffix(u.Delivery.ID, key) {
			return u.ID
		}
	}
	s.t.Fatalf("no update of %s", key)
	return ""
}
