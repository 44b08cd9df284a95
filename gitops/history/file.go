package history

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// fileHistory is the history of one file while it is read: commits, and which file
// each of them has at the path. Trees and files are held only for as long as one
// page of commits takes.
type fileHistory struct {
	remote       git.Remote
	proofs       Verifier
	query        Query
	names        []string // of the path
	tip          git.Hash
	capabilities map[string]string
	whole        bool // files come with their commits
	bounds       bounds
	pager        *git.Pager

	files  map[git.Hash]git.Hash  // by commit; zero where the path is no file
	trees  map[treeAt]git.Hash    // the file below a tree that was looked at
	values map[git.Hash]fileValue // by file

	at      git.Hash // how far the way back has been followed
	oldRun  int      // commits in a row before the query's time
	changes []change // on that way, newest first
	emitted int      // index of the next change to make a version of
	history History  // what is known so far
}

// treeAt is a directory on the way to the path, so many names below the root.
type treeAt struct {
	below int
	tree  git.Hash
}

// change is a commit in which the file is another than before.
type change struct{ commit, file, before git.Hash }

// fileValue is what a file says.
type fileValue struct {
	text    string
	missing bool
	err     error
}

func (v fileValue) same(other fileValue) bool {
	return v.text == other.text && v.missing == other.missing && (v.err == nil) == (other.err == nil) &&
		(v.err == nil || gitops.PublicOf(v.err) == gitops.PublicOf(other.err))
}

func (v fileValue) of(version Version) Version {
	version.Value, version.Missing, version.Err = v.text, v.missing, v.err
	return version
}

// newFileHistory begins at the tip that the server advertises. With whole, files
// come with their commits.
func newFileHistory(remote git.Remote, proofs Verifier, q Query, names []string, a git.Advertisement, whole bool, b bounds) *fileHistory {
	f := &fileHistory{
		remote: remote, proofs: proofs, query: q, names: names, tip: a.Tip, capabilities: a.Capabilities, whole: whole, bounds: b,
		files: make(map[git.Hash]git.Hash), trees: make(map[treeAt]git.Hash),
		values: map[git.Hash]fileValue{{}: {missing: true}},
		at:     a.Tip, history: History{Tip: a.Tip.String()},
	}
	pages := git.Pages{Tip: a.Tip, Capabilities: a.Capabilities, Filter: git.FilterBlobs, Keep: git.WithoutBlobs, First: q.Page, Most: q.Commits, MaxBytes: b.page, MaxFileBytes: b.file}
	if whole {
		pages.Filter, pages.Keep = git.FilterNone, nil
	}
	f.pager = git.NewPager(remote, pages)
	return f
}

// read reads page after page until enough is known.
func (f *fileHistory) read(ctx context.Context) (History, error) {
	for {
		if err := f.nextPage(ctx); err != nil {
			return History{}, err
		}
		ended := f.follow()
		for {
			f.emit()
			if n := f.query.Limit; len(f.history.Versions) > n || len(f.history.Versions) == n && !f.history.Complete {
				f.history.Versions, f.history.Complete = f.history.Versions[:n], false
				return f.history, nil
			}
			if f.emitted == len(f.changes) {
				break
			}
			if err := f.readFiles(ctx); err != nil {
				return History{}, err
			}
		}
		if f.history.Complete || ended || !f.pager.More() || f.pager.Bytes > f.bounds.commits {
			return f.finish(ctx)
		}
	}
}

// follow goes back as far as commits were read. It reports whether that is as far
// as it is to go.
func (f *fileHistory) follow() (ended bool) {
	for {
		c, file := f.pager.Commits[f.at], f.files[f.at]
		for _, parent := range c.Parents {
			if _, ok := f.pager.Commits[parent]; !ok {
				return false
			}
		}
		nth := f.history.Commits
		f.history.Commits++
		f.history.Until = c.Made.UTC()
		if len(c.Parents) == 0 {
			f.history.Complete = true
			f.query.Visit(nth, f.at, c, !file.IsZero())
			if !file.IsZero() {
				f.changes = append(f.changes, change{commit: f.at, file: file})
			}
			return true
		}
		next := c.Parents[0]
		for _, parent := range c.Parents {
			if f.files[parent] == file {
				next = parent
				break
			}
		}
		f.query.Visit(nth, f.at, c, f.files[next] != file)
		if f.files[next] != file {
			f.changes = append(f.changes, change{f.at, file, f.files[next]})
		}
		if f.oldRun++; !c.Made.Before(f.query.Since) {
			f.oldRun = 0
		}
		if f.at = next; f.oldRun > git.OldRun {
			return true
		}
	}
}

// emit makes versions of the changes whose files are read.
func (f *fileHistory) emit() {
	for ; f.emitted < len(f.changes); f.emitted++ {
		c := f.changes[f.emitted]
		after, ok := f.values[c.file]
		before, okToo := f.values[c.before]
		if !ok || !okToo {
			return
		}
		if !after.same(before) {
			f.history.Versions = append(f.history.Versions, after.of(versionOf(c.commit, f.pager.Commits[c.commit], f.proofs)))
		}
	}
}

// finish adds the version whose commit was not found.
func (f *fileHistory) finish(ctx context.Context) (History, error) {
	if f.history.Complete {
		return f.history, nil
	}
	file := f.files[f.at]
	if _, ok := f.values[file]; !ok {
		if err := f.fetchFiles(ctx, []git.Hash{file}); err != nil {
			return History{}, err
		}
	}
	if v := f.values[file]; !v.missing {
		f.history.Versions = append(f.history.Versions, v.of(Version{}))
	}
	return f.history, nil
}
