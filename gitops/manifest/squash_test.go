package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// squashing makes the writer squash the updates of these environments.
func squashing(environments ...string) func(*Config) {
	return func(c *Config) {
		c.Squash = func(environment string) bool { return strings.Contains(strings.Join(environments, " "), environment) }
	}
}

func TestABatchBecomesOneCommit(t *testing.T) { overEach(t, testABatchBecomesOneCommit) }

func testABatchBecomesOneCommit(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "nokey"): "a: 1\n", testFile("dev", "same"): valuesFile("same", "dev", "main-0000001")}})
	recorder := &pushedUpdates{}
	w := o.writer(squashing("dev"), func(c *Config) { c.Recorder = recorder })
	settled := o.write(w,
		o.update("dev", "shop", "main-0000001"),
		o.update("dev", "none", "main-0000001"),  // no such file
		o.update("dev", "nokey", "main-0000001"), // no such key
		o.update("dev", "same", "main-0000001"),
		o.update("dev", "cart", "main-0000001"),
		o.update("dev", "shop", "main-0000002"),
		o.update("dev", "shop", "main-0000002"), // says what the one before it did
	)
	states := []gitops.Action{gitops.ActionCommit, gitops.ActionFail, gitops.ActionFail, gitops.ActionConfirm, gitops.ActionCommit, gitops.ActionCommit, gitops.ActionConfirm}
	for n, s := range settled {
		if s.Action != states[n] {
			t.Errorf("update %d is %+v, want %s", n, s, states[n])
		}
	}
	if settled[0].Commit != settled[4].Commit || settled[0].Commit != settled[5].Commit {
		t.Errorf("not one commit: %+v", settled)
	}
	if !strings.Contains(settled[0].Reason, "main-0000002 (update "+settled[5].Update+")") || settled[4].Reason+settled[5].Reason != "" {
		t.Errorf("the one that another replaced says %q, the others %q and %q", settled[0].Reason, settled[4].Reason, settled[5].Reason)
	}
	if n := len(o.log()); n != 3 {
		t.Errorf("%d commits, want the first two and one of the batch", n)
	}
	if recorder.updates != 3 {
		t.Errorf("%d updates were counted in the push, want 3", recorder.updates)
	}
	o.check(settled...)

	alone := o.write(w, o.update("dev", "mail", "main-0000001")) // has the subject of one
	o.check(alone...)
	nothing := o.write(w, o.update("dev", "mail", "main-0000001"), o.update("dev", "none", "main-0000001"))
	if nothing[0].Action != gitops.ActionConfirm || nothing[1].Action != gitops.ActionFail || len(o.log()) != 4 {
		t.Errorf("of a batch that changes nothing came %+v and %d commits", nothing, len(o.log()))
	}
	o.check(nothing...)
}

type pushedUpdates struct {
	countingRecorder
	updates int
}

func (r *pushedUpdates) Pushed(outcome PushOutcome, took time.Duration, updates int) {
	r.updates += updates
	r.countingRecorder.Pushed(outcome, took, updates)
}

// What was released and taken back in one batch is on the branch as it was, and
// both are told so by a commit.
func TestABatchThatEndsWhereItBeganIsACommit(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(squashing("prod"))
	settled := o.write(w, o.update("prod", "shop", "v2.0.0"), o.update("prod", "shop", "none"))
	if settled[0].Action != gitops.ActionCommit || settled[1].Action != gitops.ActionCommit || settled[0].Commit != settled[1].Commit {
		t.Errorf("got %+v", settled)
	}
	o.check(settled...)
	o.check(o.write(w, o.update("prod", "shop", "v2.0.1"))...)
	o.check(o.write(o.writer(squashing("prod")), takenOver(o.updates[settled[0].Update]))...)
}

// Each environment has its own setting, and they go out in one push.
func TestEnvironmentsThatSquashAndOthersShareAPush(t *testing.T) {
	overEach(t, testEnvironmentsThatSquashAndOthersShareAPush)
}

func testEnvironmentsThatSquashAndOthersShareAPush(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	recorder := &countingRecorder{}
	w := o.writer(squashing("dev", "prod"), func(c *Config) { c.Recorder = recorder })
	hold := o.holdPush(gitserver.Fault{})
	waiting := []<-chan result{writeSoon(t.Context(), w, o.update("staging", "auth", "main-9999999"))}
	<-hold.arrived
	for _, environment := range testEnvironments {
		var batch []gitops.Update
		for n := range 10 {
			batch = append(batch, o.update(environment, testApps[n%len(testApps)], fmt.Sprintf("main-%07d", n)))
		}
		waiting = append(waiting, writeSoon(t.Context(), w, batch...))
	}
	awaitCalls(w, len(waiting))
	close(hold.release)
	var all []gitops.Transition
	for _, done := range waiting {
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		all = append(all, r.settled...)
	}
	if n := len(o.log()); n != 1+1+10+1+1 || recorder.outcomes[PushLanded] != 2 {
		t.Errorf("%d commits in pushes that ended as %v, want 14 in 2", n, recorder.outcomes)
	}
	o.check(all...)
}

// A squash is made again on the tip where it will land.
func TestASquashThatLosesTheRaceIsMadeAgain(t *testing.T) {
	overEach(t, testASquashThatLosesTheRaceIsMadeAgain)
}

func testASquashThatLosesTheRaceIsMadeAgain(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer(squashing("dev"))
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Before: func() {
		o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "main-0000001")}})
	}})
	if o.ssh != nil { // there the branch is seen before anything is sent
		o.server.Heal()
		o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "main-0000001")}})
	}
	settled := o.write(w, o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"), o.update("dev", "mail", "main-0000001"))
	if settled[0].Action != gitops.ActionConfirm || settled[1].Action != gitops.ActionCommit || settled[1].Commit != settled[2].Commit {
		t.Errorf("got %+v, want what the person wrote unchanged, and one commit", settled)
	}
	o.check(settled...)
}

// Whether the answer was lost or the process died: the squash is found by any of
// its updates.
func TestASquashWhoseAnswerWasLostIsFound(t *testing.T) {
	overEach(t, testASquashWhoseAnswerWasLostIsFound)
}

func testASquashWhoseAnswerWasLostIsFound(t *testing.T, newOrigin origins) {
	for _, applied := range []bool{false, true} {
		o := newOrigin(t)
		w := o.writer(squashing("dev"))
		batch := []gitops.Update{o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"), o.update("dev", "shop", "main-0000002")}
		if err := w.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: applied, Cut: true, Before: func() {
			o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Cut: true, Times: -1})
		}})
		if settled, err := writeAll(t.Context(), w, batch...); gitops.CodeOf(err) != gitops.Unavailable || len(settled) != 0 {
			t.Fatalf("got %v and %v, want nothing and unavailable", settled, err)
		}
		o.server.Heal()
		o.bury(20, now)
		late := o.update("dev", "mail", "main-0000003")
		settled := o.write(w, append(batch, late)...) // the same process
		o.check(settled...)
		for n, u := range batch {
			if settled[n].Action != gitops.ActionCommit || settled[n].Commit != settled[0].Commit {
				t.Errorf("taken: %t: %+v", applied, settled[n])
			}
			batch[n] = takenOver(u)
		}
		again := o.write(o.writer(), batch...) // and the next one, which does not squash any more
		for n := range batch {
			if again[n].Commit != settled[n].Commit {
				t.Errorf("the next process says %+v, want %+v", again[n], settled[n])
			}
		}
		o.check(again...)
	}
}

// A part of the squash, given again, is not written again.
func TestASquashThatIsGivenAgainInAnotherBatch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(squashing("dev"))
	one, two := o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001")
	first := o.write(w, one, two, one)
	if first[0] != first[2] {
		t.Errorf("the same update twice in a batch: %+v and %+v", first[0], first[2])
	}
	o.check(first...)
	second := o.write(o.writer(squashing("dev")), takenOver(two), o.update("dev", "shop", "main-0000002"), o.update("dev", "mail", "main-0000002"))
	if second[0].Commit != first[1].Commit || second[1].Commit == first[0].Commit || second[1].Commit != second[2].Commit {
		t.Errorf("got %+v after %+v", second, first)
	}
	o.check(second...)
}

// More than fits into one push is more than one commit.
func TestABatchThatIsTooLargeForAPushIsSplit(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	const files = 5
	padding := strings.Repeat("# "+strings.Repeat("x", 97)+"\n", (16<<20/files)/100*11/10)
	change := gitserver.Change{Files: make(map[string]string)}
	var batch []gitops.Update
	for n := range files {
		app := fmt.Sprintf("large-%d", n)
		change.Files[testFile("dev", app)] = valuesFile(app, "dev", "none") + padding
		batch = append(batch, o.update("dev", app, "main-0000001"))
	}
	batch = append(batch, o.update("dev", "shop", "main-0000001"), o.update("prod", "shop", "v1.0.0"))
	o.commit(change)
	settled := o.write(o.writer(squashing("dev")), batch...)
	if settled[0].Commit == settled[5].Commit || settled[0].Commit != settled[4].Commit {
		t.Errorf("got %+v, want two commits", settled)
	}
	o.check(settled...)
}

// A pack has one version of each file and tree, whatever was in between.
func TestASquashSendsOnlyWhatRemains(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(squashing("dev"))
	var batch []gitops.Update
	for n := range 200 {
		batch = append(batch, o.update("dev", testApps[n%len(testApps)], fmt.Sprintf("main-%07d", n)))
	}
	before := len(strings.Split(o.git("cat-file", "--batch-all-objects", "--batch-check"), "\n"))
	o.check(o.write(w, batch...)...)
	// 4 files, their 4 directories, charts, the root and the commit.
	needed := len(strings.Split(o.git("rev-list", "--objects", "main", "^"+o.first), "\n"))
	there := len(strings.Split(o.git("cat-file", "--batch-all-objects", "--batch-check"), "\n"))
	if needed != 11 || there != before+needed {
		t.Errorf("the branch got %d objects, and the server %d, want 11", needed, there-before)
	}
}
