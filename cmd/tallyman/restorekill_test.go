package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue/archive"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// TestARestoreThatIsKilled kills restores in the place of a store at moments from their
// begin to their end. Each time a server starts with the store that was there, or with
// the one that was restored, and never with less.
func TestARestoreThatIsKilled(t *testing.T) {
	database := postgrestest.Start(t)
	for kind, store := range map[string]func(*site) string{
		"SQLite":     func(s *site) string { return "sqlite://" + s.dir + "/tallyman.db" },
		"PostgreSQL": func(s *site) string { return database.Schema(s.t) },
	} {
		t.Run(kind, func(t *testing.T) {
			f := newTraffic(t, 1)
			f.useStore(store(f.site))
			f.begin()
			f.must(f.send(http.DefaultClient, f.deliveries[0]))
			f.drained()
			f.must(f.down().stop())
			backups := make(map[int]string) // by their deliveries
			for _, n := range []int{3, 4} {
				backups[n] = filepath.Join(f.dir, fmt.Sprint(n))
				out, err := os.Create(backups[n])
				f.must(err)
				_, err = archive.Write(t.Context(), out, archive.Info{MadeAt: time.Now()}, bigStore(n))
				f.must(err)
				f.must(out.Close())
			}

			holds, next := 1, 3 // deliveries
			seen := make(map[bool]int)
			for round, took := 0, time.Duration(0); round < 8; round++ {
				cmd := exec.CommandContext(f.ctx, binary, "restore", "--replace", "--config", f.config(), backups[next])
				began := time.Now()
				f.must(cmd.Start())
				if round > 0 { // the first says how long it takes
					kill := time.AfterFunc(took*time.Duration(round)/6, func() { _ = cmd.Process.Kill() })
					defer kill.Stop()
				}
				err := cmd.Wait()
				if round == 0 {
					f.must(err)
					took = time.Since(began)
				}
				seen[err == nil]++
				now := f.deliveriesKept()
				if now != next && now != holds || err == nil && now != next {
					t.Fatalf("round %d (%v): the store has %d deliveries; it had %d, and was to have %d", round, err, now, holds, next)
				}
				if now == next {
					holds, next = next, 7-next
				}
			}
			t.Logf("ended by itself, or killed: %v", seen)
		})
	}
}

// deliveriesKept is how many deliveries a backup of the store says that it has.
func (s *site) deliveriesKept() (n int) {
	s.t.Helper()
	_, errs, exit := run(s.t, "restore", "--mark-only", "--config", s.config()) // as a start, finishes what is left to do
	if exit != 0 {
		s.t.Fatalf("exit %d: %s", exit, errs)
	}
	cmd := exec.CommandContext(s.t.Context(), binary, "backup", "--config", s.config(), "-")
	out, err := cmd.Output()
	s.must(err)
	r, err := archive.NewReader(strings.NewReader(string(out)))
	s.must(err)
	for e, err := range r.Entries() {
		s.must(err)
		if e.Delivery != nil {
			n++
		}
	}
	return n
}
