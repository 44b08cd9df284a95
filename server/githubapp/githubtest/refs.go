package githubtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// lockedHook refuses pushes onto the branches that the file beside it names, as GitHub does
// while they are in a merge queue.
const lockedHook = `if [ -f "$GIT_DIR/locked" ] && grep -qxF "$1" "$GIT_DIR/locked"; then
	echo "error: GH006: Protected branch update failed for $1." >&2
	echo "error: Cannot change a locked branch" >&2
	exit 1
fi`

// lock writes the hook's file.
func (r *Repository) lock() {
	var refs strings.Builder
	for _, p := range r.pulls {
		if p.queued {
			refs.WriteString("refs/heads/" + p.branch + "\n")
		}
	}
	r.check(os.WriteFile(filepath.Join(r.git.Dir, "locked"), []byte(refs.String()), 0o600))
}

// branches reads where the branches are, as git keeps them: each in a file of its own, or
// packed into one. To ask git for them at each call would take most of a test's time.
func (r *Repository) branches() map[string]string {
	found := make(map[string]string)
	packed, err := os.ReadFile(filepath.Join(r.git.Dir, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.check(err)
	}
	const heads = "refs/heads/"
	for line := range strings.Lines(string(packed)) {
		if commit, name, ok := strings.Cut(strings.TrimSpace(line), " "+heads); ok {
			found[name] = commit
		}
	}
	files := os.DirFS(r.git.Dir)
	r.check(fs.WalkDir(files, strings.TrimSuffix(heads, "/"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".lock") {
			return ignoreGone(err)
		}
		commit, err := fs.ReadFile(files, name)
		if err == nil {
			found[strings.TrimPrefix(name, heads)] = strings.TrimSpace(string(commit))
		}
		return ignoreGone(err)
	}))
	return found
}

// ignoreGone is for what a push removes while it is looked at.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// same answers a question about commits, whose answer is always the same, once.
func (r *Repository) same(args ...string) answered {
	question := strings.Join(args, " ")
	a, ok := r.asked[question]
	if !ok {
		out, err := r.git.Git(args...)
		a = answered{out, err == nil}
		r.asked[question] = a
	}
	return a
}

// answered is what git printed, and whether it was content.
type answered struct {
	out string
	ok  bool
}

// reaches reports whether a commit has another below it.
func (r *Repository) reaches(commit, below string) bool {
	return commit == below || r.same("merge-base", "--is-ancestor", below, commit).ok
}

// refresh brings the pull requests up to what was pushed since it was called last, and has
// GitHub merge what is armed and ready.
func (r *Repository) refresh() {
	now := r.branches()
	r.tellPushes(now)
	r.refs = now
	for _, p := range r.pulls {
		r.follow(p, now)
	}
	r.pusher = bot
	for _, p := range r.pulls {
		if p.open && p.auto != nil && p.ready() {
			r.autoMerge(p)
		}
	}
}

// tellPushes adds the events of branches that moved.
func (r *Repository) tellPushes(now map[string]string) {
	const nothing = "0000000000000000000000000000000000000000"
	names := make(map[string]bool)
	for name := range now {
		names[name] = true
	}
	for name := range r.refs {
		names[name] = true
	}
	for _, name := range sorted(names) {
		before, after := r.refs[name], now[name]
		if before != after {
			r.tell("push", "", r.pusher, map[string]any{
				"ref": "refs/heads/" + name, "before": orElse(before, nothing), "after": orElse(after, nothing), "pusher": map[string]any{"name": r.pusher},
				"created": before == "", "deleted": after == "", "forced": before != "" && after != "" && !r.reaches(after, before),
			})
		}
	}
}

func sorted(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// follow brings one pull request up to its branches.
func (r *Repository) follow(p *pull, refs map[string]string) {
	head, base := refs[p.branch], refs[p.base]
	switch {
	case p.fork != "":
	case !p.open:
		if !p.merged && head != p.head {
			p.closedFully = true
		}
	case head == "":
		r.end(p, r.pusher, false, "")
	case head != p.head && r.reaches(base, head): // nothing is left to merge: GitHub closes it for good
		p.closedFully = true
		p.head = head
		r.end(p, r.pusher, false, "")
	case head != p.head:
		before := p.head
		p.head = head
		r.restale(p)
		p.touch()
		r.tellPull(p, "synchronize", r.pusher, map[string]any{"before": before, "after": head})
	case r.reaches(base, head): // its commits were pushed onto the base branch
		r.end(p, r.pusher, true, head)
	}
}

// restale drops the reviews that a push makes void.
func (r *Repository) restale(p *pull) {
	rules := r.effective(p.base)
	diff := r.diff(p)
	for login, v := range p.reviews {
		stale := flag(rules, "dismiss_stale_reviews_on_push") && v.diff != diff
		last := flag(rules, "require_last_push_approval")
		if v.state == "APPROVED" && (stale || last) {
			delete(p.reviews, login)
		}
	}
	clear(p.checks)
}

// diff is what a pull request changes.
func (r *Repository) diff(p *pull) string {
	return r.same("diff", r.refs[p.base]+"..."+p.head).out
}

// end closes a pull request or marks it as merged.
func (r *Repository) end(p *pull, by string, merged bool, landed string) {
	p.open, p.merged, p.endedBy, p.landed = false, merged, by, landed
	p.auto, p.ended = nil, r.server.now().Truncate(time.Second)
	r.leaveQueue(p)
	p.touch()
	r.tellPull(p, "closed", by, nil)
}

func (p *pull) touch() { p.updated = p.repository.server.now().Truncate(time.Second) }
