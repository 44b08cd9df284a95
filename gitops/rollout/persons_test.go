package rollout

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// byHand makes an Application one that a person syncs.
func byHand(s scene) *Application {
	a := s.application()
	a.Spec.SyncPolicy = nil
	return a
}

// A person may do otherwise than sync all of the update: none of it is a verdict.
func TestWhatAPersonDoesBesides(t *testing.T) {
	for operation, words := range map[string]string{
		"":                     "automated sync is off",
		"Succeeded old":        "automated sync is off", // also of a rollback
		"Succeeded dry":        "automated sync is off",
		"Running dry":          "automated sync is off",
		"Succeeded part":       "automated sync is off",
		"Failed part":          "automated sync is off",
		"Failed old":           "automated sync is off",
		"Error without result": "automated sync is off",
	} {
		s := scene{outOfSync, ourRevision, healthy, operation, v2, true, true}
		expect(t, newFollower().look(Look{Now: epoch, Application: byHand(s)}, s.tree(), s.live(), nil), gitops.RolloutPerson, words)
	}
	for operation, state := range map[string]gitops.RolloutState{
		"Running old":    gitops.RolloutWaiting,
		"Running ours":   gitops.RolloutSyncing,
		"Running part":   gitops.RolloutSyncing,
		"asked":          gitops.RolloutSyncing,
		"Failed ours":    gitops.RolloutSyncFailed,
		"Succeeded ours": gitops.RolloutHealthy,
	} {
		s := scene{outOfSync, ourRevision, healthy, operation, v2, true, true}
		expect(t, newFollower().look(Look{Now: epoch, Application: byHand(s)}, s.tree(), s.live(), nil), state, "")
	}
}

// A dry run applies nothing, and a sync that has begun does, whatever was compared with.
func TestASyncBeforeTheComparison(t *testing.T) {
	s := scene{synced, oldRevision, healthy, "Running dry", v1, true, false}
	expect(t, newFollower().see(s, 0), gitops.RolloutWaiting, "has not looked at this commit")
	s.operation = "Running ours"
	expect(t, newFollower().see(s, 0), gitops.RolloutSyncing, "")
	s.operation = "asked"
	expect(t, newFollower().see(s, 0), gitops.RolloutSyncing, "")
}

// Automated sync that is there and says that it is off, is off.
func TestAutomatedSyncThatIsDisabled(t *testing.T) {
	for text, want := range map[string]gitops.RolloutState{
		`null`: gitops.RolloutPerson, `{}`: gitops.RolloutPerson, `{"automated":null}`: gitops.RolloutPerson, `{"automated":{"enabled":false}}`: gitops.RolloutPerson,
		`{"automated":{}}`: gitops.RolloutWaiting, `{"automated":{"enabled":true}}`: gitops.RolloutWaiting, `{"automated":{"prune":true}}`: gitops.RolloutWaiting,
	} {
		a := scene{outOfSync, ourRevision, healthy, "", v1, true, false}.application()
		if a.Spec.SyncPolicy = nil; json.Unmarshal([]byte(text), &a.Spec.SyncPolicy) != nil {
			t.Fatal(text)
		}
		expect(t, newFollower().look(Look{Now: epoch, Application: a}, nil, nil, nil), want, "")
	}
}

// What somebody changed after the sync stays as it is without self-heal, and with it Argo CD
// syncs again.
func TestAWorkloadThatWasChangedAfterTheSync(t *testing.T) {
	s := scene{outOfSync, ourRevision, healthy, "Succeeded ours", v2, true, false}
	look := func(p *SyncPolicy) Verdict {
		a := s.application()
		a.Spec.SyncPolicy = p
		return newFollower().look(Look{Now: epoch, Application: a}, s.tree(), s.live(), nil)
	}
	expect(t, look(automated(true)), gitops.RolloutSyncing, "OutOfSync after the sync: Deployment api")
	s.operation = "Failed heal"
	expect(t, look(automated(true)), gitops.RolloutSyncFailed, "")
	s.operation, s.revision = "Succeeded ours", later // others changed it, and Argo CD has not begun with that
	expect(t, look(automated(false)), gitops.RolloutWaiting, "has not begun to sync it")
	s.revision = ourRevision
	expect(t, look(automated(false)), gitops.RolloutPerson, "nothing syncs it again by itself: Deployment api")
	expect(t, look(nil), gitops.RolloutPerson, "nothing syncs it again by itself: Deployment api")
}

// A sync that is not compared after is asked to be, once that takes long.
func TestAComparisonAfterTheSyncIsAskedFor(t *testing.T) {
	f, s := newFollower(), scene{outOfSync, ourRevision, healthy, "Succeeded ours", v2, false, true}
	if v := f.see(s, 0); v.Wants.Refresh {
		t.Error("it is asked for at once")
	}
	if v := f.see(s, 4); !v.Wants.Refresh {
		t.Error("it is not asked for")
	}
}

// An operation that failed before it began is tried again by Argo CD.
func TestAnOperationWithoutResultIsNoFailure(t *testing.T) {
	s := scene{outOfSync, ourRevision, healthy, "Error without result", v1, true, false}
	expect(t, newFollower().see(s, 0), gitops.RolloutWaiting, "has not begun")
}

// The branch was pushed by force: the commit is not on it, whatever runs.
func TestABranchThatWasPushedByForce(t *testing.T) {
	f := newFollower()
	for i, s := range []scene{
		{synced, oldRevision, healthy, "", v1, true, false}, {outOfSync, forced, healthy, "Succeeded ours", v1, true, false},
		{synced, forced, progressing, "", v2, true, false}, {synced, forced, healthy, "", v2, true, false}, {synced, forced, degraded, "", v1, true, false},
	} {
		expect(t, f.see(s, float64(30*i)), gitops.RolloutWaiting, "")
	}
	v := f.see(scene{synced, forced, healthy, "", v2, true, false}, 900)
	expect(t, v, gitops.RolloutWaiting, "Argo CD compares with 5555555, which does not have this commit")
	if !v.Wants.Refresh || v.Revision != forced {
		t.Errorf("it wants %+v at %s", v.Wants, v.Revision)
	}
}

// Whatever reads the file must contain the update: both sources, where both are of its
// repository.
func TestSeveralSources(t *testing.T) {
	for _, test := range []struct {
		sources   []int
		revisions []string
		want      gitops.RolloutState
	}{
		{[]int{1}, []string{oldRevision, ourRevision}, gitops.RolloutHealthy},
		{[]int{0, 1}, []string{later, ourRevision}, gitops.RolloutHealthy},
		{[]int{0, 1}, []string{oldRevision, ourRevision}, gitops.RolloutWaiting},
		{[]int{0, 1}, []string{ourRevision, reverted}, gitops.RolloutSuperseded},
		{[]int{0}, []string{oldRevision, ourRevision}, gitops.RolloutWaiting},
		{[]int{0, 1}, []string{oldRevision, reverted}, gitops.RolloutWaiting}, // the first that does not decides
		{[]int{2}, []string{oldRevision, ourRevision}, gitops.RolloutWaiting}, // the sources changed
		{[]int{-1}, []string{ourRevision}, gitops.RolloutWaiting},
		{[]int{1}, []string{ourRevision, ""}, gitops.RolloutWaiting},
		{nil, []string{ourRevision}, gitops.RolloutWaiting},
	} {
		a := live.application()
		a.Status.Sync.Revision, a.Status.Sync.Revisions = "", test.revisions
		a.Status.OperationState.SyncResult = &SyncResult{Revisions: test.revisions}
		f := newFollower()
		f.sources = test.sources
		expect(t, f.look(Look{Now: epoch, Application: a}, live.tree(), nil, nil), test.want, "")
	}
}

// The commit of a chart's own repository, which runs or failed, says nothing of ours.
func TestAnOperationOfSeveralSources(t *testing.T) {
	a := scene{outOfSync, "", healthy, "Running ours", v1, true, false}.application()
	a.Status.Sync.Revisions = []string{forced, ourRevision}
	a.Status.OperationState.Operation.Sync = &SyncOperation{Revisions: []string{forced, oldRevision}}
	a.Status.OperationState.SyncResult = nil
	f := newFollower()
	f.sources = []int{1}
	expect(t, f.look(Look{Now: epoch, Application: a}, nil, nil, nil), gitops.RolloutWaiting, "blocked by the sync of 1111111")
	a.Status.OperationState.SyncResult = &SyncResult{Revisions: []string{forced, ourRevision}} // the retry took the newest
	expect(t, f.look(Look{Now: epoch, Application: a}, nil, nil, nil), gitops.RolloutSyncing, "")
}

// An update that found its tag in the file has no commit: any revision whose file has the tag
// contains it, and one that has another may be older as well as newer.
func TestAnUpdateWithoutACommit(t *testing.T) {
	f := newFollower()
	f.subject.Commit, f.known = "", map[string]Containment{ourRevision: Contained, reverted: OtherTag}
	expect(t, f.see(live, 0), gitops.RolloutHealthy, "")
	s := live
	s.revision = reverted
	v := f.see(s, 0)
	expect(t, v, gitops.RolloutWaiting, "compares with 4444444, where the file has another tag")
	if !v.Wants.Refresh {
		t.Error("no refresh is asked for")
	}
}

// What a revision contains is asked for once for each, and until it is known nothing is said and
// nothing forgotten.
func TestRevisionsThatAreNotKnown(t *testing.T) {
	m := Memory{DegradedSince: at(-5), IdleSince: at(-4), ProgressingSince: at(-3), OtherSince: at(-2)}
	s := live
	s.revision, s.operation = later, "Succeeded later"
	v, after := Judge(ourUpdate, Look{Now: epoch, Application: s.application(), Sources: []int{0}, Newer: true}, m)
	if len(v.Wants.Containing) != 1 || v.Wants.Containing[0] != later || v.State != gitops.RolloutWaiting || after != m {
		t.Errorf("it is %+v, and remembers %+v", v, after)
	}
	v, after = Judge(ourUpdate, Look{Now: epoch, Application: live.application(), Sources: []int{0}}, m)
	if !v.Wants.Tree || v.State != gitops.RolloutProgressing || after != m {
		t.Errorf("it is %+v, and remembers %+v", v, after)
	}
}

func TestGone(t *testing.T) {
	v, _ := Judge(ourUpdate, Look{Now: epoch}, Memory{})
	expect(t, v, gitops.RolloutGone, "not there any more")
	a := live.application()
	a.Metadata.DeletionTimestamp = &time.Time{}
	v, _ = Judge(ourUpdate, Look{Now: epoch, Application: a, Sources: []int{0}}, Memory{})
	expect(t, v, gitops.RolloutGone, "being deleted")
}
