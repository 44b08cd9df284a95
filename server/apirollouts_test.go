package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/api"
)

// stands has an update come to stand in the cluster.
func (r *running) stands(id string, rollout gitops.Rollout) {
	r.t.Helper()
	if _, err := r.store.ReportRollouts(r.t.Context(), queue.Lease{}, []queue.RolloutReport{{Update: id, Rollout: rollout}}); err != nil {
		r.t.Fatal(err)
	}
}

// rollouts reads changes of a stream until a rollout is in a state.
func (f *follower) rollouts(until gitops.RolloutState) (found []string) {
	f.t.Helper()
	for {
		e, ok := f.next()
		switch {
		case !ok:
			f.t.Fatalf("the stream ended after %v", found)
		case e.kind != "rollout":
			continue
		}
		found = append(found, e.update.App+" "+string(e.update.State)+" "+string(e.update.Rollout.State)+" "+e.update.Rollout.Reason)
		if e.update.Rollout.State == until {
			return found
		}
	}
}

// Where a written update stands in the cluster is in every answer about it, in the row of its
// app while that does not run it, and in the stream; and who is to say so.
func TestRollouts(t *testing.T) { onEachStore(t, testRollouts) }

func testRollouts(t *testing.T, s *site) {
	s.edit("dev: {tags: {match: 'main-[0-9a-f]{7,40}'}", "dev: {rollout: {by: reports}, tags: {match: 'main-[0-9a-f]{7,40}'}")
	r := s.start()
	all, prod := r.follow("", ""), r.follow("?environment=prod", "")
	u := r.settled(r.order("k1", goodOrder).delivery(t, 202).Updates[0].ID)
	other := r.settled(r.order("k2", `{"app": "api", "environment": "prod", "tag": "1.0.0"}`).delivery(t, 202).Updates[0].ID)
	place := gitops.RolloutPlace{Name: "flux/api", URL: "https://flux.example/api", State: gitops.RolloutProgressing, Reason: "1 of 3 pods is ready"}
	r.stands(u.ID, gitops.Rollout{State: gitops.RolloutProgressing, Reason: place.Reason, Deadline: time.Now().Add(time.Hour), By: "token:flux", Revision: u.Commit, Places: []gitops.RolloutPlace{place}})

	now := read[gitops.Update](r, "/api/v1/updates/"+u.ID)
	stands := now.Rollout
	if stands == nil || stands.State != gitops.RolloutProgressing || stands.By != "token:flux" || stands.Revision != u.Commit || len(stands.Places) != 1 || stands.Places[0] != place || stands.Since.IsZero() {
		t.Errorf("it stands at %+v", stands)
	}
	last := now.Steps[len(now.Steps)-1]
	if last.Rollout != gitops.RolloutProgressing || last.Reason != place.Reason || last.State != gitops.Committed || last.Attempts != 0 {
		t.Errorf("the last step is %+v", last)
	}
	if not := read[gitops.Update](r, "/api/v1/updates/"+other.ID); now.FollowedBy != "reports" || not.FollowedBy != "" || not.Rollout != nil {
		t.Errorf("followed by %q, and the one in prod by %q", now.FollowedBy, not.FollowedBy)
	}
	delivery := read[gitops.Delivery](r, "/api/v1/deliveries/"+u.Delivery.String()).Updates[0]
	list := read[api.UpdateList](r, "/api/v1/updates?environment=dev").Updates[0]
	why := read[api.Why](r, "/api/v1/why?environment=dev&app=api")
	if delivery.FollowedBy != "reports" || delivery.Rollout == nil || list.Rollout == nil || why.Rollout == nil || !delivery.Rollout.Equal(*stands) || !list.Rollout.Equal(*stands) || !why.Rollout.Equal(*stands) {
		t.Errorf("the delivery has %+v, the list %+v, why %+v", delivery.Rollout, list.Rollout, why.Rollout)
	}
	row := func() *api.AppRollout {
		return read[api.Environments](r, "/api/v1/environments").Environments[0].Apps[0].Rollout
	}
	want := &api.AppRollout{Update: u.ID, Tag: u.Tag, State: gitops.RolloutProgressing, Reason: place.Reason, Since: stands.Since}
	if diff := cmp.Diff(want, row()); diff != "" {
		t.Error(diff)
	}
	r.stands(u.ID, gitops.Rollout{State: gitops.RolloutHealthy, By: "token:flux"})
	if row() != nil {
		t.Errorf("it runs, and the row has %+v", row())
	}
	if found := all.rollouts(gitops.RolloutHealthy); !strings.HasSuffix(strings.Join(found, "; "), "api committed progressing 1 of 3 pods is ready; api committed healthy ") {
		t.Errorf("the stream has %q", found)
	}
	r.stands(other.ID, gitops.Rollout{State: gitops.RolloutDegraded, Reason: "a pod crashes"})
	if diff := cmp.Diff([]string{"api committed degraded a pod crashes"}, prod.rollouts(gitops.RolloutDegraded)); diff != "" {
		t.Error(diff)
	}
}

// Where an environment is followed GitHub shows the update in progress until it runs.
func TestGitHubIsToldOfRollouts(t *testing.T) {
	s, _, source := newSourceSite(t)
	s.edit("dev: {tags: {match: 'main-[0-9a-f]{7,40}'}", "dev: {rollout: {by: reports}, tags: {match: 'main-[0-9a-f]{7,40}'}")
	r := s.start()
	r.awaitNote("job/feedback", "cursor")
	dispatch := strings.Replace(order("api", "dev", "main-1a2b3c4"), `"tag"`, `"sha": "`+revision+`", "tag"`, 1)
	u := r.settled(r.do(r.github(oldSecret, "first", dispatch)).delivery(t, 202).Updates[0].ID)
	r.awaitNote("feedback/dev/api", u.ID)
	r.stands(u.ID, gitops.Rollout{State: gitops.RolloutHealthy, By: "token:flux"})
	for began := time.Now(); source.Deployments()[0].State() != "success"; {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("GitHub shows %+v", source.Deployments())
		}
	}
	var states []string
	for _, status := range source.Deployments()[0].Statuses {
		states = append(states, status.State+": "+status.Description)
	}
	if diff := cmp.Diff([]string{"in_progress: Written to Git; waits for the cluster", "success: Runs"}, states); diff != "" {
		t.Error(diff)
	}
}
