package holds_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
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
