package holds_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

func (s *site) edited(tag, commit, author string) {
	s.t.Helper()
	if err := s.HandEdited(s.t.Context(), update("api", "2"), gitops.HandEdit{Update: "api", Tag: tag, Commit: commit, Author: author}); err != nil {
		s.t.Error(err)
	}
}

func (s *site) pins() []gitops.Hold {
	s.t.Helper()
	found, err := s.store.HoldsInForce(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return found.Holds
}

// An edit by hand is a pin of its author's, once: neither while it is in force, nor after it
// was lifted or is over, does the same commit place another.
func TestHandEdited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		now := time.Now().Add(ahead).UTC()
		s.edited("9", "c1c2c3c4c5c6c7c8", "Ann Lee")
		s.edited("9", "c1c2c3c4c5c6c7c8", "Ann Lee")
		pins := s.pins()
		equal(t, "pins", []gitops.Hold{{
			ID: "h1", Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "9",
			Principal: "git", Actor: "git:Ann-Lee", Reason: "edited by hand in c1c2c3c4c5c6", Since: now, Until: now.Add(72 * time.Hour),
		}}, pins)
		equal(t, "automation", kinds{gitops.BlockPin}, s.held("api", "2"))
		equal(t, "the edit's tag", nil, s.held("api", "9"))
		s.lift(pins[0])
		s.edited("9", "c1c2c3c4c5c6c7c8", "Ann Lee")
		equal(t, "pins after the lift", 0, len(s.pins()))
		s.edited("8", "d1", "Ann Lee")
		equal(t, "pins of the next commit", "8", s.pins()[0].Tag)
		time.Sleep(73 * time.Hour)
		s.edited("8", "d1", "Ann Lee")
		equal(t, "pins after its time", 0, len(s.pins()))
	})
}

// A pin that a person placed after the edit stays in its place: it is the newer word, and so
// it is when nobody can tell when the edit was made. One from before is replaced.
func TestAPersonsPinAndAHandEdit(t *testing.T) {
	now := time.Now().Add(ahead)
	for name, c := range map[string]struct {
		at   time.Time
		want string
	}{
		"an edit from before the pin":  {now.Add(-time.Minute), "1"},
		"an edit of an unknown time":   {time.Time{}, "1"},
		"an edit from the future":      {now.Add(time.Hour), "1"},
		"an edit from after the pin":   {now.Add(2 * time.Minute), "9"},
		"an edit of another app's pin": {now.Add(-time.Minute), "9"},
	} {
		s := newSite(t)
		moved := now
		s.store.Model = queuetest.NewModel(func() time.Time { return moved }, queuetest.Hooks{})
		pin := gitops.Hold{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1", Until: now.Add(time.Hour)}
		if strings.Contains(name, "another") {
			pin.Apps = []string{"web"}
		}
		s.place(pin)
		moved = now.Add(3 * time.Minute)
		if err := s.HandEdited(t.Context(), update("api", "2"), gitops.HandEdit{Tag: "9", Commit: "c1", At: c.at}); err != nil {
			t.Fatal(err)
		}
		pins := s.pins()
		equal(t, name, c.want, pins[len(pins)-1].Tag)
	}
}

// An edit that a person's order is about to replace gets no pin, and one that is held does.
// What a person ordered before the pin was placed is not held by it; all else is.
func TestAPersonsOrderAndAHandEdit(t *testing.T) {
	s := newSite(t)
	accept := func(id, principal, tag string) gitops.Update {
		d, _, err := s.store.Accept(t.Context(), gitops.Delivery{
			Source: "api", ID: id, Principal: principal, Outcome: gitops.OutcomeAccepted, Updates: []gitops.Update{{Environment: "prod", App: "api", Tag: tag}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return d.Updates[0]
	}
	find := func(u gitops.Update, commit string) {
		t.Helper()
		if err := s.HandEdited(t.Context(), u, gitops.HandEdit{Tag: "9", Commit: commit}); err != nil {
			t.Fatal(err)
		}
	}
	pushed := accept("1", "push:a", "2")
	order := accept("2", "token:ann", "3")
	find(pushed, "c1")
	equal(t, "pins under an order", 0, len(s.pins()))
	bad := s.place(gitops.Hold{Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "3"})
	find(pushed, "c1")
	equal(t, "holds under an order that is held", 2, len(s.pins()))
	s.lift(bad)
	later := accept("3", "token:ann", "4")
	for what, c := range map[string]struct {
		u    gitops.Update
		held bool
	}{"automation": {pushed, true}, "the order from before": {order, false}, "an order from after": {later, true}} {
		blocks, err := s.Judge(t.Context(), []gitops.Update{c.u})
		if err != nil || len(blocks[0]) > 0 != c.held {
			t.Errorf("%s: %+v, %v", what, blocks, err)
		}
	}
	find(accept("4", "push:a", "5"), "d1")
	equal(t, "the pin, when no order is newer", gitops.HandEditPrincipal, s.pins()[0].Principal)
}

// What is no tag of an image is not kept.
func TestAnEditThatIsNoTag(t *testing.T) {
	s := newSite(t)
	s.edited("{{ .Values.tag }}", "c1", "Ann Lee")
	s.edited("", "c2", "Ann Lee")
	equal(t, "pins", 0, len(s.pins()))
}

// Whatever an author is called, the pin is placed in that name as far as it can be one.
func TestAuthorsOfHandEdits(t *testing.T) {
	s := newSite(t)
	n := 0
	for author, want := range map[string]string{
		"ann":                    "git:ann",
		"Änn Lee":                "git:-nn-Lee",
		"myshop-ci[bot]":         "git:myshop-ci[bot]",
		"":                       "git:unknown",
		"x\nTallyman-Update: y":  "git:x-Tallyman-Update--y",
		strings.Repeat("a", 500): "git:" + strings.Repeat("a", 124),
	} {
		n++
		s.edited("9", fmt.Sprint("c", n), author)
		equal(t, author, want, s.pins()[0].Actor)
	}
}

// Where no more holds are placed the edit is not recorded, and whoever asks is told.
func TestAHandEditWithoutRoom(t *testing.T) {
	s := newSite(t)
	s.store.full.Store(true)
	err := s.HandEdited(t.Context(), update("api", "2"), gitops.HandEdit{Tag: "9", Commit: "c1"})
	equal(t, "code", gitops.TooLarge, gitops.CodeOf(err))
	s.store.down.Store(true)
	err = s.HandEdited(t.Context(), update("api", "2"), gitops.HandEdit{Tag: "9", Commit: "c1"})
	equal(t, "code without the store", gitops.Unavailable, gitops.CodeOf(err))
}
