package githubtest

import (
	"fmt"
	"slices"
	"strings"
)

// state is what the REST API calls mergeable_state.
func (p *pull) state() string {
	r := p.repository
	switch {
	case p.draft:
		return "draft"
	case p.computing > 0:
		return "unknown"
	case p.conflicts():
		return "dirty"
	}
	rules := r.effective(p.base)
	if p.unmet(rules) != "" {
		return "blocked"
	}
	if flag(rules, "strict_required_status_checks_policy") && !r.reaches(p.head, r.refs[p.base]) {
		return "behind"
	}
	for _, ok := range p.checks {
		if !ok {
			return "unstable"
		}
	}
	return "clean"
}

// ready reports whether GitHub merges it.
func (p *pull) ready() bool {
	s := p.state()
	return s == "clean" || s == "unstable"
}

func (p *pull) conflicts() bool {
	return !p.repository.same("merge-tree", "--write-tree", p.repository.refs[p.base], p.head).ok
}

// unmet is what GitHub says of the first rule that is not fulfilled, "" when all are.
func (p *pull) unmet(rules []Rule) string {
	for _, rule := range rules {
		switch rule.Type {
		case "pull_request":
			if why := p.unapproved(rule); why != "" {
				return why
			}
		case "required_status_checks":
			for _, context := range required(rule) {
				if !p.checks[context] {
					return fmt.Sprintf("Required status check %q is expected.", context)
				}
			}
		case "required_signatures":
			if !strings.Contains(p.repository.same("cat-file", "commit", p.head).out, "\ngpgsig ") {
				return "Commits must have verified signatures."
			}
		case "update":
			return "Cannot update this protected ref."
		}
	}
	return ""
}

// unapproved says which review is missing.
func (p *pull) unapproved(rule Rule) string {
	approved := 0
	for _, v := range p.reviews {
		switch v.state {
		case "CHANGES_REQUESTED":
			return "Changes were requested by a reviewer with write access."
		case "APPROVED":
			approved++
		}
	}
	if wanted := count(rule.Parameters["required_approving_review_count"]); approved < wanted {
		return fmt.Sprintf("At least %d approving review is required by reviewers with write access.", wanted)
	}
	return ""
}

func count(value any) int {
	n, _ := value.(int)
	return n
}

// required are the contexts of a rule of checks.
func required(rule Rule) (contexts []string) {
	checks, _ := rule.Parameters["required_status_checks"].([]map[string]any)
	for _, c := range checks {
		contexts = append(contexts, fmt.Sprint(c["context"]))
	}
	return contexts
}

// decision is what GraphQL calls reviewDecision: nil where no rule asks for reviews.
func (p *pull) decision() any {
	asked := false
	for _, rule := range p.repository.effective(p.base) {
		if rule.Type != "pull_request" {
			continue
		}
		asked = asked || count(rule.Parameters["required_approving_review_count"]) > 0
		if p.unapproved(rule) != "" {
			for _, v := range p.reviews {
				if v.state == "CHANGES_REQUESTED" {
					return v.state
				}
			}
			return "REVIEW_REQUIRED"
		}
	}
	if !asked {
		return nil
	}
	return "APPROVED"
}

// refusal says why a pull request cannot be merged by a method, with the status that the
// REST API gives it; 0 when it can.
func (p *pull) refusal(method, sha string) (int, string) {
	r := p.repository
	rules := r.effective(p.base)
	switch state := p.state(); {
	case !p.open, p.draft, state == "dirty", state == "unknown":
		return 405, "Pull Request is not mergeable"
	case sha != "" && sha != p.head:
		return 409, "Head branch was modified. Review and try the merge again."
	case hasRule(rules, "merge_queue"):
		return 405, "Repository rule violations found\n\nChanges must be made through the merge queue"
	case state == "blocked":
		return 405, p.unmet(rules)
	case state == "behind":
		return 405, "Head branch is out of date. Review and try the merge again."
	}
	if why := r.forbids(method, rules); why != "" {
		return 405, why
	}
	return 0, ""
}

// forbids says why a method of merging is not allowed.
func (r *Repository) forbids(method string, rules []Rule) string {
	allowed := map[string]bool{"merge": r.settings.AllowMergeCommit, "squash": r.settings.AllowSquashMerge, "rebase": r.settings.AllowRebaseMerge}
	names := map[string]string{"merge": "Merge commits", "squash": "Squash merges", "rebase": "Rebase merges"}
	for _, rule := range rules {
		if methods, ok := rule.Parameters["allowed_merge_methods"].([]string); ok && !slices.Contains(methods, method) {
			return "Repository rule violations found\n\nThis merge method is not allowed."
		}
	}
	switch {
	case !allowed[method]:
		return names[method] + " are not allowed on this repository."
	case method == "merge" && hasRule(rules, "required_linear_history"):
		return "Repository rule violations found\n\nThis branch must not contain merge commits."
	case method == "rebase" && hasRule(rules, "required_signatures"):
		return "Base branch requires signed commits. Rebase merges cannot be automatically signed by GitHub."
	}
	return ""
}
