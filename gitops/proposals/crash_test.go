package proposals_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

// crashCase is something that a process does for an update when it dies.
type crashCase struct {
	name   string
	before func(s *site)                                       // by a process that lives
	begin  func(s *site)                                       // then the process that dies
	wish   func(u *gitops.Update) func(w *gitops.ProposalWish) // of each process
	pulls  []string                                            // in the end
	states map[string]gitops.State                             // in the end, by tag
}

var closeWish = func(u *gitops.Update) func(w *gitops.ProposalWish) {
	return func(w *gitops.ProposalWish) {
		if u.State == gitops.Proposed {
			w.Close = "ann cancelled it"
		}
	}
}

func plain(*gitops.Update) func(*gitops.ProposalWish) { return func(*gitops.ProposalWish) {} }

func crashCases() []crashCase {
	first := func(s *site) { s.propose("1.1.0") }
	order := func(tag string) func(s *site) { return func(s *site) { s.order(tag) } }
	return []crashCase{
		{"propose", func(*site) {}, order("1.1.0"), plain, []string{"open 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Proposed}},
		{"update", first, order("1.2.0"), plain, []string{"open 1.2.0"}, map[string]gitops.State{"1.1.0": gitops.Superseded, "1.2.0": gitops.Proposed}},
		{"close", first, func(*site) {}, closeWish, []string{"closed 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Cancelled}},
		{"merge", first, func(s *site) { s.w.Merge(1, "squash", "bo") }, plain, []string{"merged 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Committed}},
		{"merge without trailers", func(s *site) {
			s.w.Set(func(w *proposalstest.World) { w.Squash, w.Stale = proposalstest.SquashBlank, true })
			first(s)
		}, func(s *site) { s.w.Merge(1, "squash", "bo") }, plain, []string{"merged 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Committed}},
		{"close by a person", first, func(s *site) { s.w.Close(1, "bo") }, plain, []string{"closed 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Closed}},
		{"arm", func(s *site) { s.env.Merge = proposals.MergeAuto }, order("1.1.0"), plain, []string{"merged 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Committed}},
		{"base has the tag", first, func(s *site) { s.w.EditBase("prod", "api", "1.1.0", "ann") }, plain, []string{"closed 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Unchanged}},
		{"rebuild", first, func(s *site) { s.w.EditBase("prod", "api", "1.0.1", "ann") }, plain, []string{"open 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Proposed}},
		{"update that a merge comes before", first, func(s *site) { s.order("1.2.0"); s.w.Merge(1, "squash", "bo") }, plain,
			[]string{"merged 1.1.0", "open 1.2.0"}, map[string]gitops.State{"1.1.0": gitops.Committed, "1.2.0": gitops.Proposed}},
		{"rollback", first, func(s *site) { s.order("0.9.0").Terms = &gitops.Terms{RollsBack: "1.0.0"} }, plain,
			[]string{"closed 1.1.0", "open 0.9.0"}, map[string]gitops.State{"1.1.0": gitops.Superseded, "0.9.0": gitops.Proposed}},
		{"person's commit", first, func(s *site) { s.w.PushOnto("prod", "api", "", "bo"); s.order("1.2.0") }, plain,
			[]string{"open 1.1.0"}, map[string]gitops.State{"1.1.0": gitops.Proposed, "1.2.0": gitops.Pending}},
	}
}

// A process dies at each of its calls, which is done or not, and what it reported last is
// recorded or not: the next process ends with one pull request, one commit and the right state.
func TestCrashAtEveryStep(t *testing.T) {
	for _, c := range crashCases() {
		t.Run(c.name, func(t *testing.T) {
			for variant := range 4 {
				done, lost := variant&1 != 0, variant&2 != 0
				steps := 0
				for n := 1; crash(t, c, n, done, lost); n++ {
					steps = n
				}
				if steps < 3 {
					t.Errorf("the process dies at %d calls: nothing is tested", steps)
				}
			}
		})
	}
}

// crash runs a case where the process dies at its nth call, and reports whether it came to that.
func crash(t *testing.T, c crashCase, n int, done, lost bool) (died bool) {
	inWorld(t, func(s *site) {
		c.before(s)
		s.p.DieAt(n, done)
		c.begin(s)
		s.wishAll(c.wish)
		s.room.Look("prod")
		for range 20 {
			time.Sleep(time.Second)
			if synctest.Wait(); lost && isDead(s.p) {
				break
			}
			s.collect()
		}
		if died = isDead(s.p); !died {
			return
		}
		s.room.Close()
		s.start()
		s.wishAll(c.wish)
		for range 5 { // as a lane does: a wish that ended leaves others to be wished for
			s.after(10 * time.Second)
			s.wishAll(c.wish)
		}
		at := fmt.Sprintf("call %d, done: %t, lost: %t", n, done, lost)
		s.pullsAt(at, c.pulls...)
		for _, u := range s.updates {
			if want := c.states[u.Tag]; u.State != want {
				t.Errorf("%s: %s is %s (%s), not %s; reported %q", at, u.Tag, u.State, u.Reason, want, s.log)
			}
		}
		if n := s.w.Carried("prod", "api")["1.1.0"]; n > 1 {
			t.Errorf("%s: %d commits on the base branch", at, n)
		}
		if n := len(s.w.Comments(1)); n > 1 {
			t.Errorf("%s: %d comments", at, n)
		}
	})
	return died && !t.Failed()
}

func isDead(p *proposalstest.Process) bool {
	select {
	case <-p.Dead():
		return true
	default:
		return false
	}
}
