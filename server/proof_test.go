package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

// forge commits what a person may make of an update's trailers.
func (s *site) forge(u gitops.Update, files map[string]string) string {
	s.t.Helper()
	forged, err := s.repository.Commit(gitserver.Change{
		Message: "Merge pull request #7\n\n" + u.Trailers() + "Tallyman-Proof: 00000000 " + strings.Repeat("0", 64), Files: files,
	})
	s.must(err)
	return forged
}

// on is a file as the branch has it.
func (s *site) on(file string) string {
	s.t.Helper()
	content, err := s.repository.Git("show", "main:"+file)
	s.must(err)
	return content
}

// While the result of a push is unknown somebody commits its trailers: the update is
// written all the same, and history tells the claim from the fact.
func TestAForgedTrailerCommitsNothing(t *testing.T) {
	s := newSite(t)
	r := s.start()
	pushing, forgery := make(chan struct{}), make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushing) }, Wait: forgery, Status: 503})
	d := r.order("k", `{"app": "api", "environment": "prod", "tag": "v1.2.3"}`).delivery(t, 202)
	<-pushing
	u := d.Updates[0]
	u.Delivery, u.Actor = d.Key(), "token:ops"
	file := gitserver.ValuesFile("api", "prod")
	forged := s.forge(u, map[string]string{file: gitserver.Values("api", "prod", "v9.9.9")})
	close(forgery)

	u = r.settled(u.ID)
	if u.State != gitops.Committed || u.Commit == forged || !strings.Contains(s.on(file), "v1.2.3") {
		t.Fatalf("the update is %s as %s, forged was %s, and the branch says\n%s", u.State, u.Commit, forged, s.on(file))
	}
	h := read[api.History](r, "/api/v1/history?environment=prod&app=api")
	if len(h.Versions) != 3 {
		t.Fatalf("%+v", h.Versions)
	}
	fact, claim := h.Versions[0], h.Versions[1]
	if fact.Commit != u.Commit || fact.Proof == "" || len(fact.Updates) != 1 || fact.Updates[0].Actor != "token:ops" || len(fact.Claims) > 0 {
		t.Errorf("the commit: %+v", fact)
	}
	if claim.Commit != forged || claim.Proof != "" || len(claim.Claims) != 1 || claim.Claims[0].Update != u.ID || len(claim.Updates) > 0 || claim.Author == "" {
		t.Errorf("the forgery: %+v", claim)
	}
	r.expectAudit("order token:ops " + d.Key().String()) // of the order; a push to the branch is git's to log
}

// A store that is put back to what it was has the key that proved the commits since.
func TestARestoredStoreProvesItsCommits(t *testing.T) {
	s := newSite(t)
	r := s.start()
	key := s.key(r)
	r.stop()
	backup, err := os.ReadFile(filepath.Join(s.dir, "tallyman.db"))
	s.must(err)
	r = s.start()
	before := r.settled(r.order("k", goodOrder).delivery(t, 202).Updates[0].ID)
	r.stop()
	s.must(os.WriteFile(filepath.Join(s.dir, "tallyman.db"), backup, 0o600))

	s.comesBackTo("main-0000009")
	r = s.start()
	if again := s.key(r); again != key {
		t.Errorf("the key is %s, and was %s", again, key)
	}
	u := r.settled(r.order("k", goodOrder).delivery(t, 202).Updates[0].ID)
	if u.ID != before.ID || u.State != gitops.Committed || u.Commit != before.Commit || u.Reason != "" {
		t.Errorf("it was committed as %s, and is %s as %s: %s", before.Commit, u.State, u.Commit, u.Reason)
	}
}

// A store without the key cannot prove the commits of before: what the commit does
// decides, and the update says so.
func TestAStoreWithoutItsKeySaysWhatIsTrue(t *testing.T) {
	s := newSite(t)
	r := s.start()
	key := s.key(r)
	before := r.settled(r.order("k", goodOrder).delivery(t, 202).Updates[0].ID)
	r.stop()
	for _, file := range []string{"tallyman.db", "tallyman.db-wal", "tallyman.db-shm"} {
		if err := os.Remove(filepath.Join(s.dir, file)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}

	s.comesBackTo("main-0000009")
	r = s.start()
	if again := s.key(r); again == key {
		t.Errorf("a new store has the key %s of another", again)
	}
	u := r.settled(r.order("k", goodOrder).delivery(t, 202).Updates[0].ID)
	if u.ID != before.ID || u.State != gitops.Committed || u.Commit != before.Commit || !strings.Contains(u.Reason, "no proof") {
		t.Errorf("it was committed as %s, and is %s as %s: %s", before.Commit, u.State, u.Commit, u.Reason)
	}
	h := read[api.History](r, "/api/v1/history?environment=dev&app=api")
	if old := h.Versions[1]; old.Commit != before.Commit || old.Proof != "" || len(old.Claims) != 1 || len(old.Updates) > 0 {
		t.Errorf("the commit of before: %+v", old)
	}
}

// key is the id of the store's key.
func (s *site) key(r *running) string {
	s.t.Helper()
	keys, err := r.store.ProofKeys(s.t.Context())
	s.must(err)
	if len(keys) != 1 {
		s.t.Fatalf("%d keys", len(keys))
	}
	return keys[0].ID
}

// comesBackTo has a person set the tag of api in dev.
func (s *site) comesBackTo(tag string) {
	s.t.Helper()
	_, err := s.repository.Commit(gitserver.Change{
		Message: "fix: by hand", Files: map[string]string{gitserver.ValuesFile("api", "dev"): gitserver.Values("api", "dev", tag)},
	})
	s.must(err)
}

// A person rebases our commit: history has it as a claim with their commit, not as ours, and
// the update keeps the commit that it had.
func TestARebasedCommitIsShownAsAClaim(t *testing.T) {
	s := newSite(t)
	r := s.start()
	u := r.settled(r.order("k", goodOrder).delivery(t, 202).Updates[0].ID)
	git := func(args ...string) string {
		out, err := s.repository.Git(args...)
		s.must(err)
		return strings.TrimSpace(out)
	}
	before, message := git("rev-parse", u.Commit+"^"), git("log", "-1", "--format=%B", u.Commit)
	between := git("commit-tree", before+"^{tree}", "-p", before, "-m", "in between")
	rebased := git("commit-tree", u.Commit+"^{tree}", "-p", between, "-m", message)
	git("update-ref", "refs/heads/main", rebased)
	h := read[api.History](r, "/api/v1/history?environment=dev&app=api")
	if v := h.Versions[0]; v.Commit != rebased || v.Tag != u.Tag || v.Proof != "" || len(v.Updates) > 0 || len(v.Claims) != 1 || v.Claims[0].Update != u.ID {
		t.Errorf("the rebased commit: %+v", v)
	}
	if again := r.settled(u.ID); again.State != gitops.Committed || again.Commit != u.Commit {
		t.Errorf("%+v", again)
	}
}
