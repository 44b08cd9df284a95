package github

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// rule is one rule of a ruleset, as far as it is read. The client's own reader fails as a
// whole on a type that it does not know, and loses what it does not expect: so each is
// decoded here, and unknown types stay.
type rule struct {
	Type       string
	Parameters struct {
		Strict       bool     `json:"strict_required_status_checks_policy"`
		DismissStale bool     `json:"dismiss_stale_reviews_on_push"`
		LastPush     bool     `json:"require_last_push_approval"`
		Methods      []string `json:"allowed_merge_methods"`
		Checks       []struct {
			Context string
		} `json:"required_status_checks"`
	}
}

// rules reads the active rules of a branch. It need not exist.
func (f *Forge) rules(ctx context.Context, branch string) ([]rule, error) {
	const doing = "reading the rules of the branch"
	var rules []rule
	for page := 1; page != 0 && page <= mostPages; {
		request, err := f.client.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/rules/branches/%s?per_page=%d&page=%d", f.owner, f.name, url.PathEscape(branch), perPage, page), nil)
		if err != nil {
			return nil, failure(doing, err)
		}
		var list []json.RawMessage
		response, err := f.client.Do(ctx, request, &list)
		if err != nil {
			return nil, failure(doing+" "+branch, err)
		}
		for _, raw := range list {
			var r rule
			if json.Unmarshal(raw, &r) != nil { // of a known type with parameters of another form: its type still counts
				r = rule{}
				_ = json.Unmarshal(raw, &struct{ Type *string }{&r.Type}) // "" is reported as unknown
			}
			rules = append(rules, r)
		}
		page = response.NextPage
	}
	return rules, nil
}

// demands is what the repository asks of a merge into the base branch.
type demands struct {
	read      time.Time
	autoMerge *bool           // nil where GitHub does not show the App the setting
	settings  map[string]bool // methods by the repository's settings; nil likewise
	rules     []rule
	classic   bool // there is a branch protection of the older kind, whose details are not shown
}

// demandsKept is how long what was read serves those who arm and look.
const demandsKept = time.Minute

// demanded is what the repository asks, as it was a minute ago at most.
func (f *Forge) demanded(ctx context.Context) (demands, error) {
	f.mu.Lock()
	known := f.demands
	f.mu.Unlock()
	if age := f.now().Sub(known.read); !known.read.IsZero() && age >= 0 && age < demandsKept {
		return known, nil
	}
	return f.readDemands(ctx)
}

func (f *Forge) readDemands(ctx context.Context) (demands, error) {
	d := demands{read: f.now()}
	repository, _, err := f.client.Repositories.Get(ctx, f.owner, f.name)
	if err != nil {
		return demands{}, failure("reading the repository's settings", err)
	}
	d.autoMerge = repository.AllowAutoMerge
	if m, s, r := repository.AllowMergeCommit, repository.AllowSquashMerge, repository.AllowRebaseMerge; m != nil && s != nil && r != nil {
		d.settings = map[string]bool{"merge": *m, "squash": *s, "rebase": *r}
	}
	if d.rules, err = f.rules(ctx, f.base); err != nil {
		return demands{}, err
	}
	if d.classic, err = f.classic(ctx); err != nil {
		return demands{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.demands = d
	return d, nil
}

// classic reports whether the base branch has a branch protection rule. The branch itself is
// called protected for rulesets, too. The client's own call tells no refusal from another.
func (f *Forge) classic(ctx context.Context) (bool, error) {
	request, err := f.client.NewRequest(http.MethodGet, "repos/"+f.owner+"/"+f.name+"/branches/"+url.PathEscape(f.base), nil)
	if err != nil {
		return false, failure("reading the base branch", err)
	}
	var branch struct {
		Protection struct{ Enabled bool }
	}
	_, err = f.client.Do(ctx, request, &branch)
	return branch.Protection.Enabled, failure("reading the base branch", err)
}

// methods are the ways of merging that settings and rules allow, in the order in which
// tallyman prefers them.
func (d demands) methods() []string {
	allowed := []string{"squash", "merge", "rebase"}
	without := func(method string) {
		allowed = slices.DeleteFunc(allowed, func(m string) bool { return m == method })
	}
	for method, ok := range d.settings {
		if !ok {
			without(method)
		}
	}
	for _, r := range d.rules {
		switch {
		case r.Type == "required_linear_history":
			without("merge")
		case r.Type == "required_signatures": // GitHub does not sign what it rebases
			without("rebase")
		case r.Type == "pull_request" && len(r.Parameters.Methods) > 0:
			allowed = slices.DeleteFunc(allowed, func(m string) bool { return !slices.Contains(r.Parameters.Methods, m) })
		}
	}
	return allowed
}

// method is how tallyman merges: squash where it may, with a text of its own and GitHub's
// signature.
func (d demands) method() string {
	if allowed := d.methods(); len(allowed) > 0 {
		return allowed[0]
	}
	return "squash" // none is allowed, which GitHub says better
}

func (d demands) has(kind string) bool {
	return slices.ContainsFunc(d.rules, func(r rule) bool { return r.Type == kind })
}

func (d demands) checks() (names []string) {
	for _, r := range d.rules {
		for _, c := range r.Parameters.Checks {
			names = append(names, c.Context)
		}
	}
	return names
}

// Types of rules by what they mean for a pull request and for tallyman's pushes.
var (
	// harmless to a merge: they are about the branch itself.
	notOfMerges = []string{"creation", "deletion", "non_fast_forward"}
	// known to keep a merge waiting, and nothing that tallyman has to heed otherwise.
	ofMerges = []string{
		"update", "required_linear_history", "merge_queue", "required_deployments", "required_signatures", "pull_request", "required_status_checks",
		"workflows", "code_scanning", "code_quality", "copilot_code_review",
	}
	// refusing pushes of a topic branch: to make it, to move it, to delete it after the merge.
	ofTopics = []string{
		"creation", "update", "deletion", "non_fast_forward", "pull_request", "required_status_checks", "required_deployments",
		"required_signatures", "merge_queue", "workflows",
	}
	// refusing some pushes, by what they hold.
	ofContent = []string{
		"commit_message_pattern", "commit_author_email_pattern", "committer_email_pattern", "branch_name_pattern", "tag_name_pattern",
		"file_path_restriction", "max_file_path_length", "file_extension_restriction", "max_file_size",
	}
	// about a topic branch, and no hindrance to pushes of one commit.
	notOfTopics = []string{"required_linear_history", "code_scanning", "code_quality", "copilot_code_review"}
)

// Rules returns what GitHub demands of the base branch and of a topic branch.
func (f *Forge) Rules(ctx context.Context, topic string) (proposals.Rules, error) {
	d, err := f.readDemands(ctx)
	if err != nil {
		return proposals.Rules{}, err
	}
	onTopic, err := f.rules(ctx, topic)
	if err != nil {
		return proposals.Rules{}, err
	}
	rules := d.told()
	for _, r := range onTopic {
		switch {
		case slices.Contains(ofTopics, r.Type):
			rules.TopicRefuses = append(rules.TopicRefuses, r.Type)
		case slices.Contains(ofContent, r.Type):
			rules.Unknown = append(rules.Unknown, fmt.Sprintf("whether the rule %s refuses pushes of %s depends on what they hold", r.Type, topic))
		case !slices.Contains(notOfTopics, r.Type):
			rules.Unknown = append(rules.Unknown, fmt.Sprintf("tallyman does not know the rule %s of the branch %s", strconv.Quote(gitops.Clip(r.Type, 60)), topic))
		}
	}
	slices.Sort(rules.TopicRefuses)
	rules.TopicRefuses = slices.Compact(rules.TopicRefuses)
	return rules, nil
}

// told is what is demanded of the base branch in the words of the contract.
func (d demands) told() proposals.Rules {
	rules := proposals.Rules{
		Queue: d.has("merge_queue"), LinearHistory: d.has("required_linear_history"), Signatures: d.has("required_signatures"),
		Methods: d.methods(), Protected: d.classic,
	}
	for _, r := range d.rules {
		rules.Strict = rules.Strict || r.Parameters.Strict
		rules.DismissStale = rules.DismissStale || r.Parameters.DismissStale
		rules.LastPush = rules.LastPush || r.Parameters.LastPush
		rules.Protected = rules.Protected || !slices.Contains(notOfMerges, r.Type)
		if !slices.Contains(slices.Concat(notOfMerges, ofMerges, ofContent), r.Type) {
			rules.Unknown = append(rules.Unknown, fmt.Sprintf("tallyman does not know the rule %s of the base branch", strconv.Quote(gitops.Clip(r.Type, 60))))
		}
	}
	if d.autoMerge != nil {
		rules.AutoMerge = *d.autoMerge
	} else {
		rules.Unknown = append(rules.Unknown, "GitHub does not show the App whether the repository allows auto-merge: that takes the permission Contents: write")
	}
	if d.settings == nil {
		rules.Unknown = append(rules.Unknown, "GitHub does not show the App which ways of merging the repository allows: that takes the permission Contents: write")
	}
	if d.classic {
		rules.Unknown = append(rules.Unknown, "the base branch has a branch protection rule, whose details GitHub shows only with the permission Administration: read, which tallyman does not ask for: a ruleset in its place can be read")
	}
	return rules
}
