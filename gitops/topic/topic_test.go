package topic

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// A topic is made, rewritten and deleted, each only from where it was last seen. What it says
// is the same for whoever made it and for a process that finds it, and its commit is the one
// that the base branch would get.
func TestATopicFromItsBeginningToItsEnd(t *testing.T) {
	overEach(t, func(s *site) {
		b, branch := s.branches(), topicOf("shop")
		first, second := s.update("shop", "v2"), s.update("shop", "v3")
		built := s.propose(b, first)
		want := proposals.Topic{
			Ours: true, Updates: []string{first.ID}, Author: bot.Name, Tag: "v2",
			Subject: "chore: bump shop to v2 (prod)", Trailers: first.Trailers(), Files: []string{file("shop")},
		}
		for who, b := range map[string]*Branches{"who made it": b, "who finds it": s.branches()} {
			if diff := cmp.Diff(want, s.topic(b, "shop")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", who, diff)
			}
		}
		if diff := cmp.Diff(proposals.Built{Commit: s.where(branch), Subject: want.Subject, Trailers: want.Trailers, Files: want.Files}, built); diff != "" {
			t.Error(diff)
		}
		if got := s.git("show", branch+":"+file("shop")); got+"\n" != content("shop", "v2") {
			t.Errorf("the file is %q", got)
		}
		s.write(t.Context(), first)
		ofBase, ofTopic := s.git("log", "-1", "--format=%B", "main"), s.git("log", "-1", "--format=%B", branch)
		if before, _, _ := strings.Cut(ofBase, gitops.TrailerProof); !strings.HasPrefix(ofTopic, before) {
			t.Errorf("the base branch would say %q and the topic says %q", before, ofTopic)
		}

		old := s.look(b).Topics[branch]
		newer, err := b.Build(t.Context(), second, "v2")
		if err != nil {
			t.Fatal(err)
		}
		s.wantMoved("a branch that is there is not made", b.Push(t.Context(), branch, git.Hash{}, newer))
		s.wantMoved("nor moved from elsewhere", b.Push(t.Context(), branch, s.hash(s.first), newer))
		if err := b.Push(t.Context(), branch, old, newer); err != nil || s.where(branch) != newer.Commit {
			t.Errorf("the branch is at %s, %v; want %s", s.where(branch), err, newer.Commit)
		}
		if at := s.topic(b, "shop"); at.Tag != "v3" || at.Behind || s.git("rev-parse", branch+"^") != s.git("rev-parse", "main") {
			t.Errorf("rewritten it is %+v", at)
		}
		s.wantMoved("deleted from elsewhere", b.Delete(t.Context(), branch, old))
		if err := b.Delete(t.Context(), branch, newer.Commit); err != nil || !s.where(branch).IsZero() {
			t.Errorf("deleted: %v, and it is at %s", err, s.where(branch))
		}
		s.wantMoved("deleted once more", b.Delete(t.Context(), branch, newer.Commit))
		if heads := s.look(b); heads.Topics == nil || len(heads.Topics) != 0 || heads.Base != s.where("main") {
			t.Errorf("in the end there is %+v", heads)
		}
		if err := s.repo.Fsck(); err != nil {
			t.Error(err)
		}
	})
}

// Only what was built last is pushed, and once.
func TestOnlyWhatWasBuiltLastIsPushed(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	b := s.branches()
	built := s.propose(b, s.update("shop", "v2"))
	if err := b.Push(t.Context(), topicOf("cart"), git.Hash{}, built); gitops.CodeOf(err) != gitops.Internal {
		t.Errorf("pushed once more: %v", err)
	}
	if !s.where(topicOf("cart")).IsZero() {
		t.Error("it was pushed")
	}
}

// A person's commit on a topic is not ours, whatever it says.
func TestAPersonsCommitOnATopic(t *testing.T) {
	overEach(t, func(s *site) {
		b := s.branches()
		u := s.update("shop", "v2")
		s.propose(b, u)
		s.commit(topicOf("shop"), "fix: also this\n\n"+u.Trailers(), map[string]string{"README.md": "more\n"})
		want := proposals.Topic{Author: "A Person", Updates: []string{u.ID}, Tag: "v2"}
		for _, b := range []*Branches{b, s.branches()} {
			if diff := cmp.Diff(want, s.topic(b, "shop")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
		// A merge of the base branch into it is a person's, too.
		s.commit("main", "a note", map[string]string{"README.md": "other\n"})
		if _, err := s.repo.Commit(gitserver.Change{Branch: topicOf("shop"), Message: "merge", Merge: []string{"main"}, Files: map[string]string{file("shop"): "tag: [\n"}}); err != nil {
			t.Fatal(err)
		}
		if got := s.topic(b, "shop"); got.Ours || got.Tag != "" || got.Behind {
			t.Errorf("got %+v", got)
		}
	})
}

// A topic is behind when the base branch moves on, and in conflict when one of the app's files
// changes there, or when its parent is no longer there.
func TestWhenATopicIsBehindOrInConflict(t *testing.T) {
	overEach(t, func(s *site) {
		maker := s.branches()
		built := s.propose(maker, s.update("pair", "v2"))
		for _, step := range []struct {
			what             string
			change           func()
			behind, conflict bool
		}{
			{"as it was made", func() {}, false, false},
			{"another file", func() { s.commit("main", "a note", map[string]string{"README.md": "more\n"}) }, true, false},
			{"many commits", func() {
				for n := range 70 {
					s.commit("main", "a note", map[string]string{"README.md": strings.Repeat("more\n", n)})
				}
			}, true, false},
			{"its second file", func() {
				s.commit("main", "by hand", map[string]string{"charts/pair/Chart.yaml": "appVersion: v1\ndescription: two\n"})
			}, true, true},
			{"its second file as it was", func() { s.commit("main", "revert", map[string]string{"charts/pair/Chart.yaml": "appVersion: v1\n"}) }, true, false},
			{"no such file", func() {
				if _, err := s.repo.Commit(gitserver.Change{Delete: []string{"charts/pair/values.yaml"}}); err != nil {
					s.Fatal(err)
				}
			}, true, true},
			{"forced back", func() {
				s.git("update-ref", "refs/heads/main", s.git("commit-tree", "-m", "Begin again", s.first+"^{tree}"))
			}, true, true},
			{"forced to where it was", func() { s.git("update-ref", "refs/heads/main", s.first) }, false, false},
		} {
			step.change()
			for who, b := range map[string]*Branches{"who made it": maker, "who finds it": s.branches()} {
				got := s.topic(b, "pair")
				if !got.Ours || got.Behind != step.behind || got.Conflict != step.conflict {
					s.Errorf("%s, %s: %+v, want behind %t and conflict %t", step.what, who, got, step.behind, step.conflict)
				}
				if len(got.Files) != 2 || got.Tag != "v2" {
					s.Errorf("%s, %s: it says %+v", step.what, who, got)
				}
			}
		}
		if s.where(topicOf("pair")) != built.Commit {
			s.Error("the topic was moved")
		}
	})
}

// One request says where everything is; the base branch is fetched when it has moved, once for
// all who read it.
func TestALookIsOneRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	b := s.branches()
	s.propose(b, s.update("shop", "v2"))
	for _, c := range []struct {
		what    string
		change  func()
		fetches int
	}{
		{"nothing has moved", func() {}, 0},
		{"the base has moved", func() { s.commit("main", "a note", map[string]string{"README.md": "more\n"}) }, 1},
		{"the writer moved it", func() { s.write(t.Context(), s.update("cart", "v2")) }, 0},
		{"a topic of another app", func() { s.git("branch", topicOf("other"), "main") }, 0},
	} {
		c.change()
		s.server.ResetCounts()
		s.look(b)
		if diff := cmp.Diff(map[gitserver.Operation]int{gitserver.PushRefs: 1, gitserver.Fetch: c.fetches}, s.server.Counts().Requests, ignoreNone); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", c.what, diff)
		}
	}
	for _, want := range []map[gitserver.Operation]int{
		{gitserver.PushRefs: 1, gitserver.FetchRefs: 1, gitserver.Fetch: 1}, // whether the base branch still reaches its parent
		{gitserver.PushRefs: 1},
	} {
		s.server.ResetCounts()
		if got := s.topic(b, "shop"); !got.Behind || got.Conflict {
			t.Errorf("got %+v", got)
		}
		if diff := cmp.Diff(want, s.server.Counts().Requests, ignoreNone); diff != "" {
			t.Errorf("a topic: requests (-want +got):\n%s", diff)
		}
	}
}

// ignoreNone leaves out what was not asked at all.
var ignoreNone = cmpopts.IgnoreMapEntries(func(_ gitserver.Operation, n int) bool { return n == 0 })

// The writer of the base branch does not wait for one who looks.
func TestTheWriterDoesNotWaitForLooks(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	b := s.branches()
	s.write(t.Context(), s.update("cart", "v2"))
	arrived, release := make(chan struct{}), make(chan struct{})
	s.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Before: func() { close(arrived) }, Hold: release, Apply: true})
	looked := make(chan error, 1)
	go func() {
		_, err := b.Look(t.Context())
		looked <- err
	}()
	<-arrived
	s.write(t.Context(), s.update("cart", "v3"))
	close(release)
	<-looked // it has an answer, or was cut off
}

func TestWhatCannotBeBranches(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	for field, change := range map[string]func(*Config){
		"branch":             func(c *Config) { c.Branch = "tallyman/prod/shop" },
		"author.email":       func(c *Config) { c.Author.Email = "" },
		"prover":             func(c *Config) { c.Prover = nil },
		"subject":            func(c *Config) { c.Subject = "two\nlines" },
		"signing.sshKeyFile": func(c *Config) { c.Signing.SSHKeyFile = "/none" },
	} {
		c := s.config()
		change(&c)
		_, err := New(c)
		if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	b, err := New(s.config())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Base(t.Context(), "prod", "shop"); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("before it was looked at: %v", err)
	}
}
