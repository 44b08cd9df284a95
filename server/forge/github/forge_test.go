package github_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver/gittest"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

func TestAPullRequestIsOpenedFoundEditedAndClosed(t *testing.T) {
	s := newSite(t)
	head := s.push(topic, "1.1.0")
	created, err := s.Create(t.Context(), topic, text("1.1.0", "release", "prod"))
	if err != nil {
		t.Fatal(err)
	}
	want := proposals.Pull{
		Number: 1, ID: created.ID, URL: "https://github.com/myshop/manifests/pull/1", Branch: topic, Head: head,
		State: proposals.PullOpen, Text: text("1.1.0", "release", "prod"), OpenedAt: s.clock.Now().UTC(),
	}
	if diff := cmp.Diff(want, created); diff != "" || created.ID == "" {
		t.Error(diff)
	}
	found, err := s.Pulls(t.Context(), topic)
	if diff := cmp.Diff([]proposals.Pull{want}, found); diff != "" || err != nil {
		t.Error(err, diff)
	}
	s.repo.Label(1, "size/S") // which is somebody else's
	if err := s.Edit(t.Context(), 1, text("1.2.0", "Release", "new")); err != nil {
		t.Fatal(err)
	}
	want.Text = text("1.2.0", "release", "prod", "size/S", "new")
	if got := s.get(1); !cmp.Equal(want.Text, got.Text) {
		t.Error(cmp.Diff(want.Text, got.Text))
	}
	if err := s.Close(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	got := s.get(1)
	if got.State != proposals.PullClosed || got.EndedBy != bot || !got.ByUs || !got.EndedAt.Equal(s.clock.Now()) || !got.Landed.IsZero() {
		t.Errorf("closed as %+v", got)
	}
}

// What a branch cannot be proposed for is told apart: the room acts on it.
func TestCreateRefused(t *testing.T) {
	s := newSite(t)
	s.github.Expect(422)
	gittest.Git(t, s.git, "branch", "tallyman/prod/same", "main")
	s.push(topic, "1.1.0")
	for branch, want := range map[string]error{topic: nil, "tallyman/prod/same": proposals.ErrNoCommits} {
		if _, err := s.Create(t.Context(), branch, text("1.1.0")); !errors.Is(err, want) {
			t.Errorf("%s: %v", branch, err)
		}
	}
	if _, err := s.Create(t.Context(), topic, text("1.1.0")); !errors.Is(err, proposals.ErrExists) {
		t.Error(err)
	}
	_, err := s.Create(t.Context(), "tallyman/prod/gone", text("1.1.0"))
	if gitops.CodeOf(err) != gitops.Rejected || !strings.Contains(gitops.PublicOf(err), "head: invalid") {
		t.Error(err)
	}
	long := text("1.1.0")
	long.Title = strings.Repeat("x", 257)
	if err := s.Edit(t.Context(), 1, long); gitops.CodeOf(err) != gitops.Rejected || !strings.Contains(gitops.PublicOf(err), "title is too long") {
		t.Error(err)
	}
}

// Every way in which a person ends a pull request is told with who and where.
func TestWhoEndedIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(s *site)
		state proposals.PullState
		by    string
	}{
		{"merge", func(s *site) { s.repo.Merge("ann", 1, "merge") }, proposals.PullMerged, "ann"},
		{"squash", func(s *site) { s.repo.Merge("ann", 1, "squash") }, proposals.PullMerged, "ann"},
		{"rebase", func(s *site) { s.repo.Merge("ann", 1, "rebase") }, proposals.PullMerged, "ann"},
		{"queue", func(s *site) {
			s.repo.Rule("main", queueRule)
			s.repo.Enqueue("ann", 1)
			s.repo.MergeQueued()
		}, proposals.PullMerged, "github-merge-queue[bot]"},
		{"pushed by hand", func(s *site) { gittest.Git(s.t, s.git, "update-ref", "refs/heads/main", topic) }, proposals.PullMerged, bot},
		{"closed", func(s *site) { s.repo.Close("bob", 1) }, proposals.PullClosed, "bob"},
		{"branch deleted", func(s *site) { s.repo.DeleteBranch("bob", topic) }, proposals.PullClosed, "bob"},
		{"closed by an account that is gone", func(s *site) { s.repo.Close("", 1) }, proposals.PullClosed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.propose("1.1.0")
			s.clock.Pass(time.Hour)
			c.do(s)
			got := s.get(1)
			tip := gittest.Git(t, s.git, "rev-parse", "main")
			if got.State != c.state || got.EndedBy != c.by || got.ByUs != (c.by == bot) || !got.EndedAt.Equal(s.clock.Now()) || (got.Landed.String() == tip) != (c.state == proposals.PullMerged) {
				t.Errorf("told %+v, and main is at %s", got, tip)
			}
			listed, err := s.Pulls(t.Context(), topic)
			if err != nil || len(listed) != 1 || listed[0].State != c.state || listed[0].Landed != got.Landed {
				t.Errorf("listed as %+v, %v", listed, err)
			}
		})
	}
}

// A pull request that a person has go into another branch is not the base branch's any more, and
// one can be opened beside it.
func TestAnotherBase(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	gittest.Git(t, s.git, "branch", "next", "main")
	s.repo.Retarget("ann", 1, "next")
	if _, err := s.Get(t.Context(), 1); gitops.CodeOf(err) != gitops.NotFound || !strings.Contains(gitops.PublicOf(err), "goes into next now, not into main") {
		t.Errorf("told of it: %v", err)
	}
	if p, err := s.Create(t.Context(), topic, text("1.1.0")); err != nil || p.Number != 2 {
		t.Errorf("opened beside it: %+v, %v", p, err)
	}
	s.repo.Close("ann", 1)
	if got := s.get(1); got.State != proposals.PullClosed || got.EndedBy != "ann" {
		t.Errorf("closed it is %+v", got)
	}
}

// GitHub's filters also return others: pull requests of another branch, and into another.
func TestPullRequestsOfOthersAreNotListed(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	gittest.Git(t, s.git, "branch", "next", "main")
	s.push("tallyman/prod/api2", "1.1.0")
	s.repo.Open("ann", "tallyman/prod/api2", "main")
	s.push("feature", "1.1.0")
	s.repo.Open("ann", "feature", "main")
	s.repo.Open("ann", topic, "next")
	s.repo.Fork("mallory", topic)
	s.repo.Fork("myshop", topic) // whose owner is called the same, as far as the filter goes
	pulls, err := s.Pulls(t.Context(), topic)
	if err != nil || len(pulls) != 1 || pulls[0].Number != 1 {
		t.Errorf("of the topic: %+v, %v", pulls, err)
	}
	if pulls, err := s.Pulls(t.Context(), "tallyman/prod/api2"); err != nil || len(pulls) != 1 || pulls[0].Number != 2 {
		t.Errorf("of the other topic: %+v, %v", pulls, err)
	}
	s.github.IgnoreHead() // as GitHub does with a filter that it does not understand
	if pulls, err := s.Pulls(t.Context(), topic); err != nil || len(pulls) != 1 || pulls[0].Number != 1 {
		t.Errorf("of all: %+v, %v", pulls, err)
	}
	open, changed, err := s.Forge.Open(t.Context())
	numbers := make([]int, 0, len(open))
	for _, p := range open {
		numbers = append(numbers, p.Number)
	}
	if !slices.Equal(numbers, []int{1, 2}) || !changed || err != nil {
		t.Errorf("open are %v, %t, %v", numbers, changed, err)
	}
}

// The configuration may write the owner's name in other letters than GitHub does: what a
// person closed is found, and so is what is open.
func TestAnOwnerInOtherLetters(t *testing.T) {
	s := newSiteOf(t, "MyShop/manifests", "")
	s.propose("1.1.0")
	s.open(1, true)
	s.repo.Close("ann", 1)
	pulls, err := s.Pulls(t.Context(), topic)
	if err != nil || len(pulls) != 1 || pulls[0].State != proposals.PullClosed || s.get(1).EndedBy != "ann" {
		t.Errorf("closed by a person: %+v, %v", pulls, err)
	}
	s.open(0, true)
	s.propose("1.2.0")
	s.github.Expect(http.StatusUnprocessableEntity)
	if _, err := s.Create(t.Context(), topic, text("1.2.0")); !errors.Is(err, proposals.ErrExists) {
		t.Errorf("opened twice: %v", err)
	}
	if pulls, err := s.Pulls(t.Context(), topic); err != nil || len(pulls) != 2 || pulls[0].Number != 2 || pulls[0].State != proposals.PullOpen {
		t.Errorf("open: %+v, %v", pulls, err)
	}
	s.open(1, true)
}

// One branch may have had many pull requests: all pages are read, and the newest comes first.
func TestPullsOfManyPages(t *testing.T) {
	s := newSite(t)
	s.push(topic, "1.1.0")
	for range 101 {
		s.repo.Close("ann", s.repo.Open("ann", topic, "main"))
	}
	pulls, err := s.Pulls(t.Context(), topic)
	if err != nil || len(pulls) != 101 || pulls[0].Number != 101 || pulls[100].Number != 1 {
		t.Errorf("%d, %v", len(pulls), err)
	}
	if n := s.github.Count("GET", path("/pulls")); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestACommentIsSaidOnce(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	for _, words := range []string{"a commit of ann's is on the branch", "a commit of ann's is on the branch", "another"} {
		if err := s.Comment(t.Context(), 1, words); err != nil {
			t.Fatal(err)
		}
	}
	for range 101 { // a page of others' in between
		s.repo.Say("ann", 1, "a third")
	}
	for range 2 {
		if err := s.Comment(t.Context(), 1, "a third"); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.repo.Pull(1).Comments; len(got) != 104 || got[0].By != bot || got[1].Text != "another" || got[103].By != bot {
		t.Errorf("%d comments", len(got))
	}
}

// GitHub closes what is pushed to where nothing is left to merge, and such a one cannot be
// opened again: a new one can.
func TestAPullRequestAtTheBaseIsClosedForGood(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	gittest.Git(t, s.git, "update-ref", "refs/heads/"+topic, "main")
	if got := s.get(1); got.State != proposals.PullClosed {
		t.Errorf("%+v", got)
	}
	s.push(topic, "1.2.0")
	if s.repo.Reopen("ann", 1) {
		t.Error("it was opened again")
	}
	if p, err := s.Create(t.Context(), topic, text("1.2.0")); err != nil || p.Number != 2 {
		t.Error(p, err)
	}
}

// A GitHub Enterprise Server has its APIs elsewhere.
func TestAnEnterpriseServer(t *testing.T) {
	s := newSiteAt(t, "/api/v3")
	s.github.Enterprise()
	p := s.propose("1.1.0")
	s.repo.Rule("main", reviewRule)
	if err := s.Arm(t.Context(), p, text("1.1.0")); err != nil {
		t.Fatal(err)
	}
	if !s.repo.Pull(1).Armed || s.github.Count("POST", "/api/graphql enablePullRequestAutoMerge") != 1 {
		t.Error(s.github.Calls())
	}
}

// A person's push onto the topic shows as another head.
func TestAPersonsCommitShows(t *testing.T) {
	s := newSite(t)
	before := s.propose("1.1.0")
	pushed := s.repo.Push("ann", gitserver.Change{Branch: topic, Files: map[string]string{"api.yaml": "tag: 1.1.1\n"}})
	if got := s.get(1); got.Head.String() != pushed || got.Head == before.Head {
		t.Errorf("at %s", got.Head)
	}
}
