package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Every environment, with the state of its lane and the tags on the branch, those of
// people and of tallyman.
func TestEnvironments(t *testing.T) {
	s := newSite(t)
	r := s.start()
	began := time.Now().Add(-time.Second)
	file := gitserver.ValuesFile("api", "prod")
	_, err := s.repository.Commit(gitserver.Change{Message: "By hand", Files: map[string]string{file: gitserver.Values("api", "prod", "1.2.3")}})
	s.must(err)
	d := r.do(r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	r.settled(d.Updates[0].ID)
	now := read[api.Environments](r, "/api/v1/environments")
	if len(now.Environments) != 2 || now.Branch.Problem != "" || now.Branch.AsOf.Before(began) {
		t.Fatalf("%+v", now)
	}
	dev, prod := now.Environments[0], now.Environments[1]
	want := []api.App{{App: "api", File: gitserver.ValuesFile("api", "dev"), Tag: "main-1a2b3c4"}, {App: "worker", File: gitserver.ValuesFile("worker", "dev"), Tag: "main-0000000"}}
	if diff := cmp.Diff(want, dev.Apps); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]api.App{{App: "api", File: file, Tag: "1.2.3"}}, prod.Apps); diff != "" {
		t.Error(diff)
	}
	if dev.Lane.LastProgress.Before(began) || dev.Lane.Ready != 0 || dev.Lane.Held != nil || dev.Lane.Outage != nil || !prod.Lane.LastProgress.IsZero() {
		t.Errorf("dev %+v, prod %+v", dev.Lane, prod.Lane)
	}
}

// While the git server is away the answer says so, and the lanes show their outage.
func TestEnvironmentsInAnOutage(t *testing.T) {
	s := newSite(t)
	r := s.start()
	s.must(s.git.Close())
	r.do(r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	now := read[api.Environments](r, "/api/v1/environments")
	for now.Environments[0].Lane.Outage == nil { // until the lane has reported it
		now = read[api.Environments](r, "/api/v1/environments")
	}
	if !strings.Contains(now.Branch.Problem, "the connection to the git server failed") || !now.Branch.AsOf.IsZero() {
		t.Errorf("the branch: %+v", now.Branch)
	}
	lane := now.Environments[0].Lane
	if lane.Ready != 1 || lane.Oldest.IsZero() || lane.Outage.Code != gitops.Unavailable || !strings.Contains(lane.Outage.Reason, "the connection to the git server failed") || lane.Outage.Since.IsZero() || lane.Outage.RetryAt.IsZero() {
		t.Errorf("the lane: %+v, %+v", lane, lane.Outage)
	}
}

// The past is read from the commits, people's and tallyman's.
func TestHistory(t *testing.T) {
	s := newSite(t)
	r := s.start()
	d := r.order("k", goodOrder).delivery(t, 202)
	u := r.settled(d.Updates[0].ID)
	file := gitserver.ValuesFile("api", "dev")
	byHand, err := s.repository.Commit(gitserver.Change{Message: "Back to what was good", Files: map[string]string{file: gitserver.Values("api", "dev", "main-0000000")}})
	s.must(err)
	h := read[api.History](r, "/api/v1/history?environment=dev&app=api")
	if h.File != file || h.Tip != byHand || !h.Complete || len(h.Versions) != 3 {
		t.Fatalf("%+v", h)
	}
	hand, bot, first := h.Versions[0], h.Versions[1], h.Versions[2]
	if hand.Tag != "main-0000000" || hand.Commit != byHand || hand.Subject != "Back to what was good" || len(hand.Updates) != 0 || hand.Author == "" {
		t.Errorf("by hand: %+v", hand)
	}
	want := []api.UpdateTrailer{{Update: u.ID, Delivery: u.Delivery, Actor: "token:ops"}}
	if diff := cmp.Diff(want, bot.Updates); diff != "" || bot.Tag != u.Tag || bot.Commit != u.Commit || bot.At.IsZero() {
		t.Errorf("by the bot: %+v\n%s", bot, diff)
	}
	if first.Tag != "main-0000000" || first.Commit == "" {
		t.Errorf("the first: %+v", first)
	}
	if h := read[api.History](r, "/api/v1/history?environment=dev&app=api&limit=1"); len(h.Versions) != 1 || h.Complete {
		t.Errorf("one: %+v", h)
	}
}
