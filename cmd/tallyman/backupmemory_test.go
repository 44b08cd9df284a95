package main

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/archive"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// bigStore are deliveries with bodies of 1 MiB, and twenty updates each.
func bigStore(deliveries int) iter.Seq2[queue.Entry, error] {
	at := time.Now()
	return func(yield func(queue.Entry, error) bool) {
		body := make([]byte, 1<<20)
		random := rand.NewChaCha8([32]byte{})
		for n := range deliveries {
			_, _ = random.Read(body) // it has no error, and nothing to compress
			d := gitops.Delivery{Source: "github", ID: fmt.Sprint(n), ReceivedAt: at, Outcome: gitops.OutcomeAccepted, Body: body}
			for app := range 20 {
				u := gitops.Update{Environment: "dev", App: fmt.Sprint("app-", app), Tag: fmt.Sprint(n), State: gitops.Committed, AcceptedAt: at, FinishedAt: at}
				u.ID = gitops.UpdateID(d.Key(), u.Environment, u.App)
				d.Updates = append(d.Updates, u)
			}
			if !yield(queue.Entry{Delivery: &d}, nil) {
				return
			}
		}
		yield(queue.Entry{Lane: &queue.LaneState{Environment: "dev"}}, nil)
	}
}

// TestBackupAndRestoreNeedLittleMemory has a store of 80 MiB restored and backed up. Of the most
// that they may take, the program itself is 35 MiB and SQLite's cache 16 MiB.
func TestBackupAndRestoreNeedLittleMemory(t *testing.T) {
	const most = 110 << 20 // bytes
	s := newSite(t, 1)
	backup := filepath.Join(s.dir, "big.backup")
	out, err := os.Create(backup)
	s.must(err)
	_, err = archive.Write(t.Context(), out, archive.Info{MadeAt: time.Now()}, bigStore(80))
	s.must(err)
	s.must(out.Close())
	for kind, store := range map[string]string{
		"SQLite": "sqlite://" + s.dir + "/tallyman.db", "PostgreSQL": postgrestest.Start(t).Schema(t),
	} {
		s.useStore(store)
		for _, args := range [][]string{{"restore", backup}, {"backup", filepath.Join(s.dir, kind)}} {
			cmd := exec.CommandContext(t.Context(), binary, append(args, "--config", s.config())...)
			used := runMeasured(t, cmd)
			t.Logf("%s with %s: %d MiB", args[0], kind, used>>20)
			if used == 0 || used > most {
				t.Errorf("%s with %s took %d MiB", args[0], kind, used>>20)
			}
		}
	}
}

// runMeasured runs a command to its end and returns its peak of memory, but for that of
// its last milliseconds.
func runMeasured(t *testing.T, cmd *exec.Cmd) (most int64) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			most = max(most, peakOf(cmd.Process.Pid))
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %s", err, &out)
			}
			return most
		}
	}
}
