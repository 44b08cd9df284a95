package contain

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// Bounds of what is read of the history.
const (
	mostCommits = 5_000  // that one search goes back
	mostKnown   = 20_000 // that are remembered
	firstPage   = 128    // that the first request of a search brings
)

// errTooDeep says that a search ended before it found out.
var errTooDeep = gitops.Errorf(gitops.TooLarge, "more than %d commits of the manifest repository lie between the update's commit and the revision", mostCommits)

// lineage is what is known of the history: commits without their messages, and the pager of the
// last search, which another from the same commit goes on with.
type lineage struct {
	commits git.Commits
	pager   *git.Pager
	of      git.Hash // the pager's
}

func newLineage() lineage { return lineage{commits: make(git.Commits)} }

// add takes commits in without what takes memory.
func (l *lineage) add(all git.Commits) {
	for name, c := range all {
		if _, known := l.commits[name]; !known {
			l.commits[name] = git.Commit{Tree: c.Tree, Parents: c.Parents, Made: c.Made}
		}
		all[name] = l.commits[name]
	}
}

// forget begins again when too much is remembered. It is called between questions: within one
// all that was read counts.
func (l *lineage) forget() {
	if len(l.commits) > mostKnown {
		*l = newLineage()
	}
}

// look reports whether a commit is reached from another, and whether every commit that had to be
// looked at for that is known.
func (l *lineage) look(from, to git.Hash, since time.Time) (found, complete bool) {
	if c, known := l.commits[to]; known {
		since = c.Made
	}
	complete = l.commits.Walk(from, nil, since, func(name git.Hash, _ git.Commit) { found = found || name == to })
	return found, complete
}

// distance is how many steps a commit is behind another, which reaches it.
func (l *lineage) distance(from, to git.Hash) int {
	steps := map[git.Hash]int{from: 0}
	for queue := []git.Hash{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at == to {
			break
		}
		for _, parent := range l.commits[at].Parents {
			if _, seen := steps[parent]; !seen {
				steps[parent] = steps[at] + 1
				queue = append(queue, parent)
			}
		}
	}
	return steps[to]
}

// reaches reports whether a commit is one that another comes after, and reads of the history
// what is needed for that. No commit that was made before since needs to be looked at, but for
// a few: see [git.Commits.Walk].
func (r *Reader) reaches(ctx context.Context, from, to git.Hash, since time.Time) (bool, error) {
	for {
		found, complete := r.known.look(from, to, since)
		if found || complete {
			return found, nil
		}
		if err := r.readMore(ctx, from); err != nil {
			return false, err
		}
	}
}

// readMore reads a page of the history of a commit. On a server that gives nothing but tips it
// is read from the branch's, which reaches all that was found there.
func (r *Reader) readMore(ctx context.Context, from git.Hash) error {
	if !r.tipsOnly {
		if err := r.readPage(ctx, from); !git.UnknownToServer(err) || from == r.base.Tip {
			return err
		}
		r.tipsOnly = true
	}
	return r.readPage(ctx, r.base.Tip)
}

// readPage reads the next page of the history of a commit.
func (r *Reader) readPage(ctx context.Context, from git.Hash) error {
	if r.known.pager == nil || r.known.of != from {
		pages := git.Pages{Tip: from, Capabilities: r.caps, Filter: git.FilterTrees, Keep: git.OnlyCommits, First: firstPage, Most: mostCommits, MaxBytes: r.config.Limits.Memory() / 2}
		if c, known := r.known.commits[from]; known {
			pages.Base, pages.BaseCommit = from, c
		}
		r.known.pager, r.known.of = git.NewPager(r.config.Remote, pages), from
	}
	if !r.known.pager.More() {
		return errTooDeep
	}
	leave, err := r.guard(ctx, from)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := r.known.pager.Next(ctx); err != nil {
		r.known.pager = nil
		return err
	}
	r.known.add(r.known.pager.Commits)
	return nil
}

// fetchCommit makes a commit known, and reports whether the repository has it: whether the
// server gives it, or else the branch reaches it, as far as it goes back to since.
func (r *Reader) fetchCommit(ctx context.Context, commit git.Hash, since time.Time) (there bool, err error) {
	if !r.tipsOnly {
		if _, known := r.known.commits[commit]; known {
			return true, nil
		}
		if err := r.readPage(ctx, commit); !git.UnknownToServer(err) {
			return err == nil, err
		}
		if r.givesReachable() {
			return false, nil
		}
	}
	return r.onBranch(ctx, commit, since)
}

// onBranch reports whether the branch reaches a commit, as it is now.
func (r *Reader) onBranch(ctx context.Context, commit git.Hash, since time.Time) (bool, error) {
	seen := r.base.Tip
	found, err := r.reaches(ctx, seen, commit, since)
	if err != nil || found {
		return found, err
	}
	if err := r.refresh(ctx, 0); err != nil || r.base.Tip == seen {
		return false, err
	}
	return r.reaches(ctx, r.base.Tip, commit, since)
}

// guard asks before what the server sends of a commit is parsed. A commit that was asked for
// takes no tip's place.
func (r *Reader) guard(ctx context.Context, at git.Hash) (leave func(), err error) {
	return r.config.Guard.Enter(ctx, gitops.ParsedObject{Object: at.String(), Kind: gitops.ParsedPack, Path: r.config.Branch + " at " + at.String()}, 0, true)
}

// givesReachable reports whether the server says that it gives every commit that one of its
// branches reaches. Others may do so without a word.
func (r *Reader) givesReachable() bool {
	_, reachable := r.caps["allow-reachable-sha1-in-want"]
	return reachable
}
