package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// lineSignal is a log that waits for a line.
type lineSignal struct {
	has  []byte
	seen chan string
}

func (l lineSignal) Write(line []byte) (int, error) {
	if bytes.Contains(line, l.has) {
		l.seen <- string(line)
	}
	return len(line), nil
}

// A server prunes what its store has from long ago: of what was ignored, that is a week.
func TestServerPrunes(t *testing.T) {
	s := newSite(t)
	path := filepath.Join(s.dir, "tallyman.db")
	ago := func(d time.Duration) sqlite.Options {
		return sqlite.Options{Now: func() time.Time { return time.Now().Add(-d) }}
	}
	for name, age := range map[string]time.Duration{"old": 169 * time.Hour, "young": 167 * time.Hour} {
		store, err := sqlite.Open(t.Context(), path, ago(age))
		s.must(err)
		for i := range 2 {
			_, _, err := store.Accept(t.Context(), gitops.Delivery{Source: "github", ID: fmt.Sprintf("%s-%d", name, i), ReceivedAt: time.Now().Add(-age), Outcome: gitops.OutcomeIgnored, Reason: "a ping"})
			s.must(err)
		}
		s.must(store.Close())
	}
	log := lineSignal{has: []byte("old deliveries pruned"), seen: make(chan string, 1)}
	server, err := New(s.config(), Version{}, slog.New(slog.NewJSONHandler(log, nil)))
	s.must(err)
	s.must(server.Start(t.Context()))
	if line := <-log.seen; !bytes.Contains([]byte(line), []byte(`"deliveries":2`)) {
		t.Errorf("the log says %s", line)
	}
	s.must(server.Stop(context.WithoutCancel(t.Context())))
	nothingRuns(t)
}
