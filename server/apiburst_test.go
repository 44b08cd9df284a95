package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// A stop in a burst of updates: when it was answered no commit comes, but for those that
// the answer names. When it is lifted all are written, each once and in their order.
func TestAStopInABurst(t *testing.T) {
	const updates = 1000
	s := newSite(t)
	s.everyRight()
	s.edit("  dev: {", "  dev: {afterHold: all, ")
	r := s.start()
	var ids, want []string
	for i := range updates {
		tag := fmt.Sprintf("main-%07x", i+1)
		d, _, err := r.store.Accept(t.Context(), gitops.Delivery{
			Source: "github", ID: fmt.Sprint("burst-", i), Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{{Environment: "dev", App: "api", Tag: tag}},
		})
		s.must(err)
		ids, want = append(ids, d.Updates[0].ID), append(want, tag)
	}
	r.settled(ids[0])
	stop := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "stop", `{"kind": "stop", "environments": ["dev"]}`, 201)
	answered := s.written()
	r.isHeld(ids[updates-1])
	if late := s.written()[len(answered):]; stop.Stop.QuietSince.IsZero() || len(late) > 0 || len(answered) == updates {
		t.Errorf("%d updates were written when it was answered, quiet since %s, and then %q", len(answered), stop.Stop.QuietSince, late)
	}
	for _, id := range stop.Stop.UnderWay {
		if u := r.settled(id); u.State != gitops.Committed {
			t.Errorf("what was under way is %+v", u)
		}
	}
	act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+stop.Hold.ID, "", "", 200)
	r.settled(ids[updates-1])
	if got := s.written(); !slices.Equal(got, want) {
		t.Errorf("%d of %d updates were written, each once and in their order: %.500q", len(got), updates, got)
	}
}

// written are the tags of api in dev that commits on the branch wrote, the oldest first.
func (s *site) written() (tags []string) {
	log, err := s.repository.Git("log", "--reverse", "--format=%s", "main")
	s.must(err)
	for line := range strings.Lines(log) {
		if rest, ours := strings.CutPrefix(line, "chore: bump api to "); ours {
			tag, _, _ := strings.Cut(rest, " ")
			tags = append(tags, tag)
		}
	}
	return tags
}
