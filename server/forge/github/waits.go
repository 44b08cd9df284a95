package github

import (
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
)

// waitsFor says what keeps an open pull request from being merged. GitHub tells the state
// of it in one word, what reviews have decided, and who is asked for one. Which check is
// missing it does not tell an App without permissions for checks: then that is said, with
// the names of those that are required.
func waitsFor(p *github.PullRequest, s standing, d demands) (sentences []string) {
	say := func(sentence string) { sentences = append(sentences, sentence) }
	if s.Queued {
		return []string{"it waits for its turn in the merge queue"}
	}
	state := p.GetMergeableState()
	if p.GetDraft() || state == "draft" {
		say("it is a draft: somebody is to mark it as ready for review")
	}
	switch s.Decision {
	case "REVIEW_REQUIRED":
		say("a review is required" + asked(p))
	case "CHANGES_REQUESTED":
		say("a reviewer has requested changes")
	}
	switch state {
	case "dirty":
		say("it conflicts with the base branch")
	case "behind":
		say("it must have the base branch's newest commits")
	case "blocked":
		if len(sentences) == 0 {
			say("a rule of the base branch is not fulfilled, and GitHub does not tell tallyman which" + required(d.checks()))
		}
	case "clean", "unstable", "has_hooks":
		switch {
		case len(sentences) > 0:
		case s.AutoMerge != nil:
			say("GitHub merges it in a moment")
		default:
			say("nothing keeps it from being merged: somebody is to merge it")
		}
	case "draft":
	default: // unknown, or a state of tomorrow
		say("GitHub has not found out yet whether it can be merged")
	}
	return sentences
}

// asked names who is asked for a review.
func asked(p *github.PullRequest) string {
	var names []string
	for _, u := range p.RequestedReviewers {
		names = append(names, gitops.Clip(u.GetLogin(), 60))
	}
	for _, t := range p.RequestedTeams {
		names = append(names, "team "+gitops.Clip(t.GetSlug(), 60))
	}
	return listed(": asked are ", names)
}

// required names the checks that the base branch requires.
func required(checks []string) string {
	clipped := make([]string, len(checks))
	for i, c := range checks {
		clipped[i] = gitops.Clip(c, 60)
	}
	return listed(": its required checks are ", clipped)
}

const namesListed = 5

func listed(lead string, names []string) string {
	switch {
	case len(names) == 0:
		return ""
	case len(names) > namesListed:
		return lead + strings.Join(names[:namesListed], ", ") + " and others"
	}
	return lead + strings.Join(names, ", ")
}
