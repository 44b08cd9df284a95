package github_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

var (
	reviewRule = githubtest.Reviews(1)
	checkRule  = githubtest.Checks(false, "ci/test")
	queueRule  = githubtest.Queue("SQUASH")
)

// Armed, it is merged when the rules allow it, with tallyman's own text and in its way.
func TestArmedItIsMergedWhenItMayBe(t *testing.T) {
	s := newSite(t)
	s.repo.Rule("main", reviewRule)
	p := s.propose("1.1.0")
	for range 2 { // the second finds it armed
		if err := s.Arm(t.Context(), p, text("1.1.0")); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get(1); !got.Armed || s.github.Count("POST", "/graphql enablePullRequestAutoMerge") != 1 {
		t.Errorf("%+v", got)
	}
	stale := p
	stale.Head = git.Hash{1} // it is armed, and at another commit
	if err := s.Arm(t.Context(), stale, text("1.1.0")); !errors.Is(err, proposals.ErrHeadMoved) {
		t.Error(err)
	}
	s.repo.Approve("ann", 1)
	got := s.get(1)
	if got.State != proposals.PullMerged || got.EndedBy != bot || !got.ByUs {
		t.Errorf("%+v", got)
	}
	if want := "Set api to 1.1.0\n\nThe body.\n\nTallyman-Update: id-1.1.0"; strings.TrimSpace(s.tip()) != want {
		t.Errorf("main's commit says %q", s.tip())
	}
}

// The method is the only one that is allowed, else squash, else merge.
func TestTheMethodOfMerging(t *testing.T) {
	only := func(methods ...string) githubtest.Rule {
		return githubtest.Reviews(0, "allowed_merge_methods", methods)
	}
	for name, c := range map[string]struct {
		rules []githubtest.Rule
		set   func(*githubtest.Settings)
		want  string // of the commit on main: its subject, and how many parents it has
	}{
		"anything":          {nil, func(*githubtest.Settings) {}, "Set api to 1.1.0 squashed"},
		"the rules' one":    {[]githubtest.Rule{only("merge")}, func(*githubtest.Settings) {}, "Merge pull request #1 from myshop/tallyman/prod/api"},
		"merge or rebase":   {[]githubtest.Rule{only("rebase", "merge")}, func(*githubtest.Settings) {}, "Merge pull request #1 from myshop/tallyman/prod/api"},
		"no merge commits":  {[]githubtest.Rule{{Type: "required_linear_history"}, only("rebase", "merge")}, func(*githubtest.Settings) {}, "Set api to 1.1.0"},
		"the settings' one": {nil, func(s *githubtest.Settings) { s.AllowSquashMerge, s.AllowMergeCommit = false, false }, "Set api to 1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.repo.Rule("main", c.rules...)
			s.repo.Set(c.set)
			p := s.propose("1.1.0")
			title := text("1.1.0")
			title.Title += " squashed"
			if err := s.Arm(t.Context(), p, title); err != nil {
				t.Fatal(err)
			}
			subject, _, _ := strings.Cut(s.tip(), "\n")
			if subject != c.want || s.get(1).State != proposals.PullMerged {
				t.Errorf("main's commit is %q", subject)
			}
		})
	}
}

// Whatever GitHub refuses auto-merge with, a pull request that is ready is merged at its
// head, and one that is not is left to its rules: also where the App could bypass them.
func TestArmWhereAutoMergeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(s *site)
		merged  bool
		err     error
		code    gitops.Code
	}{
		"nothing pending":      {func(s *site) { s.repo.Rule("main", checkRule); s.repo.Report(1, "ci/test", true) }, true, nil, ""},
		"other checks failing": {func(s *site) { s.repo.Rule("main", reviewRuleOf(0)); s.repo.Report(1, "lint", false) }, true, nil, ""},
		"no rules":             {func(*site) {}, true, nil, ""},
		"setting off, ready":   {func(s *site) { s.off(); s.repo.Rule("main", reviewRuleOf(0)) }, true, nil, ""},
		"setting off, pending": {func(s *site) { s.off(); s.repo.Rule("main", reviewRule) }, false, nil, gitops.Rejected},
		"still computing":      {func(s *site) { s.repo.Rule("main", reviewRule); s.repo.Compute(1, 1) }, false, proposals.ErrNotNow, ""},
		"no rules, computing":  {func(s *site) { s.repo.Compute(1, 2) }, false, proposals.ErrNotNow, ""},
		"a draft":              {func(s *site) { s.repo.Rule("main", reviewRule); s.repo.Draft(1, true) }, false, proposals.ErrNotNow, ""},
		"a conflict": {func(s *site) {
			s.repo.Rule("main", reviewRule)
			s.repo.Push("ann", gitserver.Change{Files: map[string]string{"api.yaml": "tag: 3.0.0\n"}})
		}, false, proposals.ErrNotNow, ""},
		"closed": {func(s *site) { s.repo.Close("ann", 1) }, false, proposals.ErrNotNow, ""},
		"another head": {func(s *site) {
			s.repo.Push("ann", gitserver.Change{Branch: topic, Files: map[string]string{"web.yaml": "tag: 2.0.0\n"}})
		}, false, proposals.ErrHeadMoved, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			p := s.propose("1.1.0")
			c.prepare(s)
			err := s.Arm(t.Context(), p, text("1.1.0"))
			if c.code == "" && !errors.Is(err, c.err) || c.code != "" && gitops.CodeOf(err) != c.code {
				t.Errorf("told %v", err)
			}
			if got := s.repo.Pull(1); got.Merged != c.merged || got.Armed {
				t.Errorf("it is %+v", got)
			}
		})
	}
}

func reviewRuleOf(n int) githubtest.Rule { return githubtest.Reviews(n) }

func (s *site) off() {
	s.repo.Set(func(settings *githubtest.Settings) { settings.AllowAutoMerge = false })
}

// What moves between two calls of one Arm is told, and nothing else is merged.
func TestWhatMovesWhileItIsMerged(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		said   string
		want   error
	}{
		"the base":   {405, "Base branch was modified. Review and try the merge again.", proposals.ErrNotNow},
		"the rules":  {405, "At least 1 approving review is required by reviewers with write access.", proposals.ErrNotNow},
		"the branch": {409, "Head branch was modified. Review and try the merge again.", proposals.ErrHeadMoved},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			p := s.propose("1.1.0")
			s.github.Inject(githubtest.Fault{Method: "PUT", Path: path("/pulls/1/merge"), Times: 1, Status: c.status, Body: `{"message": "` + c.said + `"}`})
			if err := s.Arm(t.Context(), p, text("1.1.0")); !errors.Is(err, c.want) {
				t.Error(err)
			}
			if err := s.Arm(t.Context(), p, text("1.1.0")); err != nil || !s.repo.Pull(1).Merged {
				t.Error("the next time:", err)
			}
		})
	}
}

// A newer tag on the branch is merged with its own text, not with the one that was armed.
func TestArmedAgainForANewerTag(t *testing.T) {
	s := newSite(t)
	s.repo.Rule("main", reviewRule)
	if err := s.Arm(t.Context(), s.propose("1.1.0"), text("1.1.0")); err != nil {
		t.Fatal(err)
	}
	s.push(topic, "1.2.0")
	if got := s.get(1); !got.Armed || !got.ArmedByUs {
		t.Fatal("GitHub keeps auto-merge over a push of one who may write")
	}
	if err := s.Arm(t.Context(), s.get(1), text("1.2.0")); err != nil {
		t.Fatal(err)
	}
	s.repo.Approve("ann", 1)
	if !strings.Contains(s.tip(), "Tallyman-Update: id-1.2.0") {
		t.Errorf("main's commit says %q", s.tip())
	}
	// So is one that a person armed, whose text GitHub proposed at that moment.
	p := s.propose("1.3.0")
	s.repo.Arm("ann", p.Number, "squash")
	if got := s.get(p.Number); !got.Armed || got.ArmedByUs {
		t.Errorf("armed by a person: %+v", got)
	}
	if err := s.Arm(t.Context(), p, text("1.3.0")); err != nil {
		t.Fatal(err)
	}
	s.repo.Approve("ann", p.Number)
	if !strings.Contains(s.tip(), "Tallyman-Update: id-1.3.0") {
		t.Errorf("main's commit says %q", s.tip())
	}
}

// Where merges go through a queue, tallyman goes through it, too.
func TestTheMergeQueue(t *testing.T) {
	s := newSite(t)
	s.repo.Rule("main", queueRule, reviewRule)
	p := s.propose("1.1.0")
	if err := s.Arm(t.Context(), p, text("1.1.0")); err != nil {
		t.Fatal(err)
	}
	s.repo.Approve("ann", 1)
	if got := s.get(1); !got.Queued || len(got.WaitsFor) != 1 || !strings.Contains(got.WaitsFor[0], "merge queue") {
		t.Fatalf("armed and approved: %+v", got)
	}
	// Its branch is locked meanwhile.
	locked := s.push("elsewhere", "1.2.0")
	if _, err := s.git.Git("push", s.git.URL, "+"+locked.String()+":refs/heads/"+topic); err == nil || !strings.Contains(err.Error(), "GH006") {
		t.Error("a push onto it:", err)
	}
	for range 2 { // the second finds nothing to undo
		if err := s.Disarm(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get(1); got.Queued || got.Armed {
		t.Errorf("disarmed: %+v", got)
	}
	if err := s.Arm(t.Context(), p, text("1.1.0")); err != nil { // nothing is pending now
		t.Fatal(err)
	}
	if s.github.Count("POST", "/graphql enqueuePullRequest") != 1 || s.github.Count("PUT", path("/pulls/1/merge")) != 0 {
		t.Error(s.github.Calls())
	}
	if got := s.repo.MergeQueued(); !got.Merged || got.EndedBy != "github-merge-queue[bot]" {
		t.Errorf("%+v", got)
	}
}

func TestDisarm(t *testing.T) {
	s := newSite(t)
	s.repo.Rule("main", reviewRule)
	p := s.propose("1.1.0")
	if err := s.Arm(t.Context(), p, text("1.1.0")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Disarm(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	s.repo.Approve("ann", 1)
	if got := s.repo.Pull(1); got.Merged || got.Armed {
		t.Errorf("%+v", got)
	}
	s.repo.Close("ann", 1)
	if err := s.Disarm(t.Context(), p); err != nil {
		t.Error("of one that has ended:", err)
	}
}

// What is demanded of a merge is read again after a minute.
func TestDemandsAreKeptForAMinute(t *testing.T) {
	s := newSite(t)
	s.propose("1.1.0")
	s.repo.Rule("main", checkRule)
	for range 3 {
		s.get(1)
	}
	rules := path("/rules/branches/main")
	if n := s.github.Count("GET", rules); n != 1 {
		t.Errorf("read %d times", n)
	}
	s.clock.Pass(time.Minute)
	s.get(1)
	if n := s.github.Count("GET", rules); n != 2 {
		t.Errorf("a minute later read %d times", n)
	}
}
