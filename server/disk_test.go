//go:build unix

package server

import (
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// While the store's file cannot grow, whoever asks for more is told to come
// again; when it can, the same delivery is taken, without a restart.
func TestAFullDiskIsToldAndOutlived(t *testing.T) {
	s := newSite(t)
	r := s.start()
	first := r.do(r.github(newSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	r.settled(first.Updates[0].ID)

	large := strings.Replace(order("api", "dev", "main-2a2b3c4"), `"action"`, `"padding": "`+strings.Repeat("x", 950<<10)+`", "action"`, 1)
	grow := noFileGrows(t, 800<<10) // which the log that go test keeps stays below
	answer := r.do(r.github(newSecret, "d2", large))
	if p := answer.problem(t, 503); p.Code != gitops.Unavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("answered %s", answer.body)
	}
	if _, found := r.stored("github", "d2"); found {
		t.Error("what was answered 503 is stored")
	}
	grow()
	second := r.do(r.github(newSecret, "d2", large)).delivery(t, 202)
	if u := r.settled(second.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("ended as %+v", u)
	}
}

// noFileGrows keeps this process from writing files beyond a size, as a full disk
// would. It must not run beside other tests.
func noFileGrows(t *testing.T, beyond uint64) (grow func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // a write then fails with EFBIG
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	set := func(current uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: current, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
	}
	set(beyond)
	grow = func() { set(limit.Cur) }
	t.Cleanup(grow)
	return grow
}
