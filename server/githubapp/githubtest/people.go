package githubtest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// act does something to an open pull request as a person would, after what was pushed
// before is seen, and has GitHub react to it.
func (r *Repository) act(number int, do func(p *pull)) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	if number < 1 || number > len(r.pulls) || !r.pulls[number-1].open {
		r.server.t.Errorf("there is no open pull request %d to act on", number)
		return
	}
	do(r.pulls[number-1])
	r.refresh()
}

// Merge merges a pull request by a method: merge, squash or rebase. It fails the test where
// GitHub would not let anybody.
func (r *Repository) Merge(login string, number int, method string) {
	r.act(number, func(p *pull) {
		if status, why := p.refusal(method, p.head); status != 0 {
			r.server.t.Errorf("GitHub would not let %s merge pull request %d: %s", login, number, why)
			return
		}
		title, message := r.proposed(p, method)
		if r.merge(p, method, login, title, message) == "" {
			r.server.t.Errorf("the base branch moved while %s merged pull request %d", login, number)
		}
	})
}

// Close closes a pull request without merging it.
func (r *Repository) Close(login string, number int) {
	r.act(number, func(p *pull) { r.end(p, login, false, "") })
}

// Reopen opens a pull request that was closed, and reports whether GitHub lets one: not when
// its branch has gone, was rewritten meanwhile, or another one of the branch is open.
func (r *Repository) Reopen(login string, number int) bool {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	p := r.pulls[number-1]
	if p.open || p.merged || p.closedFully || r.openOf(p.branch, p.base) != nil {
		return false
	}
	p.open, p.endedBy, p.ended = true, "", time.Time{}
	p.touch()
	r.tellPull(p, "reopened", login, nil)
	return true
}

// Push pushes a person's commit, onto the topic branch of a pull request or another.
func (r *Repository) Push(login string, change gitserver.Change) string {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	commit, err := r.git.Commit(change)
	r.check(err)
	r.pusher = login
	r.refresh()
	return commit
}

// DeleteBranch deletes a branch. GitHub closes the pull requests that are from it.
func (r *Repository) DeleteBranch(login, branch string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	r.run("update-ref", "-d", "refs/heads/"+branch)
	r.pusher = login
	r.refresh()
}

// Approve adds an approval, of the head as it is.
func (r *Repository) Approve(login string, number int) { r.review(login, number, "APPROVED") }

// RequestChanges adds a review that wants changes.
func (r *Repository) RequestChanges(login string, number int) {
	r.review(login, number, "CHANGES_REQUESTED")
}

func (r *Repository) review(login string, number int, state string) {
	r.act(number, func(p *pull) {
		if login == p.author {
			r.server.t.Errorf("GitHub does not let %s review a pull request of its own", login)
			return
		}
		p.reviews[login] = review{state: state, head: p.head, diff: r.diff(p)}
		p.touch()
		told := map[string]string{"APPROVED": "approved", "CHANGES_REQUESTED": "changes_requested"}[state]
		r.tell("pull_request_review", "submitted", login, map[string]any{
			"review":       map[string]any{"id": 1, "state": told, "user": user(login), "commit_id": p.head},
			"pull_request": p.simple(),
		})
	})
}

// Ask asks for reviews: logins, and teams with "team:" before their names.
func (r *Repository) Ask(number int, logins []string, teams ...string) {
	r.act(number, func(p *pull) { p.asked, p.teams = logins, teams })
}

// Report reports a check of the head.
func (r *Repository) Report(number int, context string, succeeded bool) {
	r.act(number, func(p *pull) { p.checks[context] = succeeded; p.touch() })
}

// Draft makes a pull request a draft, or ready for review.
func (r *Repository) Draft(number int, draft bool) {
	r.act(number, func(p *pull) { p.draft = draft; p.touch() })
}

// Compute has GitHub say so many times that it does not know yet whether a pull request can
// be merged.
func (r *Repository) Compute(number, looks int) {
	r.act(number, func(p *pull) { p.computing = looks })
}

// Rename edits the text of a pull request.
func (r *Repository) Rename(login string, number int, title, body string) {
	r.act(number, func(p *pull) {
		p.title, p.body = title, body
		p.touch()
		r.tellPull(p, "edited", login, nil)
	})
}

// Retarget has a pull request go into another branch. GitHub disarms it.
func (r *Repository) Retarget(login string, number int, base string) {
	r.act(number, func(p *pull) {
		p.base, p.auto = base, nil
		p.touch()
		r.tellPull(p, "edited", login, nil)
	})
}

// Label adds a label.
func (r *Repository) Label(number int, label string) {
	r.act(number, func(p *pull) { p.labels = append(p.labels, label); p.touch() })
}

// Arm enables auto-merge, as the button does.
func (r *Repository) Arm(login string, number int, method string) {
	r.act(number, func(p *pull) {
		title, message := r.proposed(p, method)
		p.auto = &autoMerge{method: method, headline: title, body: message, by: login}
		p.touch()
		r.tellPull(p, "auto_merge_enabled", login, nil)
	})
}

// Enqueue puts a pull request into the merge queue.
func (r *Repository) Enqueue(login string, number int) {
	r.act(number, func(p *pull) {
		if !hasRule(r.effective(p.base), "merge_queue") || !p.ready() {
			r.server.t.Errorf("GitHub would not let %s enqueue pull request %d", login, number)
			return
		}
		r.enqueue(p, login)
	})
}

// Dequeue takes a pull request out of the merge queue; the reason is GitHub's, such as
// MANUAL or CI_FAILURE. Auto-merge is gone with it.
func (r *Repository) Dequeue(login string, number int, reason string) {
	r.act(number, func(p *pull) { r.dequeue(p, login, reason) })
}

func (r *Repository) dequeue(p *pull, by, reason string) {
	r.leaveQueue(p)
	p.touch()
	r.tellPull(p, "dequeued", by, map[string]any{"reason": reason})
}

// Open opens a pull request by hand.
func (r *Repository) Open(login, branch, base string) int {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	p, why := r.open(login, branch, base, "A pull request by "+login, "")
	if p == nil {
		r.server.t.Errorf("GitHub would not open a pull request of %s: %s", branch, why)
		return 0
	}
	return p.number
}

// Fork opens a pull request from a branch of somebody's fork, which is called as the login
// and has the commits of main's tip.
func (r *Repository) Fork(login, branch string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	r.add(&pull{branch: branch, head: r.refs["main"], base: "main", author: login, fork: login})
}

// Say adds a comment.
func (r *Repository) Say(login string, number int, words string) {
	r.act(number, func(p *pull) { p.comments = append(p.comments, Comment{login, words}); p.touch() })
}
