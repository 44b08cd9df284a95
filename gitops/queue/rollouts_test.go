package queue_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// What stands of an update after a report, and whether that is a step.
func TestNextRollout(t *testing.T) {
	earlier := noon.Add(-time.Minute)
	waiting := gitops.Rollout{State: gitops.RolloutWaiting, Reason: "runs v1", Since: earlier}
	healthy := gitops.Rollout{State: gitops.RolloutHealthy, Since: earlier}
	for name, c := range map[string]struct {
		state    gitops.State
		before   *gitops.Rollout
		reported gitops.Rollout
		next     gitops.Rollout
		step     *gitops.Step
		changed  bool
	}{
		"the first": {gitops.Committed, nil, gitops.Rollout{State: gitops.RolloutWaiting}, gitops.Rollout{State: gitops.RolloutWaiting, Since: noon},
			&gitops.Step{State: gitops.Committed, Rollout: gitops.RolloutWaiting}, true},
		"another state": {gitops.Unchanged, &waiting, gitops.Rollout{State: gitops.RolloutSyncing, Reason: "runs v1"}, gitops.Rollout{State: gitops.RolloutSyncing, Reason: "runs v1", Since: noon},
			&gitops.Step{State: gitops.Unchanged, Reason: "runs v1", Rollout: gitops.RolloutSyncing}, true},
		"another reason": {gitops.Committed, &waiting, gitops.Rollout{State: gitops.RolloutWaiting}, gitops.Rollout{State: gitops.RolloutWaiting, Since: earlier},
			&gitops.Step{State: gitops.Committed, Rollout: gitops.RolloutWaiting}, true},
		"another revision": {gitops.Committed, &waiting, gitops.Rollout{State: gitops.RolloutWaiting, Reason: "runs v1", Revision: "c0ffee"},
			gitops.Rollout{State: gitops.RolloutWaiting, Reason: "runs v1", Since: earlier, Revision: "c0ffee"}, nil, true},
		"the same":    {gitops.Committed, &waiting, waiting, waiting, nil, false},
		"final":       {gitops.Committed, &healthy, gitops.Rollout{State: gitops.RolloutDegraded}, healthy, nil, false},
		"not written": {gitops.Superseded, nil, waiting, gitops.Rollout{}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			next, step, changed := queue.NextRollout(gitops.Update{State: c.state, Rollout: c.before}, c.reported, noon)
			if diff := cmp.Diff(c.next, next); diff != "" || changed != c.changed {
				t.Errorf("changed is %t; -want +got:\n%s", changed, diff)
			}
			if diff := cmp.Diff(c.step, step); diff != "" {
				t.Errorf("the step: -want +got:\n%s", diff)
			}
		})
	}
}

// What stores keep of a rollout has bounds, is text, and is kept as it is when it is kept again.
func TestKeptRollout(t *testing.T) {
	long := strings.Repeat("\x00é\xff", 1000)
	r := gitops.Rollout{State: gitops.RolloutSyncing, Reason: long, Revision: long, By: long, Deadline: noon.Add(time.Nanosecond)}
	for range 2 * queue.MaxRolloutPlaces {
		r.Places = append(r.Places, gitops.RolloutPlace{Name: long, URL: "https://argocd.example", State: gitops.RolloutSyncing, Reason: long})
	}
	r.Places[1].URL = "https://" + long
	kept := queue.KeptRollout(r)
	for text, most := range map[string]int{kept.Reason: queue.MaxRolloutReason, kept.Places[0].Reason: queue.MaxRolloutReason, kept.Revision: queue.MaxRolloutName, kept.By: queue.MaxRolloutName, kept.Places[0].Name: queue.MaxRolloutName} {
		if len(text) > most || len(text) < most-4 || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			t.Errorf("%d bytes are kept of at most %d: %q", len(text), most, text)
		}
	}
	if len(kept.Places) != queue.MaxRolloutPlaces || kept.Places[0].URL == "" || kept.Places[1].URL != "" || !kept.Deadline.Equal(noon) {
		t.Errorf("kept is %+v", kept)
	}
	if diff := cmp.Diff(kept, queue.KeptRollout(kept)); diff != "" {
		t.Errorf("kept again: -want +got:\n%s", diff)
	}
}

// A head's sequences in another store are those that its updates have there, or lie between.
func TestHeadsAreRenumbered(t *testing.T) {
	head := gitops.Head{Written: 70, WrittenID: "w", Healthy: 50, HealthyID: "h"}
	for _, c := range []struct {
		entry            queue.HeadEntry
		written, healthy int64
	}{
		{queue.HeadEntry{Head: head, After: "w", HealthyAfter: "h"}, 7, 5},
		{queue.HeadEntry{Head: head, After: "w", HealthyAfter: "before"}, 7, 6},
		{queue.HeadEntry{Head: head, After: "before", HealthyAfter: "h"}, 8, 5},
		{queue.HeadEntry{}, 7, 5}, // of the id "", which is 0 in every store
	} {
		if written, healthy := c.entry.WrittenHere(7), c.entry.HealthyHere(5); written != c.written || healthy != c.healthy {
			t.Errorf("%+v is %d and %d; want %d and %d", c.entry, written, healthy, c.written, c.healthy)
		}
	}
}
