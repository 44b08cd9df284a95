package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// What is asked of a revision is answered by the file and key that are configured, and while
// the git server is away it is not answered.
func TestWhatRevisionsHaveOfUpdates(t *testing.T) {
	s := newSite(t)
	r := s.start()
	d := r.order("k", goodOrder).delivery(t, 202)
	u := r.settled(d.Updates[0].ID)
	before, err := s.repository.Git("rev-parse", u.Commit+"^")
	s.must(err)
	byHand, err := s.repository.Commit(gitserver.Change{Message: "Back", Files: map[string]string{gitserver.ValuesFile("api", "dev"): gitserver.Values("api", "dev", "main-0000000")}})
	s.must(err)
	of := revisions{r.current}
	for revision, want := range map[string]rollout.Containment{
		u.Commit: rollout.Contained, before: rollout.Before, byHand: rollout.OtherTag, "main": rollout.NotARevision,
	} {
		if got, err := of.Containment(t.Context(), u, revision); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", revision, got, err, want)
		}
	}
	if tag, err := of.TagBefore(t.Context(), u); tag != "main-0000000" || err != nil {
		t.Errorf("the tag before is %q, %v", tag, err)
	}
	if tag, err := of.TagNow(t.Context(), u); tag != "main-0000000" || err != nil {
		t.Errorf("the tag now is %q, %v", tag, err)
	}
	s.must(s.git.Close())
	if got, err := of.Containment(t.Context(), u, strings.Repeat("1", 40)); got != "" || gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("away: %q, %v", got, err)
	}
	u.App = "gone"
	if _, err := of.Containment(t.Context(), u, u.Commit); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("not configured: %v", err)
	}
}
