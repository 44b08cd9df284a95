package queuetest

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Contradictions imports entries that cannot all be true: the error says so, and the
// store takes the ones that can.
func Contradictions(t *testing.T, to Target) {
	d := gitops.Delivery{Source: "github", ID: "1", ReceivedAt: time.Now(), Outcome: gitops.OutcomeIgnored, Body: []byte("{}")}
	delivery, lane := queue.Entry{Delivery: &d}, queue.Entry{Lane: &queue.LaneState{Environment: "dev"}}
	checkpoint, key := queue.Entry{Checkpoint: &queue.Checkpoint{Name: "a"}}, queue.Entry{ProofKey: &gitops.ProofKey{ID: "a"}}
	stray := queue.Entry{Step: &queue.StepEntry{Update: gitops.UpdateID(d.Key(), "dev", "api"), Step: gitops.Step{At: time.Now()}}}
	for name, entries := range map[string][]queue.Entry{
		"a delivery twice":      {delivery, delivery},
		"a lane twice":          {lane, lane},
		"a checkpoint twice":    {checkpoint, checkpoint},
		"a proof key twice":     {key, key},
		"a step of no delivery": {delivery, stray},
	} {
		if _, err := to.Import(t.Context(), Each(entries), queue.ImportOptions{Restored: true}); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if done, err := to.Import(t.Context(), Each([]queue.Entry{delivery, lane, checkpoint, key}), queue.ImportOptions{Restored: true}); err != nil || done.Deliveries != 1 {
		t.Errorf("each once: %+v, %v", done, err)
	}
}
