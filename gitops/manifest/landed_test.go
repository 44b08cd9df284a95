package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// takenOver is the update as the next holder of the lane gets it.
func takenOver(u gitops.Update) gitops.Update {
	u.MaybePushed = true
	return u
}

// bury puts n commits of other people on top of the branch. Their dates come
// from at.
func (o *origin) bury(n int, at func(n int) time.Time) {
	o.Helper()
	var b strings.Builder
	for i := range n {
		message := fmt.Sprintf("A person's change %d", i)
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter A Person <person@example.com> %d +0000\ndata %d\n%s\n", at(i).Unix(), len(message), message)
		if i == 0 {
			fmt.Fprintf(&b, "from refs/heads/main^0\n")
		}
		content := fmt.Sprintf("%d\n", i)
		fmt.Fprintf(&b, "M 100644 inline README.md\ndata %d\n%s\n", len(content), content)
	}
	if err := o.repo.Import(strings.NewReader(b.String())); err != nil {
		o.Fatal(err)
	}
}

func now(int) time.Time { return time.Now() }

func TestAnUpdateOfADeadProcessIsFoundOnTheBranch(t *testing.T) {
	overEach(t, testAnUpdateOfADeadProcessIsFoundOnTheBranch)
}

func testAnUpdateOfADeadProcessIsFoundOnTheBranch(t *testing.T, newOrigin origins) {
	tests := []struct {
		name string
		bury func(*origin)
	}{
		{"at the tip", func(*origin) {}},
		{"behind 40 commits", func(o *origin) { o.bury(40, now) }},
		{"behind 600 commits", func(o *origin) { o.bury(600, now) }},
		{"behind commits from 1970", func(o *origin) {
			o.bury(50, func(n int) time.Time { return time.Unix(int64(n), 0) })
		}},
		{"on a side branch that was merged", func(o *origin) {
			tip := o.git("rev-parse", "main")
			side := o.commit(gitserver.Change{From: o.first, Files: map[string]string{"README.md": "side\n"}})
			o.commit(gitserver.Change{From: side, Merge: []string{tip}, Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "main-0000001")}})
			o.bury(20, now)
		}},
	}
	for _, filter := range []string{"true", "false"} {
		for _, tt := range tests {
			t.Run(tt.name+", filter "+filter, func(t *testing.T) {
				o := newOrigin(t)
				o.git("config", "uploadpack.allowFilter", filter)
				u := o.update("dev", "shop", "main-0000001")
				first := o.write(o.writer(), u)
				tt.bury(o)

				second := o.update("dev", "shop", "main-0000002") // this one was never pushed
				settled := o.write(o.writer(), takenOver(u), takenOver(second))
				if settled[0] != first[0] {
					t.Errorf("the second process says %+v, want %+v", settled[0], first[0])
				}
				if settled[1].Action != gitops.ActionCommit {
					t.Errorf("the update that was not pushed is %+v, want committed", settled[1])
				}
				o.check(settled...)
			})
		}
	}
}

// The value may be there again by another hand: the trailer decides.
func TestAnUpdateThatLandedAndWasTakenBackIsNotWrittenAgain(t *testing.T) {
	overEach(t, testAnUpdateThatLandedAndWasTakenBackIsNotWrittenAgain)
}

func testAnUpdateThatLandedAndWasTakenBackIsNotWrittenAgain(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	u := o.update("dev", "shop", "main-0000001")
	first := o.write(o.writer(), u)
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
	settled := o.write(o.writer(), takenOver(u))
	if settled[0] != first[0] {
		t.Errorf("got %+v, want %+v", settled[0], first[0])
	}
	o.check(settled...)
}

// A squash keeps the trailers in the middle of its message.
func TestAnUpdateInASquashHasLanded(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	u := o.update("dev", "shop", "main-0000001")
	squash := o.commit(gitserver.Change{
		Message: "Several (#12)\n\n* chore: bump\n\nTallyman-Update: " + u.ID + "\n\n* another\n\nCo-authored-by: A Person <person@example.com>",
		Files:   map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "main-0000001")},
	})
	settled := o.write(o.writer(), takenOver(u))
	if settled[0].Action != gitops.ActionCommit || settled[0].Commit != squash {
		t.Errorf("got %+v, want the squash %s", settled[0], squash)
	}
}

// Another holder of the lane has pushed the update while this one was paused. It
// shows when the branch has moved, whatever the queue says.
func TestAnUpdateThatAnotherProcessPushedMeanwhile(t *testing.T) {
	overEach(t, testAnUpdateThatAnotherProcessPushedMeanwhile)
}

func testAnUpdateThatAnotherProcessPushedMeanwhile(t *testing.T, newOrigin origins) {
	for _, depth := range []int{0, 5, 30} {
		o := newOrigin(t)
		slow, fast := o.writer(), o.writer()
		o.check(o.write(slow, o.update("prod", "shop", "v1.0.0"))...)
		u := o.update("dev", "shop", "main-0000001")
		first := o.write(fast, u)
		if depth > 0 {
			o.bury(depth, now)
		}
		settled := o.write(slow, u)
		if settled[0] != first[0] {
			t.Errorf("behind %d commits: got %+v, want %+v", depth, settled[0], first[0])
		}
		o.check(settled...)
	}
}

// As when it is caught up with, where the server leaves an object out and the branch
// is fetched from nothing: that has nothing of what came in between.
func TestAnUpdateThatAnotherProcessPushedIsFoundByAFreshSnapshot(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	slow := o.writer()
	if err := slow.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := o.update("dev", "shop", "main-0000001")
	first := o.write(o.writer(), u)
	tip := o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "by hand")}})
	o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Replace: func([]byte) []byte { return o.answerOf(tip) }})
	settled := o.write(slow, u)
	if settled[0] != first[0] {
		t.Errorf("got %+v, want %+v", settled[0], first[0])
	}
	o.check(settled...)
}

func TestTheSameUpdateFromTwoCallersIsOneCommit(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	u := o.update("dev", "shop", "main-0000001")
	settled := o.write(w, u, u)
	if settled[0] != settled[1] || settled[0].Action != gitops.ActionCommit {
		t.Errorf("got %+v", settled)
	}
	again := o.write(w, u)
	if again[0] != settled[0] {
		t.Errorf("given once more: %+v, want %+v", again[0], settled[0])
	}
	o.check(settled...)
}

// A new process looks no further back than it must.
func TestASearchEndsAtTheTimeOfAcceptance(t *testing.T) {
	overEach(t, testASearchEndsAtTheTimeOfAcceptance)
}

func testASearchEndsAtTheTimeOfAcceptance(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	o.bury(3000, func(n int) time.Time { return time.Now().Add(-time.Duration(3000-n) * time.Hour) })
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server.ResetCounts()
	old := takenOver(o.update("dev", "shop", "main-0000000"))
	old.AcceptedAt = old.AcceptedAt.Add(-20 * time.Hour)
	o.updates[old.ID] = old
	o.check(o.write(w, old)...)
	if counts := o.server.Counts(); counts.Requests[gitserver.Fetch] != 1 || counts.BytesOut > 100_000 {
		t.Errorf("%v requests and %d bytes, want one search", counts.Requests, counts.BytesOut)
	}
	o.check(o.write(w, takenOver(o.update("dev", "shop", "main-0000001")), takenOver(o.update("dev", "shop", "main-0000002")))...)
	if n := o.server.Counts().Requests[gitserver.Fetch]; n != 1 {
		t.Errorf("%d fetches, want no further search: what was searched is known", n)
	}
}

// A process that coalesced left the older update out and died before it could
// settle either. The next one must not put the older over the newer.
func TestAnUpdateIsNotWrittenOverALaterOneThatLanded(t *testing.T) {
	overEach(t, testAnUpdateIsNotWrittenOverALaterOneThatLanded)
}

func testAnUpdateIsNotWrittenOverALaterOneThatLanded(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	older, other, newer := o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"), o.update("dev", "shop", "main-0000002")
	o.check(o.write(o.writer(), newer)...)
	for _, u := range []*gitops.Update{&older, &other, &newer} {
		u.MaybePushed = true
	}
	settled := o.write(o.writer(), older, other, newer)
	for i, want := range []gitops.Action{gitops.ActionSupersede, gitops.ActionCommit, gitops.ActionCommit} {
		if settled[i].Action != want {
			t.Errorf("update %d ended as %+v, want %s", i, settled[i], want)
		}
	}
	if !strings.Contains(settled[0].Reason, newer.ID) {
		t.Errorf("the reason does not name the later update: %s", settled[0].Reason)
	}
	if file := o.git("show", "main:"+testFile("dev", "shop")); !strings.Contains(file, newer.Tag) {
		t.Errorf("the file says\n%s", file)
	}
}

// An update of which it cannot be known whether it landed fails, and is not written.
func TestAHistoryThatIsTooLongToSearch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	u, fresh := o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001")
	u.AcceptedAt = u.AcceptedAt.Add(-100 * time.Hour)
	o.bury(500, func(n int) time.Time { return time.Now().Add(time.Duration(n-500) * time.Minute) })
	settled := o.write(o.writer(func(c *Config) { c.Limits.History = 300 }), u, fresh)
	if s := settled[0]; s.Action != gitops.ActionFail || s.Code != gitops.Conflict || !strings.Contains(s.Reason, "too many commits to search") {
		t.Errorf("got %+v", s)
	}
	// A shorter history answers for the other one.
	if s := settled[1]; s.Action != gitops.ActionCommit {
		t.Errorf("got %+v, want its commit", s)
	}
	o.check(settled[1])
	// A person has looked at the file and retries: what came before is known then.
	u.RetriedAt = time.Now()
	if s := o.write(o.writer(func(c *Config) { c.Limits.History = 300 }), u)[0]; s.Action != gitops.ActionCommit {
		t.Errorf("retried: %+v, want its commit", s)
	}
}
