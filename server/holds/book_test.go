package holds_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/holds"
)

var _ lane.Holds = (*holds.Book)(nil)

type kinds = []gitops.BlockKind

// Holds and freezes are judged by the store's clock, by what is in the store now.
func TestJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		now := time.Now().Add(ahead)
		equal(t, "at first", nil, s.held("api", "1"))
		pin := s.place(gitops.Hold{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "0", Until: now.Add(time.Hour)})
		equal(t, "under a pin", kinds{gitops.BlockPin}, s.held("api", "1"))
		equal(t, "another app", nil, s.held("web", "1"))
		equal(t, "the pin's tag", nil, s.held("api", "0"))
		s.place(gitops.Hold{Kind: gitops.HoldStop, Environments: []string{"prod"}})
		s.place(gitops.Hold{Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "1"})
		s.freeze("weekend", "prod", now.Add(-time.Hour), now.Add(2*time.Hour))
		equal(t, "under all, as they were placed", kinds{gitops.BlockPin, gitops.BlockStop, gitops.BlockBad, gitops.BlockFreeze}, s.held("api", "1"))
		u := update("api", "1")
		u.Terms = &gitops.Terms{Passes: kinds{gitops.BlockPin, gitops.BlockFreeze}}
		blocks, err := s.Judge(t.Context(), []gitops.Update{update("web", "1"), u})
		if err != nil || len(blocks) != 2 || len(blocks[0]) != 2 || len(blocks[1]) != 2 {
			t.Errorf("an order that passes pins and freezes: %+v, %v", blocks, err)
		}
		s.lift(pin)
		equal(t, "after the lift", kinds{gitops.BlockStop, gitops.BlockBad, gitops.BlockFreeze}, s.held("api", "1"))
		time.Sleep(2 * time.Hour)
		equal(t, "after the freeze", kinds{gitops.BlockStop, gitops.BlockBad}, s.held("api", "1"))
	})
}

// What is known is read again when it has changed, and for its clock, and not else.
func TestHoldsAreReadWhenTheyChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.place(gitops.Hold{Kind: gitops.HoldStop})
		for range 100 {
			equal(t, "held", kinds{gitops.BlockStop}, s.held("api", "1"))
		}
		equal(t, "lists", 1, s.store.lists.Load())
		equal(t, "revisions", 99, s.store.revisions.Load())
		s.place(gitops.Hold{Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "1"})
		equal(t, "held", kinds{gitops.BlockStop, gitops.BlockBad}, s.held("api", "1"))
		equal(t, "lists after a change", 2, s.store.lists.Load())
		time.Sleep(time.Minute)
		s.held("api", "1")
		equal(t, "lists after a minute", 3, s.store.lists.Load())
	})
}

// Without the store nothing is known, although there was an answer a moment ago.
func TestAnErrorIsNoAnswer(t *testing.T) {
	s := newSite(t)
	s.held("api", "1")
	s.store.down.Store(true)
	if _, err := s.Judge(t.Context(), []gitops.Update{update("api", "1")}); !errors.Is(err, errDown) {
		t.Errorf("the error is %v", err)
	}
	if _, done, err := s.Gate(t.Context(), []gitops.Update{update("api", "1")}); !errors.Is(err, errDown) || done != nil {
		t.Errorf("before a push the error is %v", err)
	}
	if underWay, quiet := s.AwaitQuiet(t.Context(), gitops.Hold{Kind: gitops.HoldStop}); underWay != nil || quiet.IsZero() {
		t.Errorf("what was not pushed is under way: %q, %s", underWay, quiet)
	}
}

// A lane's holder has what other freezes held judged again, once for each change of those
// that are of its environment; a restart with the same ones finds nothing to do.
func TestFreezesThatChanged(t *testing.T) {
	s := newSite(t)
	now := time.Now().Add(ahead)
	rejudge := func(of *holds.Book) {
		t.Helper()
		if err := of.Rejudge(t.Context(), "prod"); err != nil {
			t.Error(err)
		}
	}
	rejudge(s.Book)
	equal(t, "without freezes", 0, s.store.rejudged.Load())
	s.freeze("weekend", "prod", now, now.Add(time.Hour))
	s.store.down.Store(true)
	if err := s.Rejudge(t.Context(), "prod"); !errors.Is(err, errDown) {
		t.Errorf("without the store: %v", err)
	}
	s.store.down.Store(false)
	rejudge(s.Book)
	rejudge(s.Book)
	equal(t, "with the first", 1, s.store.rejudged.Load())
	again := newSite(t)
	again.freeze("weekend", "prod", now, now.Add(time.Hour))
	again.Use(s.store)
	rejudge(again.Book)
	equal(t, "after a restart", 1, s.store.rejudged.Load())
	s.freeze("weekend", "prod", now, now.Add(2*time.Hour))
	rejudge(s.Book)
	equal(t, "with another end", 2, s.store.rejudged.Load())
	s.freeze("weekend", "dev", now, now.Add(time.Hour))
	rejudge(s.Book)
	equal(t, "without it", 3, s.store.rejudged.Load())
	s.freeze("weekend", "dev", now, now.Add(2*time.Hour))
	rejudge(s.Book)
	equal(t, "with another of another environment", 3, s.store.rejudged.Load())
}

// However many holds are about an update, few of them are stored with it.
func TestManyHoldsOfOneUpdate(t *testing.T) {
	s := newSite(t)
	var all []gitops.Hold
	for range 1000 {
		all = append(all, gitops.Hold{Kind: gitops.HoldStop, Apps: []string{"api"}, Principal: "token:ann", Actor: "token:ann"})
	}
	if _, err := s.store.Place(t.Context(), queue.Placement{Holds: all}); err != nil {
		t.Fatal(err)
	}
	s.place(gitops.Hold{Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "1"})
	stop := gitops.BlockStop
	equal(t, "held", kinds{stop, stop, stop, stop, stop, gitops.BlockBad}, s.held("api", "1"))
}
