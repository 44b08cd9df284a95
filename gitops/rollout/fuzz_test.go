package rollout

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// FuzzJudge serves any JSON: nothing panics, and healthy has what must hold of it.
func FuzzJudge(f *testing.F) {
	tree, err := json.Marshal(live.tree())
	if err != nil {
		f.Fatal(err)
	}
	managed, err := json.Marshal(live.live())
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []scene{live, {outOfSync, ourRevision, healthy, "Succeeded ours", v2, true, true}, {synced, ourRevision, degraded, "Running old", v1, true, false}} {
		text, err := json.Marshal(s.application())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, tree, managed, int64(30))
	}
	f.Add([]byte(`{"status":{"sync":{"status":"Synced","revisions":["`+ourRevision+`"]},"operationState":{}},"operation":{}}`), []byte(`{}`), []byte(`[{"liveState":"[]"}]`), int64(-1))
	f.Fuzz(func(t *testing.T, application, tree, managed []byte, seconds int64) {
		var a Application
		if json.Unmarshal(application, &a) != nil {
			return
		}
		look := Look{Application: &a, Sources: []int{0}, Containing: known}
		if json.Unmarshal(tree, &look.Tree) != nil || json.Unmarshal(managed, &look.Managed) != nil {
			return
		}
		var m Memory
		for i := range 3 {
			look.Now = epoch.Add(time.Duration(i) * time.Duration(seconds%1000) * time.Second)
			var v Verdict
			if v, m = Judge(ourUpdate, look, m); v.State == gitops.RolloutHealthy {
				holdToTheRule(t, look)
			}
			if v.State == "" || len(v.Reason) > longestReason+3 {
				t.Errorf("%+v", v)
			}
		}
		Match(a, Manifest{Repository: "https://git.example/manifests", Branch: "main", File: "api/values.yaml"})
	})
}

// holdToTheRule checks what is not healthy without.
func holdToTheRule(t *testing.T, l Look) {
	s := l.Application.Status
	revision := s.Sync.Revision
	if len(s.Sync.Revisions) > 0 {
		revision = s.Sync.Revisions[0]
	}
	if revision != ourRevision && known[revision] != Contained {
		t.Errorf("healthy at %q", revision)
	}
	if s.Health.Status != healthy && s.Health.Status != suspended {
		t.Errorf("healthy while %q", s.Health.Status)
	}
	if l.Application.Operation != nil || s.OperationState != nil && !s.OperationState.hasEnded() {
		t.Error("healthy during an operation")
	}
	if s.Sync.Status != synced && (s.Sync.Status != outOfSync || s.OperationState == nil || !s.ReconciledAt.After(*s.OperationState.FinishedAt)) {
		t.Errorf("healthy while %q", s.Sync.Status)
	}
	if l.Application.Metadata.DeletionTimestamp != nil || l.Tree == nil {
		t.Error("healthy without a tree, or being deleted")
	}
}
