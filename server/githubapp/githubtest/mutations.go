package githubtest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// mutationInput has the fields of all inputs; each mutation takes some of them.
type mutationInput struct {
	PullRequestID   string `json:"pullRequestId"`
	ID              string `json:"id"`
	MergeMethod     string `json:"mergeMethod"`
	CommitHeadline  string `json:"commitHeadline"`
	CommitBody      string `json:"commitBody"`
	ExpectedHeadOid string `json:"expectedHeadOid"`
}

type mutation struct {
	takes []string // the fields that tallyman sends, of which the first is the pull request
	needs []string // the fields without which a race is lost, though GitHub would take it
	apply func(p *pull, in mutationInput) *problem
}

var mutationsKnown = map[string]mutation{
	"enablePullRequestAutoMerge":  {[]string{"pullRequestId", "mergeMethod", "commitHeadline", "commitBody", "expectedHeadOid"}, []string{"mergeMethod", "expectedHeadOid"}, enableAutoMerge},
	"disablePullRequestAutoMerge": {[]string{"pullRequestId"}, nil, disableAutoMerge},
	"enqueuePullRequest":          {[]string{"pullRequestId", "expectedHeadOid"}, []string{"expectedHeadOid"}, enqueuePull},
	"dequeuePullRequest":          {[]string{"id"}, nil, dequeuePull},
}

func mutations() []string {
	return []string{"enablePullRequestAutoMerge", "disablePullRequestAutoMerge", "enqueuePullRequest", "dequeuePullRequest"}
}

// pullOf finds a pull request by its node. The installation must have the permission for
// pull requests, and to change how it merges that for contents, too.
func (s *Server) pullOf(holder *token, id json.RawMessage, access string) (*pull, *problem) {
	var node string
	if json.Unmarshal(id, &node) != nil {
		return nil, mistake("Variable $id of type ID! was provided invalid value")
	}
	for name := range holder.installation.repository {
		r := s.served[strings.ToLower(name)]
		if r == nil {
			continue
		}
		r.refresh()
		for _, p := range r.pulls {
			if p.node() != node {
				continue
			}
			has := holder.installation.permissions
			if has["pull_requests"] == "" || access == "write" && (has["pull_requests"] != "write" || has["contents"] != "write") {
				return nil, &problem{kind: "FORBIDDEN", message: "Resource not accessible by integration"}
			}
			return p, nil
		}
	}
	return nil, &problem{kind: "NOT_FOUND", message: "Could not resolve to a node with the global id of '" + node + "'"}
}

func (s *Server) mutate(holder *token, root field, input json.RawMessage) (any, *problem) {
	m := mutationsKnown[root.name]
	var given map[string]json.RawMessage
	var in mutationInput
	decoder := json.NewDecoder(bytes.NewReader(input))
	decoder.DisallowUnknownFields()
	if json.Unmarshal(input, &given) != nil || decoder.Decode(&in) != nil {
		return nil, mistake("Variable $input of %s was provided invalid value", root.name)
	}
	for name := range given {
		if !slices.Contains(m.takes, name) {
			return nil, mistake("Variable $input: Field is not defined on %sInput: %s", root.name, name)
		}
	}
	for _, name := range append([]string{m.takes[0]}, m.needs...) {
		if given[name] == nil {
			return nil, mistake("%s without %s", root.name, name)
		}
	}
	if len(root.of) != 1 || root.of[0].name != "clientMutationId" {
		return nil, mistake("a mutation whose answer nobody needs asks for clientMutationId alone")
	}
	p, wrong := s.pullOf(holder, given[m.takes[0]], "write")
	if wrong != nil {
		return nil, wrong
	}
	if wrong := m.apply(p, in); wrong != nil {
		return nil, wrong
	}
	p.repository.refresh()
	return map[string]any{"clientMutationId": nil}, nil
}

func enableAutoMerge(p *pull, in mutationInput) *problem {
	r := p.repository
	rules := r.effective(p.base)
	method := strings.ToLower(in.MergeMethod)
	switch state := p.state(); {
	case !p.open && p.merged:
		return unprocessable("Pull request is merged")
	case !p.open:
		return unprocessable("Pull request is closed")
	case in.ExpectedHeadOid != p.head:
		return unprocessable("Head branch was modified. Review and try the merge again.")
	case !slices.Contains([]string{"MERGE", "SQUASH", "REBASE"}, in.MergeMethod):
		return mistake("Variable $input: mergeMethod %q is not one of PullRequestMergeMethod", in.MergeMethod)
	case in.MergeMethod != "SQUASH" && in.CommitHeadline+in.CommitBody != "":
		return mistake("a text for a merge that keeps the branch's own commit")
	case !r.settings.AllowAutoMerge:
		return unprocessable("Pull request Auto merge is not allowed for this repository")
	case len(rules) == 0:
		return unprocessable("Pull request Protected branch rules not configured for this branch")
	case p.auto != nil:
		return unprocessable("Pull request Auto merge is already enabled for this pull request")
	case r.forbids(method, rules) != "" && !hasRule(rules, "merge_queue"):
		return unprocessable("Merge method %s is not allowed on this repository", in.MergeMethod)
	case slices.Contains([]string{"clean", "unstable", "dirty", "draft", "unknown"}, state):
		return unprocessable("Pull request Pull request is in %s status", state)
	}
	p.auto = &autoMerge{method: method, headline: in.CommitHeadline, body: in.CommitBody, by: bot}
	p.touch()
	r.tellPull(p, "auto_merge_enabled", bot, nil)
	return nil
}

func (a *autoMerge) graphMethod() string { return strings.ToUpper(a.method) }

func disableAutoMerge(p *pull, _ mutationInput) *problem {
	if p.auto == nil {
		return unprocessable("Can't disable auto-merge for this pull request.")
	}
	p.auto = nil
	p.touch()
	p.repository.tellPull(p, "auto_merge_disabled", bot, nil)
	return nil
}

func enqueuePull(p *pull, in mutationInput) *problem {
	switch {
	case !hasRule(p.repository.effective(p.base), "merge_queue"):
		return unprocessable("The branch does not have a merge queue")
	case !p.open || p.queued:
		return unprocessable("Pull request is already in the merge queue")
	case in.ExpectedHeadOid != p.head:
		return unprocessable("Head branch was modified. Review and try the merge again.")
	case !p.ready():
		return unprocessable("Pull request %s", orElse(p.unmet(p.repository.effective(p.base)), "is not mergeable"))
	}
	p.repository.enqueue(p, bot)
	return nil
}

func dequeuePull(p *pull, _ mutationInput) *problem {
	if !p.queued {
		return unprocessable("Pull request is not in the merge queue")
	}
	p.repository.dequeue(p, bot, "MANUAL")
	return nil
}
