package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// A tag that somebody commits by hand stays: the next dispatch finds it, places a pin in the
// author's name, and waits until that is lifted.
func TestAHandEditIsKept(t *testing.T) {
	s := newSite(t)
	r := s.start()
	written := r.orders("1", "api", "dev", "main-1a2b3c4").delivery(t, 202).Updates[0].ID
	if u := r.settled(written); u.State != gitops.Committed {
		t.Fatalf("the first update is %s: %s", u.State, u.Reason)
	}
	edit, err := s.repository.Commit(gitserver.Change{Files: map[string]string{
		gitserver.ValuesFile("api", "dev"): gitserver.Values("api", "dev", "main-0000000")}})
	s.must(err)
	id, reason := r.dispatchHeld("2", "api", "dev", "main-2a2b3c4")
	if !strings.HasPrefix(reason, "pin: git:") || !strings.Contains(reason, " pinned main-0000000 until ") || !strings.HasSuffix(reason, ": edited by hand in "+edit[:12]) {
		t.Errorf("held by %q", reason)
	}
	in, err := r.store.HoldsInForce(t.Context())
	s.must(err)
	if len(in.Holds) != 1 || in.Holds[0].Principal != "git" || in.Holds[0].Tag != "main-0000000" {
		t.Fatalf("holds are %+v", in.Holds)
	}
	_, err = r.store.Lift(t.Context(), queue.Lifting{IDs: []string{in.Holds[0].ID}, Principal: "token:ops", Actor: "token:ops"})
	s.must(err)
	if u := r.settled(id); u.State != gitops.Committed {
		t.Errorf("after the pin it is %s: %s", u.State, u.Reason)
	}
	if len(s.log.Lines(`"msg":"hand edit found"`, `"commit":"`+edit+`"`)) == 0 {
		t.Error("the edit is not logged")
	}
}
