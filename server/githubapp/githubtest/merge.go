package githubtest

import (
	"fmt"
	"strings"
)

// merge makes the commits of a merge and moves the base branch to them. It returns what
// GitHub calls merge_commit_sha, and "" where somebody moved the base branch meanwhile.
func (r *Repository) merge(p *pull, method, by, title, message string) string {
	base := r.refs[p.base]
	var landed string
	switch method {
	case "merge":
		landed = r.commit(by, by, title+"\n\n"+message, base, r.tree(base, p.head), p.head)
	case "squash":
		landed = r.commit(p.author, "GitHub", title+"\n\n"+message, base, r.tree(base, p.head))
	case "rebase":
		landed = base
		for commit := range strings.FieldsSeq(r.run("rev-list", "--reverse", base+".."+p.head)) {
			aside := r.commit(by, by, "what is there by now, on the commit's own parent", commit+"^", r.run("rev-parse", landed+"^{tree}"))
			tree := r.tree(aside, commit)
			landed = r.commit(r.run("log", "-1", "--format=%an", commit), by, r.run("log", "-1", "--format=%B", commit), landed, tree)
		}
	}
	if _, err := r.git.Git("update-ref", "refs/heads/"+p.base, landed, base); err != nil {
		return ""
	}
	r.pusher = by
	now := r.branches()
	r.tellPushes(now)
	r.refs = now
	r.end(p, by, true, landed)
	return landed
}

// tree is the tree of a merge without conflicts.
func (r *Repository) tree(base, head string) string {
	tree, _, _ := strings.Cut(r.run("merge-tree", "--write-tree", base, head), "\n")
	return tree
}

// commit makes a commit that no branch has yet.
func (r *Repository) commit(author, committer, message, parent, tree string, merged ...string) string {
	const at = "refs/fake/merge"
	seconds := r.server.now().Unix()
	var b strings.Builder
	message = strings.TrimRight(message, "\n") + "\n"
	fmt.Fprintf(&b, "commit %s\nauthor %s %d +0000\ncommitter %s %d +0000\ndata %d\n%s\nfrom %s\n", at, mail(author), seconds, mail(committer), seconds, len(message), message, parent)
	for _, m := range merged {
		fmt.Fprintf(&b, "merge %s\n", m)
	}
	fmt.Fprintf(&b, "M 040000 %s \n\n", tree)
	r.check(r.git.Import(strings.NewReader(b.String())))
	made := r.run("rev-parse", at)
	r.run("update-ref", "-d", at)
	return made
}

func mail(login string) string {
	switch login {
	case "GitHub":
		return "GitHub <noreply@github.com>"
	case bot:
		return fmt.Sprintf("%s <%d+%s@users.noreply.github.com>", bot, BotID, bot)
	}
	return fmt.Sprintf("%s <%s@users.noreply.github.com>", login, login)
}

// proposed is the text that GitHub proposes to who merges, for those methods that have one.
func (r *Repository) proposed(p *pull, method string) (title, message string) {
	switch method {
	case "merge":
		return fmt.Sprintf("Merge pull request #%d from %s/%s", p.number, r.owner(), p.branch), p.title
	case "rebase":
		return "", ""
	}
	title = p.title
	if r.settings.SquashTitle == "COMMIT_OR_PR_TITLE" {
		title = r.run("log", "-1", "--format=%s", p.head)
	}
	switch r.settings.SquashMessage {
	case "PR_BODY":
		message = p.body
	case "COMMIT_MESSAGES":
		for subject := range strings.Lines(r.run("log", "--reverse", "--format=%s", p.base+".."+p.head)) {
			message += "* " + strings.TrimSpace(subject) + "\n"
		}
	}
	return fmt.Sprintf("%s (#%d)", title, p.number), message
}

// autoMerge merges what is armed and ready, or puts it into the queue.
func (r *Repository) autoMerge(p *pull) {
	a := p.auto
	if hasRule(r.effective(p.base), "merge_queue") {
		if !p.queued {
			r.enqueue(p, a.by)
		}
		return
	}
	if status, _ := p.refusal(a.method, ""); status == 0 {
		title, message := r.proposed(p, a.method)
		r.merge(p, a.method, a.by, orElse(a.headline, title), orElse(a.body, message))
	}
}

// queueBot is who merges by a queue.
const queueBot = "github-merge-queue[bot]"

func (r *Repository) enqueue(p *pull, by string) {
	p.queued, p.auto = true, nil
	r.queue = append(r.queue, p)
	r.lock()
	p.touch()
	r.tellPull(p, "enqueued", by, nil)
}

// leaveQueue takes a pull request out of the queue, if it is there.
func (r *Repository) leaveQueue(p *pull) {
	if !p.queued {
		return
	}
	p.queued = false
	r.lock()
	for i, q := range r.queue {
		if q == p {
			r.queue = append(r.queue[:i:i], r.queue[i+1:]...)
			break
		}
	}
}

// MergeQueued has the queue merge its first pull request, by the queue's method.
func (r *Repository) MergeQueued() Pull {
	p, ok := r.first()
	if !ok {
		return Pull{}
	}
	return r.Pull(p.number)
}

func (r *Repository) first() (*pull, bool) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	if len(r.queue) == 0 {
		r.server.t.Errorf("no pull request is in the queue")
		return nil, false
	}
	p := r.queue[0]
	method := "merge"
	for _, rule := range r.effective(p.base) {
		if m, ok := rule.Parameters["merge_method"].(string); ok {
			method = strings.ToLower(m)
		}
	}
	title, message := r.proposed(p, method)
	r.tell("merge_group", "checks_requested", queueBot, map[string]any{"merge_group": map[string]any{
		"head_sha": p.head, "head_ref": fmt.Sprintf("refs/heads/gh-readonly-queue/%s/pr-%d-%s", p.base, p.number, r.refs[p.base]), "base_ref": "refs/heads/" + p.base, "base_sha": r.refs[p.base],
	}})
	return p, r.merge(p, method, queueBot, title, message) != ""
}
