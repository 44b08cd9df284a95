package lane_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// file is the tag in api's file, as a writer finds it that keeps what was edited by hand.
type file struct {
	mu          sync.Mutex
	tag, commit string // commit: of the edit by hand; "" for the writer's own
	at          time.Time
	expected    []string // of each task that is to be written: "api 2: 1"
}

func (f *file) edit(tag, commit string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tag, f.commit, f.at = tag, commit, at
}

// asked is what was expected since the last forget.
func (f *file) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.expected)
}

func (f *file) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expected = nil
}

// write commits what may be written over the tag that is there.
func (f *file) write(ctx context.Context, tasks []gitops.WriteTask) (r gitops.WriteResult, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range tasks {
		u := t.Update
		f.expected = append(f.expected, task(t)+": "+t.Expected)
		if f.commit != "" && t.Expected != "" && t.Expected != f.tag {
			r.HandEdits = append(r.HandEdits, gitops.HandEdit{Update: u.ID, Tag: f.tag, Commit: f.commit, Author: "Ann Lee", At: f.at})
			continue
		}
		done, _ := commitAll(ctx, []gitops.WriteTask{t})
		r.Transitions = append(r.Transitions, done.Transitions...)
		if u.App == "api" {
			f.tag, f.commit = u.Tag, ""
		}
	}
	return r, nil
}

// edited is a site whose file has 1, which tallyman wrote, and then 9 by hand.
func edited(t *testing.T, s *site) (*lane.Replica, *file) {
	f := &file{}
	s.writer.then(slices.Repeat([]writes{f.write}, 50)...)
	r := s.with(lane.Config{Environments: []lane.Environment{{Name: "dev", RespectHandEdits: true}}})
	r.Start()
	s.accept("api 1")
	synctest.Wait()
	equal(t, "before", []string{"api 1 committed"}, s.happened())
	elapse(time.Minute)
	f.edit("9", "c1c2c3c4c5c6c7c8", time.Now())
	elapse(time.Minute)
	f.forget()
	return r, f
}

// pins has the fake place a pin for each commit but those that had one.
func (h *fakeHolds) pins() {
	had := make(map[string]bool)
	h.edited = func(e gitops.HandEdit) {
		if !had[e.Commit] {
			had[e.Commit] = true
			h.hold("api", gitops.BlockPin, time.Time{})
		}
	}
}

// What automation asks for after an edit by hand is held by the edit's pin. When that is
// lifted it is written over the edit, once; and the next edit has a pin of its own.
func TestAnEditByHandIsPinned(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		r, f := edited(t, s)
		s.holds.pins()
		s.accept("api 2")
		elapse(time.Minute)
		equal(t, "happened", []string{"api 2 pin"}, s.happened())
		equal(t, "tasks", []string{"api 2: 1"}, f.asked())
		if !s.logged("hand edit found") {
			t.Error("the edit is not logged")
		}
		s.holds.free("api")
		s.decide(gitops.ActionRetry, "api 2")
		synctest.Wait()
		equal(t, "happened after the pin", []string{"api 2 committed"}, s.happened())
		equal(t, "tasks", []string{"api 2: 1", "api 2: 1", "api 2: 9"}, f.asked())
		f.edit("9", "d1", time.Now()) // the same tag once more
		elapse(time.Minute)
		s.accept("api 3")
		synctest.Wait()
		equal(t, "happened after the second edit", []string{"api 3 pin"}, s.happened())
		_, edits := s.holds.counts()
		equal(t, "commits", []string{"c1c2c3c4c5c6c7c8", "c1c2c3c4c5c6c7c8", "d1"}, edits)
		r.Stop(t.Context())
		equal(t, "released clean", true, s.releasedClean())
	})
}

// What automation asked for before the edit is superseded, and the reason names the commit
// and its author. A commit of the future says nothing of the order.
func TestWhatIsOlderThanAnEditByHandIsSuperseded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		r, f := edited(t, s)
		s.holds.pins()
		s.holds.hold("api 2", gitops.BlockFreeze, time.Now().Add(time.Hour))
		s.accept("api 2")
		elapse(time.Minute)
		f.edit("9", "c1c2c3c4c5c6c7c8", time.Now())
		elapse(time.Hour)
		equal(t, "happened", []string{"api 2 freeze", "api 2 superseded"}, s.happened())
		equal(t, "reason", "Ann Lee set api to 9 by hand in commit c1c2c3c4c5c6, after this update was accepted. "+
			"To write 2 all the same, order it by name: tallyman update api 2 --env dev", s.update("dev", "api 2").Reason)
		f.edit("8", "d1", time.Now().Add(time.Hour))
		s.holds.free("api")
		s.accept("api 3")
		synctest.Wait()
		equal(t, "happened of an edit in the future", []string{"api 3 pin"}, s.happened())
		s.decide(gitops.ActionCancel, "api 3")
		s.holds.free("api")
		s.holds.hold("api 4", gitops.BlockStop, time.Time{})
		s.accept("api 4")
		elapse(time.Minute)
		f.edit("7", "e1", time.Now())
		elapse(time.Minute)
		s.holds.free("api 4")
		s.decide(gitops.ActionRetry, "api 4")
		synctest.Wait()
		equal(t, "happened of one that a person retried after the edit", []string{"api 3 cancelled", "api 4 stop", "api 4 pin"}, s.happened())
		r.Stop(t.Context())
	})
}

// A person's order replaces an edit, and so does everything where edits count for nothing.
func TestWhatReplacesAnEditByHand(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		r, f := edited(t, s)
		s.order("api 2")
		synctest.Wait()
		equal(t, "happened", []string{"api 2 committed"}, s.happened())
		f.edit("9", "d1", time.Now())
		r.Configure([]lane.Environment{{Name: "dev"}}, func() {})
		s.accept("api 3")
		synctest.Wait()
		equal(t, "happened where edits count for nothing", []string{"api 3 committed"}, s.happened())
		equal(t, "tasks", []string{"api 2: ", "api 3: "}, f.asked())
		r.Stop(t.Context())
	})
}

// An edit that cannot be recorded has its app wait; others go on, and it is tried again.
func TestAnEditThatCannotBeRecorded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		r, f := edited(t, s)
		s.holds.pins()
		place := s.holds.edited
		s.holds.edited = nil
		fails := 2
		s.holds.editErr = func() error {
			if fails--; fails >= 0 {
				return gitops.Errorf(gitops.TooLarge, "10000 holds are in force")
			}
			s.holds.edited = place
			return nil
		}
		s.accept("api 2", "web 1")
		elapse(5 * time.Second)
		equal(t, "happened", []string{"web 1 committed"}, s.happened())
		equal(t, "tasks", []string{"api 2: 1", "web 1: "}, f.asked())
		elapse(25 * time.Second)
		equal(t, "happened at last", []string{"api 2 pin"}, s.happened())
		equal(t, "tasks", 4, len(f.asked()))
		r.Stop(t.Context())
	})
}

// What happened before an edit is older than it, also when it was delivered and accepted
// after it, and the edit's pin has ended. Within a minute two clocks say nothing of it.
func TestALateEventIsOlderThanAnEditByHand(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		r, f := edited(t, s)
		s.acceptAsOf(f.at.Add(-2*time.Minute), "api 2")
		synctest.Wait()
		equal(t, "happened", []string{"api 2 superseded"}, s.happened())
		equal(t, "reason", "Ann Lee set api to 9 by hand in commit c1c2c3c4c5c6, after this release from "+f.at.Add(-2*time.Minute).UTC().Format(time.RFC3339)+". "+
			"To write 2 all the same, order it by name: tallyman update api 2 --env dev", s.update("dev", "api 2").Reason)
		s.acceptAsOf(f.at.Add(-time.Minute), "api 3")
		synctest.Wait()
		equal(t, "happened of one from a minute before", []string{"api 3 committed"}, s.happened())
		r.Stop(t.Context())
	})
}

// An edit that a person's order of the same batch replaces is not pinned: the pin would hold
// what comes after the order, by a tag that nothing runs any more.
func TestAnEditThatAnOrderReplacesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		r, _ := edited(t, s)
		s.holds.pins()
		s.holds.hold("api", gitops.BlockFreeze, time.Now().Add(time.Hour))
		s.accept("api 2")
		s.order("api 3")
		elapse(2 * time.Hour)
		equal(t, "happened", []string{"api 2 freeze", "api 3 freeze", "api 3 committed", "api 2 superseded"}, s.happened())
		s.accept("api 4")
		synctest.Wait()
		equal(t, "happened afterwards", []string{"api 4 committed"}, s.happened())
		r.Stop(t.Context())
	})
}

// An order that was held while somebody edited the file is the older word, as all that was
// held is. One from after the edit replaces it, held or not, and so does one where nobody
// can tell.
func TestAnOrderThatWasHeldMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		edited time.Duration // after the order
		want   string
	}{
		"edited before the order": {-time.Second, "api 2 committed"},
		"edited after the order":  {time.Minute, "api 2 superseded"},
		"edited in the future":    {3 * time.Hour, "api 2 committed"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				r, f := edited(t, s)
				s.holds.hold("api", gitops.BlockFreeze, time.Now().Add(time.Hour))
				s.order("api 2")
				f.edit("8", "d1d2d3d4d5d6d7d8", time.Now().Add(c.edited))
				elapse(2 * time.Hour)
				equal(t, "happened", []string{"api 2 freeze", c.want}, s.happened())
				r.Stop(t.Context())
				equal(t, "released clean", true, s.releasedClean())
			})
		})
	}
}
