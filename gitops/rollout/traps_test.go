package rollout

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// The tests of this file are traps that others fell into, by where they told of it.

const v1, v2 = repository + ":v1", repository + ":v2"

// live is the end of every release.
var live = scene{synced, ourRevision, healthy, "Succeeded ours", v2, true, false}

func newFollower() *follower {
	return &follower{subject: ourUpdate, sources: []int{0}, known: known}
}

// see looks at a scene, at a time in seconds.
func (f *follower) see(s scene, seconds float64) Verdict {
	return f.look(Look{Now: at(seconds), Application: s.application()}, s.tree(), s.live(), &Windows{CanSync: true})
}

// expect holds a verdict to a state and to words of its reason.
func expect(t *testing.T, v Verdict, state gitops.RolloutState, words string) {
	t.Helper()
	if v.State != state || !strings.Contains(v.Reason, words) {
		t.Errorf("it is %s %q, want %s %q", v.State, v.Reason, state, words)
	}
}

// argo-cd#542, terraform-provider-argocd#110
func TestTrapTheStateOfTheCommitBefore(t *testing.T) {
	f := newFollower()
	for _, health := range []string{healthy, degraded, progressing} {
		v := f.see(scene{synced, oldRevision, health, "Succeeded old", v1, true, false}, 1)
		expect(t, v, gitops.RolloutWaiting, "compares with 1111111 and has not looked at this commit")
		if !v.Wants.Refresh || v.Revision != oldRevision {
			t.Errorf("no refresh is asked for, or the revision is %q", v.Revision)
		}
	}
	expect(t, f.see(scene{outOfSync, oldRevision, healthy, "Failed old", v1, true, false}, 2), gitops.RolloutWaiting, "has not looked")
}

// argo-cd#12211, argo-cd#10274
func TestTrapLiveAtTheFirstLook(t *testing.T) {
	expect(t, newFollower().see(live, 0), gitops.RolloutHealthy, "")
}

// argo-cd#4669, kargo#41, argo-rollouts#771
func TestTrapHealthyBeforeTheControllerActs(t *testing.T) {
	f := newFollower()
	for i, s := range []scene{
		{outOfSync, ourRevision, healthy, "asked", v1, false, false},
		{outOfSync, ourRevision, healthy, "Running ours", v1, false, false},
		{outOfSync, ourRevision, healthy, "Succeeded ours", v1, false, false},
		{outOfSync, ourRevision, healthy, "Succeeded ours", v2, false, false},
	} {
		expect(t, f.see(s, float64(i)), gitops.RolloutSyncing, "")
	}
	// Synced and Healthy, and no pod is made yet.
	expect(t, f.see(scene{synced, ourRevision, healthy, "Succeeded ours", "", true, false}, 5), gitops.RolloutProgressing, "Deployment api has no pod with the update yet")
	expect(t, f.see(live, 6), gitops.RolloutHealthy, "")
}

// kargo#60, argo-cd#6287
func TestTrapAFlapIsNoFailure(t *testing.T) {
	f := newFollower()
	s := live
	for i, health := range []string{progressing, degraded, degraded, progressing, degraded, degraded} {
		s.health = health
		if v := f.see(s, float64(15*i)); v.State != gitops.RolloutProgressing {
			t.Fatalf("after %d looks it is %s", i+1, v.State)
		}
	}
	expect(t, f.see(s, 80), gitops.RolloutDegraded, "Deployment api")
}

// argo-cd#8496, argo-cd#10138
func TestTrapDegradedBeforeTheCommit(t *testing.T) {
	f := newFollower()
	expect(t, f.see(scene{synced, oldRevision, degraded, "Succeeded old", v1, true, false}, 0), gitops.RolloutWaiting, "")
	expect(t, f.see(scene{outOfSync, ourRevision, degraded, "Running ours", v1, false, false}, 60), gitops.RolloutSyncing, "")
	// A controller that gave up on the release before says so for a moment of this one, too.
	s := scene{synced, ourRevision, degraded, "Succeeded ours", v1, true, false}
	a := s.application()
	a.Status.Resources[0].Health.Message = `Deployment "api" exceeded its progress deadline`
	v := f.look(Look{Now: at(61), Application: a}, s.tree(), s.live(), nil)
	expect(t, v, gitops.RolloutProgressing, "Degraded; Deployment api: ")
	s.health = progressing
	expect(t, f.see(s, 62), gitops.RolloutProgressing, "")
	// And where the update was on its way, it is meant, whatever was healed meanwhile.
	s.operation = "Running ours"
	expect(t, f.see(s, 62.5), gitops.RolloutSyncing, "")
	v = f.look(Look{Now: at(63), Application: a}, s.tree(), s.live(), nil)
	expect(t, v, gitops.RolloutDegraded, "exceeded its progress deadline")
}

// kargo#2980, argo-cd#5553
func TestTrapALaterCommitOfOthers(t *testing.T) {
	s := live
	s.revision = later
	for _, operation := range []string{"", "Succeeded ours", "Succeeded later", "Failed old"} {
		s.operation = operation
		expect(t, newFollower().see(s, 0), gitops.RolloutHealthy, "")
	}
	s.revision = reverted
	expect(t, newFollower().see(s, 0), gitops.RolloutSuperseded, "another tag at 4444444")
}

// argo-cd#28392, argo-cd#28306: whoever looks asks again, at each look that is in vain.
func TestTrapASwallowedRefresh(t *testing.T) {
	f := newFollower()
	for i := range 5 {
		if v := f.see(scene{synced, oldRevision, healthy, "", v1, true, false}, float64(i)); !v.Wants.Refresh {
			t.Errorf("look %d asks for no refresh", i)
		}
	}
	if v := f.see(scene{synced, ourRevision, progressing, "", v1, true, false}, 6); v.Wants.Refresh {
		t.Error("a refresh is asked for, though the commit was seen")
	}
}

// argo-cd#11494
func TestTrapBlockedByAnOlderRetry(t *testing.T) {
	s := scene{outOfSync, ourRevision, healthy, "Running old", v1, false, false}
	a := s.application()
	a.Status.OperationState.RetryCount = 3
	expect(t, newFollower().look(Look{Now: epoch, Application: a}, nil, nil, nil), gitops.RolloutWaiting, "blocked by the sync of 1111111, retry 3")
	a.Status.Sync.Revision = oldRevision
	expect(t, newFollower().look(Look{Now: epoch, Application: a}, nil, nil, nil), gitops.RolloutWaiting, "blocked by the sync of 1111111, retry 3")
}

// argo-cd#27875
func TestTrapOutOfSyncAndIdle(t *testing.T) {
	f := newFollower()
	s := scene{outOfSync, ourRevision, healthy, "Succeeded old", v1, true, false}
	expect(t, f.see(s, 0), gitops.RolloutWaiting, "OutOfSync, and Argo CD has not begun to sync it")
	v, _ := Judge(ourUpdate, Look{Now: at(5), Application: s.application(), Sources: []int{0}, Containing: map[string]Containment{oldRevision: Before}}, f.memory)
	if v.Wants.Windows {
		t.Error("it is asked for windows before it is idle for long")
	}
	expect(t, f.look(Look{Now: at(11), Application: s.application()}, nil, nil, &Windows{}), gitops.RolloutWaiting, "sync window")
	a := s.application()
	a.Status.Conditions = []Condition{{Type: "SyncError", Message: "auto-sync will wipe out all resources"}}
	expect(t, f.look(Look{Now: at(12), Application: a}, nil, nil, &Windows{CanSync: true}), gitops.RolloutWaiting, "SyncError: auto-sync will wipe out all resources")
	expect(t, f.see(scene{outOfSync, ourRevision, healthy, "Running ours", v1, true, false}, 13), gitops.RolloutSyncing, "")
	if !f.memory.IdleSince.IsZero() {
		t.Error("it is idle while it syncs")
	}
}

// argo-cd#29716
func TestTrapAnOlderRevisionIsNeverLive(t *testing.T) {
	s := live
	s.operation = "Succeeded old"
	for revision, words := range map[string]string{oldRevision: "has not looked", forced: "pushed by force", "main": "does not say", "": "does not say"} {
		s.revision = revision
		expect(t, newFollower().see(s, 0), gitops.RolloutWaiting, words)
	}
}

// argo-cd#27727: the revision moved, and what is rendered is of the one before.
func TestTrapStaleManifests(t *testing.T) {
	f, s := newFollower(), live
	s.pods = v1
	stale := strings.ReplaceAll(s.live()[0].LiveState, ":v2", ":v1")
	look := func(seconds float64, managed ...Managed) Verdict {
		return f.look(Look{Now: at(seconds), Application: s.application()}, s.tree(), managed, nil)
	}
	confirms := Managed{Kind: "Deployment", Namespace: "myshop", Name: "api", LiveState: stale}
	expect(t, look(0, confirms), gitops.RolloutProgressing, "runs api:v1, not v2")
	expect(t, look(4, confirms), gitops.RolloutProgressing, "runs api:v1, not v2")
	expect(t, look(19), gitops.RolloutProgressing, "runs api:v1, not v2")
	expect(t, look(20), gitops.RolloutDegraded, "runs api:v1, not v2")
	f = newFollower()
	expect(t, look(0, confirms), gitops.RolloutProgressing, "runs api:v1, not v2")
	expect(t, look(5, confirms), gitops.RolloutDegraded, "runs api:v1, not v2")
}

// argo-cd#21785, argo-cd#19670, argo-cd#27861
func TestTrapImagesOfBothStaleOrNone(t *testing.T) {
	f, s := newFollower(), live
	for i, pods := range []string{v1 + " " + v2, v1, ""} {
		s.pods = pods
		v := f.see(s, float64(i))
		expect(t, v, gitops.RolloutProgressing, "")
		if v.Reason == "" {
			t.Errorf("with %q nothing is said", pods)
		}
	}
	expect(t, f.see(live, 30), gitops.RolloutHealthy, "")
}

// argo-cd#6055, argo-cd#17314: it is for the deadline to end it.
func TestTrapRunningForEver(t *testing.T) {
	f := newFollower()
	for _, operation := range []string{"Running ours", "Terminating ours", "Running old", "asked"} {
		for _, s := range []scene{live, {outOfSync, ourRevision, healthy, "", v1, false, false}} {
			s.operation = operation
			if v := f.see(s, 36000); v.State.Final() || v.State.Stands() {
				t.Errorf("%s: it is %s", operation, v.State)
			}
		}
	}
}

// argo-watcher#519
func TestTrapAnImageThatIsNoPart(t *testing.T) {
	f, s := newFollower(), live
	s.pods = "registry.example/other/web:v2"
	look := func(seconds float64) Verdict {
		return f.look(Look{Now: at(seconds), Application: s.application()}, s.tree(), nil, nil)
	}
	expect(t, look(0), gitops.RolloutProgressing, "none of its workloads has the image "+repository)
	expect(t, look(21), gitops.RolloutDegraded, "none of its workloads has the image "+repository)
}

// kargo#3258
func TestTrapANewerUpdateWaitsForNone(t *testing.T) {
	for _, s := range []scene{
		{synced, oldRevision, healthy, "", v1, true, false}, {outOfSync, ourRevision, healthy, "Running ours", v1, true, false},
		{outOfSync, ourRevision, healthy, "Running old", v1, true, false}, {synced, ourRevision, progressing, "", v1, true, false},
		{synced, ourRevision, suspended, "", v1, true, false}, {"Unknown", "main", healthy, "", v1, true, false},
	} {
		v := newFollower().look(Look{Now: epoch, Application: s.application(), Newer: true}, s.tree(), s.live(), nil)
		expect(t, v, gitops.RolloutSuperseded, "another tag was written")
	}
	expect(t, newFollower().look(Look{Now: epoch, Application: live.application(), Newer: true}, live.tree(), nil, nil), gitops.RolloutHealthy, "")
}

// argo-cd#9861, argo-cd#5592
func TestTrapPhaseAndHealthOfOneBody(t *testing.T) {
	s := live
	s.operation = "Failed ours"
	expect(t, newFollower().see(s, 0), gitops.RolloutSyncFailed, "")
	f := newFollower()
	s.operation = "Running ours"
	expect(t, f.see(s, 0), gitops.RolloutSyncing, "")
	expect(t, f.see(scene{synced, ourRevision, progressing, "Succeeded ours", v2, true, false}, 1), gitops.RolloutProgressing, "")
}

// argocd-notifications#338, argo-cd#19847
func TestTrapADoubledHintIsOneLook(t *testing.T) {
	for _, s := range []scene{live, {synced, ourRevision, degraded, "", v1, true, false}, {outOfSync, ourRevision, healthy, "", v1, true, false}} {
		f := newFollower()
		first, memory := f.see(s, 3), f.memory
		again := f.see(s, 3)
		if first.State != again.State || first.Reason != again.Reason || memory != f.memory {
			t.Errorf("the same look says %v, then %v", first, again)
		}
	}
}
