package server

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// An Argo CD that fails in any way keeps nothing from being written, is no verdict, and is
// asked again when it answers.
func TestAnArgoCDThatFails(t *testing.T) {
	for name, fault := range map[string]argocdtest.Fault{
		"500": {Status: http.StatusInternalServerError}, "401": {Status: http.StatusUnauthorized}, "403": {Path: "/applications/", Status: http.StatusForbidden},
		"404 of a proxy": {Status: http.StatusNotFound, Proxy: true}, "hangs": {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, argo, _, _ := newArgoSite(t)
			lift := argo.Fail(fault)
			r := s.start()
			u := r.settled(r.order("first", `{"app": "api", "environment": "dev", "tag": "main-0000001"}`).delivery(t, 202).Updates[0].ID)
			if took := u.FinishedAt.Sub(u.AcceptedAt); u.State != gitops.Committed || took > 5*time.Second {
				t.Errorf("it is %s after %s", u.State, took)
			}
			r.awaitRollout(u.ID, func(now *gitops.Rollout) bool {
				if now != nil && now.State.Final() {
					t.Fatalf("the verdict is %+v", now)
				}
				return now != nil && (now.State == gitops.RolloutUnknown || name == "hangs") // which takes 10 s to be known
			})
			lift()
			if name == "401" { // one that was refused is sent once a minute, a new one soon
				token := argo.Token("myshop")
				said.Forbid(token)
				s.must(os.WriteFile(filepath.Join(s.dir, "argocd-token"), []byte(token+"\n"), 0o600))
			}
			if u := r.followedTo(u.ID); u.Rollout.State != gitops.RolloutHealthy {
				t.Errorf("afterwards it is %+v", u.Rollout)
			}
		})
	}
}

// awaitRollout waits until an update's rollout is so.
func (r *running) awaitRollout(id string, so func(*gitops.Rollout) bool) {
	r.t.Helper()
	for end := time.After(time.Minute); ; {
		changed := r.store.Changed()
		u, err := r.store.Update(r.t.Context(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		if so(u.Rollout) {
			return
		}
		select {
		case <-changed:
		case <-end:
			r.t.Fatalf("the rollout of %s is %+v", id, u.Rollout)
		}
	}
}
