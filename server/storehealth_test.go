package server

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// startOn is start with a volume whose free bytes the test sets.
func (s *site) startOn(free *atomic.Int64) *running {
	s.t.Helper()
	server, err := s.newServer()
	s.must(err)
	server.volume = func(string) (sqlite.Volume, error) { return sqlite.Volume{Size: 10 << 30, Free: free.Load()}, nil }
	return s.run(server)
}

// waitFor gathers metrics until one of them has the value.
func waitFor(t *testing.T, s *Server, name string, want float64) {
	t.Helper()
	for began := time.Now(); ; {
		got, found := gather(t, s)[name]
		if found && got == want {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%s is %v, want %v", name, got, want)
		}
	}
}

// The volume fills up: first what became no updates is not kept, with its answer as ever,
// then nothing is accepted; each shows in the metrics, and ends by itself.
func TestAVolumeThatFillsUpIsToldAndOutlived(t *testing.T) {
	s := newSite(t)
	var free atomic.Int64
	free.Store(1<<30 - 1)
	r := s.startOn(&free)
	rejected := r.do(r.github(newSecret, "d1", order("nothing", "dev", "main-1a2b3c4")))
	if p := rejected.problem(t, 422); p.Code != gitops.Rejected {
		t.Errorf("answered %s", rejected.body)
	}
	if _, found := r.stored("github", "d1"); found {
		t.Error("what was rejected is kept on a volume that is nearly full")
	}
	if n := gather(t, r.Server)[`tallyman_deliveries_not_kept_total{reason="store_nearly_full",source="github"}`]; n != 1 {
		t.Errorf("%v are counted as not kept", n)
	}
	first := r.do(r.github(newSecret, "d2", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	r.settled(first.Updates[0].ID)

	free.Store(1 << 20)
	answer := r.do(r.github(newSecret, "d3", order("api", "dev", "main-2a2b3c4")))
	if p := answer.problem(t, 503); p.Code != gitops.Unavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s", answer.body)
	}
	r.do(r.github(newSecret, "d2", order("api", "dev", "main-1a2b3c4"))).delivery(t, 200) // it is known
	if answer := r.probe("/readyz"); answer.StatusCode != 503 || !strings.Contains(answer.body, "nearly full") {
		t.Errorf("readyz: %s %s", answer.Status, answer.body)
	}
	waitFor(t, r.Server, "tallyman_store_up", 0)

	free.Store(5 << 30)
	second := r.do(r.github(newSecret, "d3", order("api", "dev", "main-2a2b3c4"))).delivery(t, 202)
	if u := r.settled(second.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("ended as %+v", u)
	}
	waitFor(t, r.Server, "tallyman_store_up", 1)
	if got := gather(t, r.Server); got["tallyman_store_bytes"] < 4096 || got["tallyman_store_wal_bytes"] < 4096 || got["tallyman_store_free_bytes"] < 4<<30 {
		t.Errorf("measured are %v, %v and %v", got["tallyman_store_bytes"], got["tallyman_store_wal_bytes"], got["tallyman_store_free_bytes"])
	}
}

// A store on a file system that machines share is refused by check and at the start.
func TestASharedVolumeDoesNotStart(t *testing.T) {
	s := newSite(t)
	server, err := s.newServer()
	s.must(err)
	server.volume = func(string) (sqlite.Volume, error) { return sqlite.Volume{FileSystem: "nfs", Shared: true}, nil }
	defer func() { s.must(server.Stop(t.Context())) }()
	for what, err := range map[string]error{"check": server.CheckStore(t.Context(), io.Discard), "the start": server.Start(t.Context())} {
		if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), "nfs") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
