package topic

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// What makes no commit ends the update, or is a hand edit, as on the base branch.
func TestWhatMakesNoCommit(t *testing.T) {
	overEach(t, func(s *site) {
		s.write(t.Context(), s.update("shop", "v2.1.0"))
		by := s.commit("main", "fix: back to what works", map[string]string{
			file("cart"): content("cart", "v7"), file("list"): "- one\n", file("mail"): content("mail", "v7"),
		})
		s.write(t.Context(), s.update("mail", "v8"))
		at, err := time.Parse(time.RFC3339, s.git("show", "-s", "--format=%cI", by))
		if err != nil {
			t.Fatal(err)
		}
		b := s.branches()
		for what, c := range map[string]struct {
			app, tag, expected string
			onlyUp             bool
			want               gitops.Transition
			hand               *gitops.HandEdit
		}{
			"the tag is there":        {app: "shop", tag: "v2.1.0", expected: "v1", want: gitops.Transition{Action: gitops.ActionConfirm, Reason: "the file already has this tag"}},
			"a lower version":         {app: "shop", tag: "2.0.5", onlyUp: true, want: gitops.Transition{Action: gitops.ActionSupersede}},
			"no such key":             {app: "list", tag: "v2", want: gitops.Transition{Action: gitops.ActionFail, Code: gitops.NotFound}},
			"no such file":            {app: "none", tag: "v2", want: gitops.Transition{Action: gitops.ActionFail, Code: gitops.NotFound}},
			"no such app":             {app: "unknown", tag: "v2", want: gitops.Transition{Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "no such app"}},
			"a person's tag":          {app: "cart", tag: "v3", expected: "v1", hand: &gitops.HandEdit{Tag: "v7", Commit: by, Author: "A Person", At: at.UTC()}},
			"a person's, any is good": {app: "cart", tag: "v3"},
			"a tallyman's":            {app: "mail", tag: "v9", expected: "v7"},
			"what is expected":        {app: "shop", tag: "v3", expected: "v2.1.0"},
		} {
			u := s.update(c.app, c.tag)
			u.OnlyUp = c.onlyUp
			built, err := b.Build(t.Context(), u, c.expected)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if c.hand != nil {
				c.hand.Update = u.ID
			}
			if diff := cmp.Diff(c.hand, built.HandEdit); diff != "" {
				t.Errorf("%s: hand edit (-want +got):\n%s", what, diff)
			}
			if commits := c.hand == nil && c.want.Action == ""; commits == built.Commit.IsZero() || commits != (built.Ends == nil && c.hand == nil) {
				t.Errorf("%s: built %+v, ends %+v", what, built, built.Ends)
			}
			if built.Ends == nil {
				continue
			}
			got := *built.Ends
			if c.want.Update = u.ID; c.want.Reason == "" {
				got.Reason = ""
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		if heads := s.look(b); len(heads.Topics) != 0 {
			t.Errorf("topics were pushed: %v", heads.Topics)
		}
	})
}

// A person's tag that is put there between the look and the build is not part of the look.
func TestABuildIsOnWhatWasLookedAt(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	b := s.branches()
	before := s.where("main")
	s.commit("main", "fix", map[string]string{file("shop"): content("shop", "v7")})
	if at, err := b.Base(t.Context(), "prod", "shop"); err != nil || at.Tag != "v1" {
		t.Errorf("the base has %+v, %v", at, err)
	}
	built, err := b.Build(t.Context(), s.update("shop", "v2"), "v1")
	if err != nil || built.Commit.IsZero() {
		t.Fatalf("built %+v, %v", built, err)
	}
	if err := b.Push(t.Context(), topicOf("shop"), git.Hash{}, built); err != nil {
		t.Fatal(err)
	}
	if parent := s.hash(s.git("rev-parse", topicOf("shop")+"^")); parent != before {
		t.Errorf("its parent is %s, want %s", parent, before)
	}
	if got := s.topic(b, "shop"); !got.Conflict || !got.Behind {
		t.Errorf("by then it is %+v", got)
	}
	// The tag that is found is another than the one that was looked at.
	b = s.branches()
	s.commit("main", "fix", map[string]string{file("shop"): content("shop", "v8")})
	if _, err := b.Build(t.Context(), s.update("shop", "v3"), "v1"); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("the base changed meanwhile: %v", err)
	}
	if _, err := b.Origin(t.Context(), "prod", "shop"); gitops.CodeOf(err) != gitops.Conflict {
		t.Errorf("the base changed meanwhile: %v", err)
	}
}

// All of an update's files are in its commit, or none.
func TestAnUpdateOfSeveralFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	b := s.branches()
	built := s.propose(b, s.update("pair", "v2"))
	want := []string{"charts/pair/values.yaml", "charts/pair/Chart.yaml"}
	if !slices.Equal(built.Files, want) {
		t.Errorf("files %q, want %q", built.Files, want)
	}
	if got := s.git("diff", "--name-only", "main", topicOf("pair")); got != "charts/pair/Chart.yaml\ncharts/pair/values.yaml" {
		t.Errorf("it changes %q", got)
	}
	s.commit("main", "fix", map[string]string{"charts/pair/Chart.yaml": "name: pair\n"})
	s.look(b)
	next, err := b.Build(t.Context(), s.update("pair", "v3"), "")
	if err != nil || next.Ends == nil || next.Ends.Action != gitops.ActionFail || !strings.Contains(next.Ends.Reason, "charts/pair/Chart.yaml") {
		t.Errorf("built %+v, %+v, %v", next, next.Ends, err)
	}
}

// A tag that cannot be read is "", and no error.
func TestTheTagOnTheBaseBranch(t *testing.T) {
	overEach(t, func(s *site) {
		s.commit("main", "more", map[string]string{file("list"): "- one\n", file("broken"): "a: b: c\n", file("large"): strings.Repeat("# x\n", 300_000)})
		b := s.branches()
		for app, want := range map[string]string{"shop": "v1", "pair": "v1", "list": "", "broken": "", "none": "", "large": ""} {
			if got, err := b.Base(t.Context(), "prod", app); err != nil || got != (proposals.Base{Tag: want}) {
				t.Errorf("%s: %+v, %v", app, got, err)
			}
			if o, err := b.Origin(t.Context(), "prod", app); err != nil || o.Commit.IsZero() != (want == "") {
				t.Errorf("%s: %+v, %v", app, o, err)
			}
		}
	})
}

// The topic of an app that is not configured any more says whose it is, so that it can be
// closed; nothing is built for it.
func TestATopicOfAnAppThatIsGone(t *testing.T) {
	overEach(t, func(s *site) {
		u := s.update("shop", "v2")
		s.propose(s.branches(), u)
		c := s.config()
		c.Target = func(string, string) (edit.Target, error) { return s.target("", "unknown") }
		b, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		got := s.topic(b, "shop")
		if diff := cmp.Diff(proposals.Topic{Ours: true, Updates: []string{u.ID}, Author: bot.Name, Subject: "chore: bump shop to v2 (prod)", Trailers: u.Trailers()}, got); diff != "" {
			t.Error(diff)
		}
		if base, err := b.Base(t.Context(), "prod", "shop"); gitops.CodeOf(err) != gitops.NotFound {
			t.Errorf("what it has, for one that is to stay, is %+v, %v", base, err)
		}
		if built, err := b.Build(t.Context(), s.update("shop", "v3"), ""); err != nil || built.Ends == nil || built.Ends.Action != gitops.ActionFail {
			t.Errorf("built %+v, %v", built, err)
		}
	})
}

// A topic's commit is signed, and its author is found out, as on the base branch.
func TestWhoMakesATopic(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	c, asked := s.config(), 0
	c.Signing.SSHKeyFile, c.Author = s.at.SSH.KeyFile, git.Signature{}
	c.Identify = func(context.Context) (git.Signature, error) {
		if asked++; asked == 1 {
			return git.Signature{}, gitops.Errorf(gitops.Unavailable, "the API is away")
		}
		return bot, nil
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s.look(b)
	if _, err := b.Build(t.Context(), s.update("shop", "v2"), ""); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("while the author is not known: %v", err)
	}
	s.propose(b, s.update("shop", "v2"))
	s.propose(b, s.update("cart", "v2"))
	for _, app := range []string{"shop", "cart"} {
		if said := s.git("cat-file", "commit", topicOf(app)); !strings.Contains(said, "gpgsig -----BEGIN SSH SIGNATURE") || !strings.Contains(said, "author "+bot.Name+" <"+bot.Email+">") {
			t.Errorf("the commit is %q", said)
		}
		if !s.topic(b, app).Ours {
			t.Errorf("%s: it is not ours", app)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times who it is", asked)
	}
}
