package rollout

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestCombine(t *testing.T) {
	place := func(name string, state gitops.RolloutState, reason string) gitops.RolloutPlace {
		return gitops.RolloutPlace{Name: name, State: state, Reason: reason}
	}
	for _, test := range []struct {
		name   string
		places []gitops.RolloutPlace
		state  gitops.RolloutState
		reason string
	}{
		{"none", nil, gitops.RolloutWaiting, ""},
		{"one", []gitops.RolloutPlace{place("a", gitops.RolloutPaused, "why")}, gitops.RolloutPaused, "why"},
		{"all healthy", []gitops.RolloutPlace{place("a", gitops.RolloutHealthy, ""), place("b", gitops.RolloutHealthy, "")}, gitops.RolloutHealthy, ""},
		{"not all healthy", []gitops.RolloutPlace{place("a", gitops.RolloutHealthy, ""), place("b", gitops.RolloutProgressing, "")}, gitops.RolloutProgressing, "b"},
		{"one failed", []gitops.RolloutPlace{place("a", gitops.RolloutWaiting, "w"), place("b", gitops.RolloutDegraded, "why"), place("c", gitops.RolloutHealthy, "")}, gitops.RolloutDegraded, "b: why"},
		{"sync failed", []gitops.RolloutPlace{place("a", gitops.RolloutDegraded, ""), place("b", gitops.RolloutSyncFailed, "why")}, gitops.RolloutSyncFailed, "b: why"},
		{"one is behind", []gitops.RolloutPlace{place("a", gitops.RolloutSyncing, ""), place("b", gitops.RolloutWaiting, "why"), place("c", gitops.RolloutProgressing, "")}, gitops.RolloutWaiting, "b: why"},
		{"a person is awaited", []gitops.RolloutPlace{place("a", gitops.RolloutWaiting, ""), place("b", gitops.RolloutPerson, "")}, gitops.RolloutPerson, "b"},
		{"gone and on its way", []gitops.RolloutPlace{place("a", gitops.RolloutGone, ""), place("b", gitops.RolloutSyncing, "")}, gitops.RolloutSyncing, "b"},
		{"gone and healthy", []gitops.RolloutPlace{place("a", gitops.RolloutGone, "why"), place("b", gitops.RolloutHealthy, "")}, gitops.RolloutGone, "a: why"},
		{"a state that is not known", []gitops.RolloutPlace{place("a", "novel", ""), place("b", gitops.RolloutHealthy, "")}, "novel", "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if state, reason := Combine(test.places); state != test.state || reason != test.reason {
				t.Errorf("Combine = %s, %q, want %s, %q", state, reason, test.state, test.reason)
			}
		})
	}
	for _, s := range gitops.RolloutStates() {
		if rank(s) == rank("novel") && s != gitops.RolloutUnknown {
			t.Errorf("%s has no place in the order", s)
		}
		if state, _ := Combine([]gitops.RolloutPlace{place("a", gitops.RolloutHealthy, ""), place("b", s, "")}); state != s {
			t.Errorf("healthy and %s is %s", s, state)
		}
	}
}
