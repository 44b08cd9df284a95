package github_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

func TestRules(t *testing.T) {
	const classic = "the base branch has a branch protection rule, whose details GitHub shows only with the permission Administration: read, which tallyman does not ask for: a ruleset in its place can be read"
	rule := func(kind string) githubtest.Rule { return githubtest.Rule{Type: kind} }
	all := []string{"squash", "merge", "rebase"}
	s := newSite(t)
	for name, c := range map[string]struct {
		base, topics []githubtest.Rule
		prepare      func(s *site)
		want         proposals.Rules
	}{
		"nothing": {want: proposals.Rules{AutoMerge: true, Methods: all}},
		"about the branch alone": {
			base: []githubtest.Rule{rule("deletion"), rule("non_fast_forward"), rule("creation")},
			want: proposals.Rules{AutoMerge: true, Methods: all},
		},
		"reviews": {
			base: []githubtest.Rule{githubtest.Reviews(2, "dismiss_stale_reviews_on_push", true, "require_last_push_approval", true, "allowed_merge_methods", []string{"squash", "rebase"})},
			want: proposals.Rules{AutoMerge: true, Protected: true, DismissStale: true, LastPush: true, Methods: []string{"squash", "rebase"}},
		},
		"two rulesets": {
			base: []githubtest.Rule{
				githubtest.Reviews(1, "allowed_merge_methods", []string{"squash", "rebase"}), githubtest.Reviews(1, "allowed_merge_methods", []string{"rebase", "merge"}), githubtest.Checks(true, "ci"),
			},
			want: proposals.Rules{AutoMerge: true, Protected: true, Strict: true, Methods: []string{"rebase"}},
		},
		"a queue": {
			base: []githubtest.Rule{queueRule},
			want: proposals.Rules{AutoMerge: true, Protected: true, Queue: true, Methods: all},
		},
		"signatures and linear history": {
			base: []githubtest.Rule{rule("required_signatures"), rule("required_linear_history")},
			want: proposals.Rules{AutoMerge: true, Protected: true, Signatures: true, LinearHistory: true, Methods: []string{"squash"}},
		},
		"of tomorrow": {
			base:   []githubtest.Rule{rule("code_scanning"), rule("copilot_code_review"), {Type: "moon_phase", Parameters: map[string]any{"required_status_checks": "full"}}, githubtest.Checks(true, "ci")},
			topics: []githubtest.Rule{rule("moon_phase"), rule("code_scanning")},
			want: proposals.Rules{AutoMerge: true, Protected: true, Strict: true, Methods: all, Unknown: []string{
				`tallyman does not know the rule "moon_phase" of the base branch`, `tallyman does not know the rule "moon_phase" of the branch tallyman/prod/api`,
			}},
		},
		"on topics": {
			topics: []githubtest.Rule{rule("update"), rule("creation"), rule("update"), rule("commit_message_pattern"), rule("required_linear_history")},
			want: proposals.Rules{AutoMerge: true, Methods: all, TopicRefuses: []string{"creation", "update"}, Unknown: []string{
				"whether the rule commit_message_pattern refuses pushes of tallyman/prod/api depends on what they hold",
			}},
		},
		"a branch protection": {
			prepare: func(s *site) { s.repo.Protect(githubtest.Protection{Approvals: 1}) },
			want:    proposals.Rules{AutoMerge: true, Protected: true, Methods: all, Unknown: []string{classic}},
		},
		"settings": {
			prepare: func(s *site) {
				s.repo.Set(func(settings *githubtest.Settings) { settings.AllowAutoMerge, settings.AllowMergeCommit = false, false })
			},
			want: proposals.Rules{Methods: []string{"squash", "rebase"}},
		},
	} {
		s.repo.Unrule()
		s.repo.Set(func(settings *githubtest.Settings) { settings.AllowAutoMerge, settings.AllowMergeCommit = true, true })
		s.repo.Rule("main", c.base...)
		s.repo.Rule("tallyman/**", c.topics...)
		if c.prepare != nil {
			c.prepare(s)
		}
		got, err := s.Rules(t.Context(), topic)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

// A rule that comes on the second page counts.
func TestRulesOfManyPages(t *testing.T) {
	s := newSite(t)
	for range 100 {
		s.repo.Rule("main", githubtest.Rule{Type: "deletion"})
	}
	s.repo.Rule("main", githubtest.Checks(true, "ci"))
	if got, err := s.Rules(t.Context(), topic); err != nil || !got.Strict {
		t.Errorf("%+v, %v", got, err)
	}
}

// A setting that GitHub does not show is not one that is off.
func TestSettingsThatAreNotShown(t *testing.T) {
	s := newSite(t)
	s.github.HideSettings()
	got, err := s.Rules(t.Context(), topic)
	if err != nil || got.AutoMerge || len(got.Unknown) != 2 || !strings.Contains(fmt.Sprint(got.Unknown), "whether the repository allows auto-merge") {
		t.Errorf("%+v, %v", got, err)
	}
	p := s.propose("1.1.0")
	if err := s.Arm(t.Context(), p, text("1.1.0")); err != nil || !s.repo.Pull(1).Merged {
		t.Error("it is tried all the same:", err)
	}
}

func TestWhatItWaitsFor(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(s *site)
		want    []string
	}{
		"a review":         {func(s *site) { s.repo.Rule("main", reviewRule) }, []string{"a review is required"}},
		"its owners":       {func(s *site) { s.repo.Rule("main", reviewRule); s.repo.Ask(1, []string{"ann"}, "platform") }, []string{"a review is required: asked are ann, team platform"}},
		"another answer":   {func(s *site) { s.repo.Rule("main", reviewRule); s.repo.RequestChanges("ann", 1) }, []string{"a reviewer has requested changes"}},
		"a check":          {func(s *site) { s.repo.Rule("main", checkRule) }, []string{"a rule of the base branch is not fulfilled, and GitHub does not tell tallyman which: its required checks are ci/test"}},
		"a rule unread":    {func(s *site) { s.repo.Protect(githubtest.Protection{Checks: []string{"ci"}}) }, []string{"a rule of the base branch is not fulfilled, and GitHub does not tell tallyman which"}},
		"checks and owner": {func(s *site) { s.repo.Rule("main", reviewRule, checkRule) }, []string{"a review is required"}},
		"the newest base": {func(s *site) {
			s.repo.Rule("main", githubtest.Checks(true))
			s.repo.Push("ann", change("web.yaml", "x"))
		}, []string{"it must have the base branch's newest commits"}},
		"a conflict":  {func(s *site) { s.repo.Push("ann", change("api.yaml", "x")) }, []string{"it conflicts with the base branch"}},
		"a draft":     {func(s *site) { s.repo.Draft(1, true) }, []string{"it is a draft: somebody is to mark it as ready for review"}},
		"GitHub":      {func(s *site) { s.repo.Compute(1, 1) }, []string{"GitHub has not found out yet whether it can be merged"}},
		"a person":    {func(*site) {}, []string{"nothing keeps it from being merged: somebody is to merge it"}},
		"many checks": {func(s *site) { s.repo.Rule("main", githubtest.Checks(false, "a", "b", "c", "d", "e", "f")) }, []string{"a rule of the base branch is not fulfilled, and GitHub does not tell tallyman which: its required checks are a, b, c, d, e and others"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.propose("1.1.0")
			c.prepare(s)
			if diff := cmp.Diff(c.want, s.get(1).WaitsFor); diff != "" {
				t.Error(diff)
			}
		})
	}
}
