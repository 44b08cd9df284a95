package manifest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// writeUntilSettled is what a lane does: what is not settled is given again, in
// order, until nothing is left.
func writeUntilSettled(t *testing.T, w *Writer, updates []gitops.Update) (all []gitops.Transition) {
	t.Helper()
	for len(updates) > 0 {
		settled, err := writeAll(t.Context(), w, updates...)
		if err != nil {
			t.Logf("the lane tries again: %v", err)
		}
		known := make(map[string]bool)
		for _, s := range settled {
			known[s.Update] = true
		}
		var left []gitops.Update
		for _, u := range updates {
			if !known[u.ID] {
				left = append(left, u)
			}
		}
		all, updates = append(all, settled...), left
	}
	return all
}

func TestTwoWritersAndAPersonShareTheBranch(t *testing.T) {
	overEach(t, testTwoWritersAndAPersonShareTheBranch)
}

func testTwoWritersAndAPersonShareTheBranch(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	const each = 8
	writers := []*Writer{o.writer(), o.writer()}
	lanes := make(map[string][]gitops.Update)
	for n := range each {
		for _, environment := range testEnvironments {
			lanes[environment] = append(lanes[environment], o.update(environment, testApps[n%len(testApps)], fmt.Sprintf("main-%07d", n)))
		}
	}
	var group sync.WaitGroup
	results := make([][]gitops.Transition, len(testEnvironments))
	for i, environment := range testEnvironments {
		group.Go(func() {
			for _, u := range lanes[environment] {
				results[i] = append(results[i], writeUntilSettled(t, writers[i%len(writers)], []gitops.Update{u})...)
			}
		})
	}
	group.Go(func() {
		for n := range each {
			personPushes(t, o, n)
		}
	})
	group.Wait()
	var all []gitops.Transition
	for _, r := range results {
		all = append(all, r...)
	}
	if want := each * len(testEnvironments); len(all) != want {
		t.Fatalf("%d updates are settled, want %d", len(all), want)
	}
	if commits, want := len(o.log()), 1+each+each*len(testEnvironments); commits != want {
		t.Errorf("%d commits on the branch, want %d", commits, want)
	}
	o.check(all...)
}

// personPushes adds a commit to the branch as a push would, beginning again when
// somebody else was faster.
func personPushes(t *testing.T, o *origin, n int) {
	for {
		tip, err := o.repo.Git("rev-parse", "refs/heads/main")
		if err != nil {
			t.Error(err)
			return
		}
		made, err := o.repo.Git("commit-tree", tip+"^{tree}", "-p", tip, "-m", fmt.Sprintf("A person's change %d", n))
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := o.repo.Git("update-ref", "refs/heads/main", made, tip); err == nil {
			return
		}
	}
}

func TestAPersonWhoCommitsMeanwhileDoesNotCostAnUpdate(t *testing.T) {
	overEach(t, testAPersonWhoCommitsMeanwhileDoesNotCostAnUpdate)
}

func testAPersonWhoCommitsMeanwhileDoesNotCostAnUpdate(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	for n := range 3 {
		o.server.Inject(gitserver.Fault{On: gitserver.Push, Before: func() {
			o.commit(gitserver.Change{Files: map[string]string{"README.md": fmt.Sprint(n)}})
		}})
	}
	recorder := &countingRecorder{}
	w2 := o.writer(func(c *Config) { c.Recorder = recorder })
	o.check(o.write(w2, o.update("dev", "shop", "main-0000002"))...)
	if recorder.outcomes[PushConflict] != 3 || recorder.outcomes[PushLanded] != 1 {
		t.Errorf("the pushes ended as %v, want 3 conflicts and 1 that landed", recorder.outcomes)
	}
	o.check(o.write(w, o.update("prod", "cart", "v1.0.0"))...)
}

type countingRecorder struct{ outcomes map[PushOutcome]int }

func TestABranchThatNeverHoldsStillIsAConflict(t *testing.T) {
	overEach(t, testABranchThatNeverHoldsStillIsAConflict)
}

func testABranchThatNeverHoldsStillIsAConflict(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	n := 0
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Times: -1, Before: func() {
		n++
		o.commit(gitserver.Change{Files: map[string]string{"README.md": fmt.Sprint(n)}})
	}})
	u := o.update("dev", "shop", "main-0000001")
	if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Conflict {
		t.Fatalf("got %v, want a conflict", err)
	}
	if n != 10 {
		t.Errorf("%d pushes, want %d", n, 10)
	}
	o.server.Heal()
	o.check(o.write(w, u)...)
}

// The edit is made on the file as the person left it, not pasted over it.
func TestTheEditIsMadeAgainOnTheNewTip(t *testing.T) { overEach(t, testTheEditIsMadeAgainOnTheNewTip) }

func testTheEditIsMadeAgainOnTheNewTip(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := testFile("dev", "shop")
	theirs := valuesFile("shop", "dev", "none") + "theirs: true\n"
	o.commit(gitserver.Change{Files: map[string]string{file: theirs}})
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	if got, want := o.git("show", "main:"+file)+"\n", strings.Replace(theirs, `"none"`, `"main-0000001"`, 1); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
}

// No caller is told "unchanged" or "no such file" of a branch that has moved on.
func TestASettlementWithoutACommitIsOfTheBranchAsItIs(t *testing.T) {
	overEach(t, testASettlementWithoutACommitIsOfTheBranchAsItIs)
}

func testASettlementWithoutACommitIsOfTheBranchAsItIs(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "late"): valuesFile("late", "dev", "none")}})
	settled := o.write(w, o.update("dev", "shop", "main-0000001"))
	if settled[0].Action != gitops.ActionCommit {
		t.Errorf("a value that a person took back is %s, want committed", settled[0].Action)
	}
	o.check(settled...)
	settled = o.write(w, o.update("dev", "late", "main-0000001"))
	if settled[0].Action != gitops.ActionCommit {
		t.Errorf("a file that came late is %s, want committed", settled[0].Action)
	}
	o.check(settled...)
}
