package githubtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// pull is a pull request.
type pull struct {
	repository  *Repository
	number      int
	title, body string
	branch      string
	head        string // as it was last seen
	base        string // the branch it goes into
	author      string
	fork        string // the owner of the fork that it is from; "" for the repository itself
	labels      []string
	comments    []Comment
	draft       bool
	open        bool
	closedFully bool // its branch was rewritten after it was closed, or had nothing to merge: it cannot be opened again

	opened, updated, ended time.Time
	merged                 bool
	endedBy, landed        string

	reviews   map[string]review // by login
	asked     []string
	teams     []string
	checks    map[string]bool // by context: whether it succeeded; others are pending
	auto      *autoMerge
	queued    bool
	computing int // how many more looks say that it is not known whether it can be merged
}

type review struct {
	state string // APPROVED or CHANGES_REQUESTED
	head  string // that it is of
	diff  string // that it is of
}

type autoMerge struct{ method, headline, body, by string }

// Comment is one of a pull request.
type Comment struct{ By, Text string }

// Pull is a pull request as it is at a moment.
type Pull struct {
	Number                     int
	Title, Body, Branch, Head  string
	Open, Merged, Armed, Queue bool
	EndedBy, Landed            string
	Labels                     []string
	Comments                   []Comment
}

// Pulls are all pull requests in the order in which they were opened.
func (r *Repository) Pulls() []Pull {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	var pulls []Pull
	for _, p := range r.pulls {
		pulls = append(pulls, Pull{
			Number: p.number, Title: p.title, Body: p.body, Branch: p.branch, Head: p.head,
			Open: p.open, Merged: p.merged, Armed: p.auto != nil, Queue: p.queued,
			EndedBy: p.endedBy, Landed: p.landed, Labels: slices.Clone(p.labels), Comments: slices.Clone(p.comments),
		})
	}
	return pulls
}

// Pull is one of them.
func (r *Repository) Pull(number int) Pull {
	if all := r.Pulls(); number >= 1 && number <= len(all) {
		return all[number-1]
	}
	r.server.t.Errorf("there is no pull request %d", number)
	return Pull{}
}

func (p *pull) node() string { return fmt.Sprintf("PR_kwDOtallyman%d", p.number) }

// from is the owner of the repository that its branch is of.
func (p *pull) from() string { return orElse(p.fork, p.repository.owner()) }

func (r *Repository) owner() string {
	owner, _, _ := strings.Cut(r.name, "/")
	return owner
}

// id is the repository's number: the one that the installation has it by.
func (r *Repository) id() int64 {
	if i := r.server.installedOn(r.name); i != nil {
		return i.repository[r.name]
	}
	return 1
}

func user(login string) any {
	if login == "" {
		return nil
	}
	if login == bot {
		return map[string]any{"login": login, "id": BotID, "type": "Bot"}
	}
	return map[string]any{"login": login, "id": 1000 + len(login), "type": "User"}
}

func (r *Repository) summary() map[string]any {
	_, short, _ := strings.Cut(r.name, "/")
	return map[string]any{"id": r.id(), "name": short, "full_name": r.name, "private": true, "owner": user(r.owner()), "default_branch": "main"}
}

func (r *Repository) labelled(names []string) []any {
	labels := []any{}
	for _, name := range names {
		labels = append(labels, map[string]any{"id": 1, "name": name, "color": "ededed", "default": false})
	}
	return labels
}

// simple is the form of a pull request in lists.
func (p *pull) simple() map[string]any {
	r := p.repository
	state := "closed"
	if p.open {
		state = "open"
	}
	from := r.summary()
	if p.fork != "" {
		from["id"], from["full_name"] = r.id()+1, p.fork+"/fork"
	}
	side := func(owner, ref, sha string, repo map[string]any) map[string]any {
		return map[string]any{"label": owner + ":" + ref, "ref": ref, "sha": sha, "user": user(owner), "repo": repo}
	}
	var merged, landed, auto any
	if p.merged {
		merged, landed = stamp(p.ended), p.landed
	}
	if a := p.auto; a != nil {
		auto = map[string]any{"enabled_by": user(a.by), "merge_method": strings.ToLower(a.method), "commit_title": a.headline, "commit_message": a.body}
	}
	reviewers, teams := []any{}, []any{}
	for _, login := range p.asked {
		reviewers = append(reviewers, user(login))
	}
	for _, slug := range p.teams {
		teams = append(teams, map[string]any{"id": 1, "slug": slug, "name": slug})
	}
	return map[string]any{
		"id": 500000 + p.number, "node_id": p.node(), "number": p.number, "state": state, "locked": false, "draft": p.draft,
		"title": p.title, "body": p.body, "user": user(p.author), "labels": r.labelled(p.labels), "html_url": "https://github.com/" + r.name + fmt.Sprint("/pull/", p.number),
		"created_at": stamp(p.opened), "updated_at": stamp(p.updated), "closed_at": stamp(p.ended), "merged_at": merged, "merge_commit_sha": landed,
		"head": side(p.from(), p.branch, p.head, from), "base": side(r.owner(), p.base, r.refs[p.base], r.summary()), "auto_merge": auto, "requested_reviewers": reviewers, "requested_teams": teams,
	}
}

// full is the form of one pull request. To look at it has GitHub begin to compute.
func (p *pull) full() map[string]any {
	all := p.simple()
	more := map[string]any{"merged": p.merged, "merged_by": nil, "mergeable": nil, "mergeable_state": "unknown", "rebaseable": nil, "comments": len(p.comments), "commits": 1}
	if p.merged {
		more["merged_by"] = user(p.endedBy)
	}
	if p.open {
		switch state := p.state(); state {
		case "unknown":
			p.computing--
		default:
			more["mergeable"], more["mergeable_state"] = state != "dirty", state
		}
	}
	maps.Copy(all, more)
	return all
}
