package topic

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// However a topic is merged, the commit that put its tag there is found.
func TestTheOriginOfAMergedTag(t *testing.T) {
	for how, c := range map[string]struct {
		merge  func(s *site, topic string) string // returns the commit that put the tag there
		proved bool
		named  bool
	}{
		"by a merge commit": {func(s *site, topic string) string {
			if _, err := s.repo.Commit(gitserver.Change{Message: "Merge pull request #1", Merge: []string{topic}, Files: map[string]string{file("shop"): content("shop", "v2")}}); err != nil {
				s.Fatal(err)
			}
			return topic
		}, true, true},
		"as a fast-forward": {func(s *site, topic string) string {
			s.git("update-ref", "refs/heads/main", topic)
			return topic
		}, true, true},
		"by a rebase": {func(s *site, topic string) string {
			return s.commit("main", s.git("show", "-s", "--format=%B", topic), map[string]string{file("shop"): content("shop", "v2")})
		}, false, true},
		"by a squash": {func(s *site, topic string) string {
			body := s.git("show", "-s", "--format=%b", topic)
			return s.commit("main", "chore: bump shop (#1)\n\n* its commits\n\n"+body+"\n\nCo-authored-by: A <a@b>", map[string]string{file("shop"): content("shop", "v2")})
		}, false, true},
		"by a squash without a body": {func(s *site, _ string) string {
			return s.commit("main", "chore: bump shop (#1)", map[string]string{file("shop"): content("shop", "v2")})
		}, false, false},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, false)
			b := s.branches()
			u := s.update("shop", "v2")
			topic := s.propose(b, u).Commit
			s.commit("main", "a note", map[string]string{"README.md": "more\n"}) // so that a rebase is one
			if how == "as a fast-forward" {
				s.git("update-ref", "refs/heads/main", s.first)
			}
			by := s.hash(c.merge(s, topic.String()))
			s.commit("main", "another note", map[string]string{"README.md": "still more\n"})
			s.look(b)
			o, err := b.Origin(t.Context(), "prod", "shop")
			if err != nil || o.Commit != by || o.Proved != c.proved || (len(o.Updates) == 1 && o.Updates[0] == u.ID) != c.named {
				t.Errorf("the origin is %+v, %v; want %s, proved %t, named %t", o, err, by, c.proved, c.named)
			}
			if o.Author == "" || o.At.IsZero() {
				t.Errorf("made by %q at %s", o.Author, o.At)
			}
			for commit, want := range map[git.Hash]bool{by: true, topic: c.proved, s.hash(s.first): true} {
				if got, err := b.Contains(t.Context(), commit); err != nil || got != want {
					t.Errorf("the base has %s: %t, %v; want %t", commit, got, err, want)
				}
			}
			// Our own commit is no hand edit; what others made of it is until it is recorded.
			built, err := b.Build(t.Context(), s.update("shop", "v3"), "v1")
			if err != nil || (built.HandEdit == nil) != c.proved {
				t.Errorf("built %+v, %v", built, err)
			}
		})
	}
}

// What the base branch reaches is found however deep it is, and as far as is looked.
func TestWhatTheBaseBranchReaches(t *testing.T) {
	overEach(t, func(s *site) {
		var b strings.Builder
		b.WriteString("reset refs/heads/main\nfrom " + s.first + "\n\n")
		for range 400 {
			b.WriteString("commit refs/heads/main\ncommitter A Person <person@example.com> 1700000000 +0000\ndata 4\ndeep\n\n")
		}
		if err := s.repo.Import(strings.NewReader(b.String())); err != nil {
			t.Fatal(err)
		}
		unrelated := s.hash(s.git("commit-tree", "-m", "elsewhere", "main^{tree}"))
		branches := s.branches()
		wants := func(what string, commit git.Hash, want bool) {
			t.Helper()
			if got, err := branches.Contains(t.Context(), commit); err != nil || got != want {
				t.Errorf("%s: %t, %v; want %t", what, got, err, want)
			}
		}
		tip := s.where("main")
		wants("the tip", tip, true)
		wants("its parent", s.hash(s.git("rev-parse", "main^")), true)
		wants("the first", s.hash(s.first), true)
		wants("an unrelated commit", unrelated, false)
		wants("the zero hash", git.Hash{}, false)
		s.commit("main", "a note", map[string]string{"README.md": "more\n"})
		s.look(branches)
		wants("the tip that was", tip, true)
		wants("the first, still", s.hash(s.first), true)
		s.git("update-ref", "refs/heads/main", "main~300")
		s.look(branches)
		wants("the tip that was, once the branch is forced back", tip, false)
		wants("the first, even so", s.hash(s.first), true)
	})
}

// An outage is an error and not "no", of which others would draw conclusions.
func TestAnOutageIsNoAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	b := s.branches()
	s.server.Inject(gitserver.Fault{Status: 503, Times: -1})
	unknown := git.Hash{1}
	_, look := b.Look(t.Context())
	_, contains := b.Contains(t.Context(), unknown)
	_, origin := b.Origin(t.Context(), "prod", "shop")
	_, topic := b.Topic(t.Context(), "prod", "shop", unknown)
	_, build := b.Build(t.Context(), s.update("shop", "v3"), "v0")
	for what, err := range map[string]error{"look": look, "contains": contains, "origin": origin, "topic": topic, "build": build} {
		if gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.server.Heal()
	s.look(b)
	if _, err := b.Topic(t.Context(), "prod", "shop", unknown); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("a head that is gone: %v", err)
	}
}
