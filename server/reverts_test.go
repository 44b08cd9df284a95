package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// newRevertSite is a site whose environment dev goes back from what fails.
func newRevertSite(t *testing.T) (*site, *argocdtest.Model) {
	t.Helper()
	s, _, api, _ := newArgoSite(t)
	s.edit("dev: {rollout: {timeout: 30m}", "dev: {rollout: {timeout: 30m, revert: true}")
	s.edit("access:\n", "access:\n  - {who: {revert: {}}, may: [rollback], apps: [\"*\"], environments: [dev]}\n")
	api.Change(func(b *argocdtest.Behaviour) { b.WebhookLost = false })
	return s, api
}

// write orders a tag of api, and returns the update when its rollout is over.
func (r *running) write(key, tag string) gitops.Update {
	r.t.Helper()
	t := r.t.(*testing.T)
	u := r.settled(r.order(key, `{"app": "api", "environment": "dev", "tag": "`+tag+`"}`).delivery(t, 202).Updates[0].ID)
	return r.followedTo(u.ID)
}

// What cannot be applied is gone back from, to the tag that ran before: an update of its own,
// whose commit says so, which is followed, and is reverted no more.
func TestWhatFailsInTheClusterIsReverted(t *testing.T) {
	s, api := newRevertSite(t)
	r := s.start()
	if u := r.write("first", "main-0000001"); u.Rollout.State != gitops.RolloutHealthy {
		t.Fatalf("%+v", u.Rollout)
	}
	api.Change(func(b *argocdtest.Behaviour) { b.SyncFails = "one or more objects failed to apply" })
	failed := r.write("second", "main-0000002")
	if failed.Rollout.State != gitops.RolloutSyncFailed {
		t.Fatalf("%+v", failed.Rollout)
	}
	id := gitops.UpdateID(acts.RevertKey(failed.ID), "dev", "api")
	r.awaitSeries(`tallyman_rollouts_total{environment="dev",outcome="sync_failed"}`, 1)
	r.awaitUpdate(id)
	u := r.followedTo(r.settled(id).ID)
	if u.State != gitops.Committed || u.Tag != "main-0000001" || u.Terms == nil || u.Terms.Reverts != failed.ID || u.Terms.RollsBack != "main-0000002" {
		t.Errorf("%+v, %+v", u, u.Terms)
	}
	message, err := s.repository.Git("log", "-1", "--format=%B", u.Commit)
	if s.must(err); !strings.Contains(message, "Tallyman-Reverts: "+failed.ID) {
		t.Errorf("the commit says %q", message)
	}
}

// awaitUpdate waits until there is an update.
func (r *running) awaitUpdate(id string) {
	r.t.Helper()
	for {
		changed := r.store.Changed()
		_, err := r.store.Update(r.t.Context(), id)
		if err == nil {
			return
		}
		if gitops.CodeOf(err) != gitops.NotFound {
			r.t.Fatal(err)
		}
		<-changed
	}
}

// Where nothing is known to have run, and where a person syncs, nothing is gone back from.
func TestWhatIsNotRevertedInTheCluster(t *testing.T) {
	s, api := newRevertSite(t)
	r := s.start()
	api.Change(func(b *argocdtest.Behaviour) { b.SyncFails = "it cannot be applied" })
	failed := r.write("first", "main-0000001")
	revert := func() error { return reverts{r.Server}.Revert(t.Context(), failed.ID) }
	if err := revert(); gitops.CodeOf(err) != gitops.Conflict || !strings.Contains(gitops.PublicOf(err), "no tag was seen healthy there") {
		t.Errorf("%v", err)
	}
	api.Change(func(b *argocdtest.Behaviour) { b.Manual = true })
	if err := revert(); gitops.CodeOf(err) != gitops.Conflict || !strings.Contains(gitops.PublicOf(err), "a person syncs it") {
		t.Errorf("%v", err)
	}
	s.edit("timeout: 30m, revert: true", "timeout: 30m")
	s.edit("  - {who: {revert: {}}, may: [rollback], apps: [\"*\"], environments: [dev]}\n", "")
	s.must(r.reload(s.config()))
	if err := revert(); gitops.CodeOf(err) != gitops.Conflict || !strings.Contains(gitops.PublicOf(err), "does not want it any more") {
		t.Errorf("%v", err)
	}
}
