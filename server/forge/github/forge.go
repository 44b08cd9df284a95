// Package github opens, follows and merges pull requests on GitHub: on github.com, on
// ghe.com, and on GitHub Enterprise Server from 3.12 on, which has merge queues.
//
// It asks the REST API, and the GraphQL API for what that alone has: auto-merge, the merge
// queue, and what reviews have decided. It keeps nothing but the pages of the list of
// open pull requests, so that asking again costs nothing, and for a minute what the
// repository demands of a merge.
//
// # What a crash or a lost answer leaves
//
// Each call may be made again. A pull request that was created a moment ago answers
// [proposals.ErrExists]; labels and comments that are there are not added a second time;
// closing, arming and disarming look at what is there first. A merge whose answer was lost
// answers [proposals.ErrNotNow], and a look at the pull request tells.
//
// Facts: GitHub's documentation, "REST API endpoints for pull requests", "REST API
// endpoints for rules", "Rate limits for the REST API", and its GraphQL reference.
package github

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/server/githubapp"
)

// perPage is the most that GitHub gives at once.
const perPage = 100

// Forge is one repository on GitHub as a GitHub App's installation sees it. Safe for
// concurrent use. It is a [proposals.Forge].
type Forge struct {
	app               *githubapp.App
	client            *github.Client
	owner, name, base string
	now               func() time.Time

	opening sync.Mutex // held by Open
	pages   []page     // of open pull requests, as they were last given

	mu      sync.Mutex
	demands demands // what was read last
}

var _ proposals.Forge = (*Forge)(nil)

// New returns the repository that the App is at work in. The base branch is the one that
// pull requests go into. It does not use the network.
func New(app *githubapp.App, base string) *Forge {
	owner, name := app.Repository()
	return &Forge{app: app, client: app.PullRequestClient(), owner: owner, name: name, base: base, now: time.Now}
}

// Pulls returns the pull requests from a branch of the repository itself, the newest first.
// GitHub's list does not say who ended them: Get does. Of very many these are the newest.
func (f *Forge) Pulls(ctx context.Context, branch string) ([]proposals.Pull, error) {
	var pulls []proposals.Pull
	options := github.PullRequestListOptions{
		State: "all", Head: f.owner + ":" + branch, Base: f.base, Sort: "created", Direction: "desc",
		ListOptions: github.ListOptions{PerPage: perPage},
	}
	for range mostPages {
		list, response, err := f.client.PullRequests.List(ctx, f.owner, f.name, &options)
		if err != nil {
			return nil, failure("listing the pull requests of "+branch, err)
		}
		for _, p := range list {
			if f.own(p) && p.GetHead().GetRef() == branch {
				pulls = append(pulls, pullOf(p))
			}
		}
		if options.Page = response.NextPage; options.Page == 0 {
			break
		}
	}
	return pulls, nil
}

// own reports whether a pull request is from the repository itself into the base branch:
// GitHub's filters let others pass, such as forks whose branch is called the same. The
// repositories' numbers are compared since their names may change.
func (f *Forge) own(p *github.PullRequest) bool {
	from, to := p.GetHead().GetRepo(), p.GetBase().GetRepo()
	return p.GetBase().GetRef() == f.base && from.GetID() != 0 && from.GetID() == to.GetID()
}

// Get returns a pull request, with what it waits for. One that a person has go into another
// branch does not belong to the base branch any more: nothing of it is to be merged from here.
func (f *Forge) Get(ctx context.Context, number int) (proposals.Pull, error) {
	const doing = "looking at the pull request"
	found, _, err := f.client.PullRequests.Get(ctx, f.owner, f.name, number)
	if err != nil {
		return proposals.Pull{}, failure(doing, err)
	}
	p := pullOf(found)
	us, err := f.app.Identity(ctx)
	if err != nil {
		return proposals.Pull{}, err
	}
	if into := found.GetBase().GetRef(); p.State == proposals.PullOpen && into != f.base {
		return proposals.Pull{}, gitops.Errorf(gitops.NotFound, "pull request #%d goes into %s now, not into %s", number, gitops.Clip(into, 100), f.base)
	}
	if p.State == proposals.PullOpen {
		p.ArmedByUs = found.GetAutoMerge().GetEnabledBy().GetLogin() == us.Name
		return f.withStanding(ctx, p, found)
	}
	p.EndedBy = found.GetMergedBy().GetLogin()
	if p.State == proposals.PullClosed { // who closed it is known of its issue alone
		issue, _, err := f.client.Issues.Get(ctx, f.owner, f.name, number)
		if err != nil {
			return proposals.Pull{}, failure(doing, err)
		}
		p.EndedBy = issue.GetClosedBy().GetLogin()
	}
	p.ByUs = p.EndedBy == us.Name
	return p, nil
}

// withStanding adds what GraphQL alone tells of an open pull request.
func (f *Forge) withStanding(ctx context.Context, p proposals.Pull, found *github.PullRequest) (proposals.Pull, error) {
	s, err := f.standing(ctx, p.ID)
	if err != nil {
		return proposals.Pull{}, err
	}
	d, err := f.demanded(ctx)
	if err != nil {
		return proposals.Pull{}, err
	}
	p.Queued = s.Queued
	p.WaitsFor = waitsFor(found, s, d)
	return p, nil
}

// Create opens a pull request. Labels come after it: when they fail, it is there without
// them, and Edit adds them.
func (f *Forge) Create(ctx context.Context, branch string, t proposals.Text) (proposals.Pull, error) {
	created, _, err := f.client.PullRequests.Create(ctx, f.owner, f.name, &github.NewPullRequest{
		Title: &t.Title, Body: &t.Body, Head: &branch, Base: &f.base,
	})
	if err != nil {
		return proposals.Pull{}, createFailure(err)
	}
	p := pullOf(created)
	p.Text.Labels, err = f.label(ctx, p, t.Labels)
	return p, err
}

// Edit gives a pull request its title and body, and the labels that it lacks. Others stay:
// they are people's.
func (f *Forge) Edit(ctx context.Context, number int, t proposals.Text) error {
	edited, _, err := f.client.PullRequests.Edit(ctx, f.owner, f.name, number, &github.PullRequest{Title: &t.Title, Body: &t.Body})
	if err != nil {
		return failure("editing the pull request", err)
	}
	_, err = f.label(ctx, pullOf(edited), t.Labels)
	return err
}

// label adds the labels that a pull request lacks and returns all that it has then.
// GitHub knows them in any case of letters, and makes those that the repository lacks.
func (f *Forge) label(ctx context.Context, p proposals.Pull, wanted []string) ([]string, error) {
	missing := slices.DeleteFunc(slices.Clone(wanted), func(label string) bool {
		return slices.ContainsFunc(p.Text.Labels, func(has string) bool { return strings.EqualFold(has, label) })
	})
	if len(missing) == 0 {
		return p.Text.Labels, nil
	}
	if _, _, err := f.client.Issues.AddLabelsToIssue(ctx, f.owner, f.name, p.Number, missing); err != nil {
		return p.Text.Labels, failure("labelling the pull request", err)
	}
	return append(p.Text.Labels, missing...), nil
}

// Close closes a pull request without merging it. One that was merged meanwhile stays merged.
func (f *Forge) Close(ctx context.Context, number int) error {
	closed := "closed"
	_, _, err := f.client.PullRequests.Edit(ctx, f.owner, f.name, number, &github.PullRequest{State: &closed})
	return failure("closing the pull request", err)
}

// Comment adds a comment, unless tallyman has said the same there.
func (f *Forge) Comment(ctx context.Context, number int, text string) error {
	const doing = "commenting on the pull request"
	us, err := f.app.Identity(ctx)
	if err != nil {
		return err
	}
	options := github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: perPage}}
	for range mostPages {
		said, response, err := f.client.Issues.ListComments(ctx, f.owner, f.name, number, &options)
		if err != nil {
			return failure(doing, err)
		}
		for _, c := range said {
			if c.GetUser().GetLogin() == us.Name && strings.TrimSpace(c.GetBody()) == strings.TrimSpace(text) {
				return nil
			}
		}
		if options.Page = response.NextPage; options.Page == 0 {
			break
		}
	}
	_, _, err = f.client.Issues.CreateComment(ctx, f.owner, f.name, number, &github.IssueComment{Body: &text})
	return failure(doing, err)
}

// pullOf is a pull request as lists have it. GitHub's state of one that was merged is
// closed, and lists say only when it was merged.
func pullOf(p *github.PullRequest) proposals.Pull {
	pull := proposals.Pull{
		Number: p.GetNumber(), ID: p.GetNodeID(), URL: p.GetHTMLURL(),
		Branch: p.GetHead().GetRef(), Head: hash(p.GetHead().GetSHA()),
		State: proposals.PullOpen, OpenedAt: p.GetCreatedAt().UTC(),
		Text: proposals.Text{Title: p.GetTitle(), Body: p.GetBody()},
	}
	for _, l := range p.Labels {
		pull.Text.Labels = append(pull.Text.Labels, l.GetName())
	}
	switch {
	case p.MergedAt != nil:
		pull.State, pull.EndedAt, pull.Landed = proposals.PullMerged, p.GetMergedAt().UTC(), hash(p.GetMergeCommitSHA())
	case p.GetState() == "closed":
		pull.State, pull.EndedAt = proposals.PullClosed, p.GetClosedAt().UTC()
	default:
		pull.Armed = p.AutoMerge != nil
	}
	return pull
}

// hash reads a commit's name. What is not one is the zero hash: not known.
func hash(text string) git.Hash {
	h, _ := git.ParseHash(text)
	return h
}
