package github_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// open asks once, and holds the answer to how many there are and whether that is new.
func (s *site) open(many int, changed bool) {
	s.t.Helper()
	got, now, err := s.Forge.Open(s.t.Context())
	if err != nil || now != changed || len(got) != many {
		s.t.Fatalf("%d are open, changed %t, %v; want %d, %t", len(got), now, err, many, changed)
	}
}

// What has not changed costs nothing and is told so; each kind of change is told once.
func TestOpenIsToldOnceAndFreeAfterwards(t *testing.T) {
	s := newSite(t)
	s.open(0, true)
	s.open(0, false)
	s.propose("1.1.0")
	s.open(1, true)
	left := s.github.Left()
	for range 5 {
		s.open(1, false)
	}
	if s.github.Left() != left {
		t.Errorf("%d calls were left, and are %d", left, s.github.Left())
	}
	for name, change := range map[string]func(){
		"a push":    func() { s.repo.Push("ann", gitserver.Change{Branch: topic, Files: map[string]string{"web.yaml": "x"}}) },
		"a text":    func() { s.repo.Rename("ann", 1, "Hers", "") },
		"a label":   func() { s.repo.Label(1, "size/S") },
		"a review":  func() { s.repo.Approve("bob", 1) },
		"an arming": func() { s.repo.Rule("main", githubtest.Reviews(2)); s.repo.Arm("ann", 1, "squash") },
	} {
		s.clock.Pass(time.Minute)
		change()
		t.Log(name)
		s.open(1, true)
		s.open(1, false)
	}
	s.repo.Close("ann", 1)
	s.open(0, true)
}

// The tags of another token are others: what is the same is told as unchanged all the same.
func TestOpenWithAnotherToken(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	s.open(1, true)
	s.clock.Pass(2 * time.Hour)
	s.open(1, false)
}

// An answer that was lost half way hides no change from the next.
func TestOpenAfterAFailure(t *testing.T) {
	s := newSite(t)
	s.many(101)
	s.open(101, true)
	s.repo.Rename("ann", 1, "Hers", "")
	for _, applied := range []bool{false, true} {
		s.github.Inject(githubtest.Fault{Method: "GET", Path: path("/pulls"), Times: 1}) // page 1 comes
		s.github.Inject(githubtest.Fault{Method: "GET", Path: path("/pulls"), Times: 1, Applied: applied, Status: http.StatusBadGateway})
		if _, _, err := s.Forge.Open(t.Context()); err == nil {
			t.Fatal("no error")
		}
	}
	s.open(101, true)
	s.open(101, false)
}

// many opens pull requests of many apps.
func (s *site) many(n int) {
	s.t.Helper()
	commit := s.push("template", "1.1.0")
	var stream strings.Builder
	for i := range n {
		fmt.Fprintf(&stream, "reset refs/heads/tallyman/prod/app-%03d\nfrom %s\n\n", i, commit)
	}
	if err := s.git.Import(strings.NewReader(stream.String())); err != nil {
		s.t.Fatal(err)
	}
	for i := range n {
		s.repo.Open(bot, fmt.Sprintf("tallyman/prod/app-%03d", i), "main")
	}
}

// The hundredth fills a page, and the one after it does not change that page: it is found all
// the same.
func TestOpenPastAFullPage(t *testing.T) {
	s := newSite(t)
	s.many(100)
	s.open(100, true)
	s.open(100, false)
	s.propose("1.1.0")
	s.open(101, true)
	s.open(101, false)
	s.repo.Close("ann", 1)
	s.open(100, true)
	s.repo.Close("ann", 101)
	s.open(99, true)
	s.open(99, false)
}

// Whoever may open pull requests may open many with the longest text that GitHub takes, in
// letters that JSON writes with six: the list stays within what is read of one answer.
func TestOpenAmongTheLongestTexts(t *testing.T) {
	s := newSite(t)
	s.many(99)
	for number := 1; number <= 99; number++ {
		s.repo.Rename("ann", number, "Hers", strings.Repeat("<", 65_536))
	}
	s.propose("1.1.0")
	s.open(100, true)
	s.open(100, false)
}

// A list that never ends is given up.
func TestOpenWithoutEnd(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	s.github.Inject(githubtest.Fault{Method: "GET", Path: path("/pulls"), Times: 1 << 20, Status: http.StatusOK,
		Header: http.Header{"Link": {`<` + s.github.URL + path("/pulls") + `?page=7>; rel="next"`}}, Body: `[]`})
	if open, _, err := s.Forge.Open(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("%d are open, %v", len(open), err)
	}
	if pulls, err := s.Pulls(t.Context(), topic); err != nil || len(pulls) != 0 {
		t.Errorf("%d pull requests, %v", len(pulls), err)
	}
}
