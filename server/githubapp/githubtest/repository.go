package githubtest

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Repository is a repository with pull requests. Its branches are those of a real git
// repository: what is pushed there is what the pull requests have, and merges are commits.
// People's acts are its methods. Safe for concurrent use.
type Repository struct {
	server   *Server
	name     string // owner/name
	git      *gitserver.Repository
	settings Settings
	rules    []branchRule
	classic  *Protection
	pulls    []*pull
	refs     map[string]string // branches as they were last seen
	asked    map[string]answered
	queue    []*pull
	events   []Event
	pusher   string // who makes the pushes that are seen next, as far as the fake is told
}

// Settings are those of a repository's page that concern pull requests.
type Settings struct {
	AllowAutoMerge, AllowMergeCommit, AllowSquashMerge, AllowRebaseMerge bool
	// What GitHub proposes to people who squash: PR_TITLE or COMMIT_OR_PR_TITLE; PR_BODY,
	// COMMIT_MESSAGES or BLANK.
	SquashTitle, SquashMessage string
}

// Protection is a branch protection rule of the older kind, on main.
type Protection struct {
	Approvals int
	Checks    []string
	Strict    bool
}

// Rule is one rule of a ruleset, as the REST API has it.
type Rule struct {
	Type       string
	Parameters map[string]any
}

type branchRule struct {
	pattern string
	Rule
}

// Serve gives a repository, owner/name, pull requests. Its branches are those of git. Pushes
// onto branches that are in a merge queue are refused by its hook "update".
func (s *Server) Serve(name string, git *gitserver.Repository) *Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Repository{
		server: s, name: name, git: git, refs: make(map[string]string), asked: make(map[string]answered), pusher: bot,
		settings: Settings{AllowAutoMerge: true, AllowMergeCommit: true, AllowSquashMerge: true, AllowRebaseMerge: true, SquashTitle: "COMMIT_OR_PR_TITLE", SquashMessage: "COMMIT_MESSAGES"},
	}
	r.check(git.Hook("update", lockedHook))
	r.refs = r.branches()
	s.served[strings.ToLower(name)] = r
	return r
}

// bot is the App's user.
const bot = Slug + "[bot]"

// check fails the test for what git could not do.
func (r *Repository) check(err error) {
	if err != nil {
		r.server.t.Errorf("the repository %s: %v", r.name, err)
	}
}

// run runs git and fails the test where that fails.
func (r *Repository) run(args ...string) string {
	out, err := r.git.Git(args...)
	r.check(err)
	return out
}

// Set changes the repository's settings.
func (r *Repository) Set(change func(*Settings)) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	change(&r.settings)
}

// Rule adds rules for the branches that a pattern of path.Match is for; a pattern that ends
// in /** is for all below.
func (r *Repository) Rule(pattern string, rules ...Rule) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	for _, rule := range rules {
		r.rules = append(r.rules, branchRule{pattern, rule})
	}
}

// Unrule removes all rules and the branch protection.
func (r *Repository) Unrule() {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.rules, r.classic = nil, nil
}

// Protect puts a branch protection rule on main.
func (r *Repository) Protect(p Protection) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.classic = &p
}

// ruled are the rulesets' rules of a branch.
func (r *Repository) ruled(branch string) (rules []Rule) {
	for _, rule := range r.rules {
		below, all := strings.CutSuffix(rule.pattern, "/**")
		matches, err := path.Match(rule.pattern, branch)
		r.check(err)
		if matches || all && strings.HasPrefix(branch, below+"/") {
			rules = append(rules, rule.Rule)
		}
	}
	return rules
}

// effective are all rules of a branch: those of its protection, too.
func (r *Repository) effective(branch string) []Rule {
	rules := r.ruled(branch)
	if r.classic == nil || branch != "main" {
		return rules
	}
	if r.classic.Approvals > 0 {
		rules = append(rules, Rule{"pull_request", map[string]any{"required_approving_review_count": r.classic.Approvals}})
	}
	if len(r.classic.Checks) > 0 {
		rules = append(rules, Checks(r.classic.Strict, r.classic.Checks...))
	}
	return rules
}

// Reviews is the rule that so many people approve, with further parameters as GitHub has
// them: name, value, name, value.
func Reviews(count int, parameters ...any) Rule {
	p := map[string]any{
		"required_approving_review_count": count, "dismiss_stale_reviews_on_push": false, "require_code_owner_review": false,
		"require_last_push_approval": false, "required_review_thread_resolution": false,
	}
	for i := 0; i+1 < len(parameters); i += 2 {
		p[fmt.Sprint(parameters[i])] = parameters[i+1]
	}
	return Rule{"pull_request", p}
}

// Checks is the rule that checks succeed.
func Checks(strict bool, contexts ...string) Rule {
	checks := []map[string]any{}
	for _, c := range contexts {
		checks = append(checks, map[string]any{"context": c})
	}
	return Rule{"required_status_checks", map[string]any{"strict_required_status_checks_policy": strict, "required_status_checks": checks}}
}

// Queue is the rule that merges go through a merge queue.
func Queue(method string) Rule {
	return Rule{"merge_queue", map[string]any{"merge_method": method, "grouping_strategy": "ALLGREEN", "max_entries_to_build": 5}}
}

func hasRule(rules []Rule, kind string) bool {
	for _, rule := range rules {
		if rule.Type == kind {
			return true
		}
	}
	return false
}

// flag reports whether a rule has a parameter that is true.
func flag(rules []Rule, parameter string) bool {
	for _, rule := range rules {
		if on, _ := rule.Parameters[parameter].(bool); on {
			return true
		}
	}
	return false
}

func stamp(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format(time.RFC3339)
}
