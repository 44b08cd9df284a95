package manifest

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// past is the history of one file while it is read: commits, and which file each
// of them has at the path. Trees and files are held only for as long as one page
// of commits takes.
type past struct {
	remote  git.Remote
	query   HistoryQuery
	names   []string // of the path
	tip     git.Hash
	offered map[string]string
	entire  bool // files come with their commits

	commits git.Commits
	raw     map[git.Hash]git.Object // the commits themselves
	bytes   int                     // of them
	depth   int                     // in commits from the tip, of what was fetched
	page    int                     // commits that the next fetch brings
	ends    []git.Hash              // commits whose parents were not fetched

	files map[git.Hash]git.Hash // by commit; zero where the path is no file
	trees map[treeAt]git.Hash   // what files was found by
	said  map[git.Hash]reading  // by file
	at    git.Hash              // how far the way back has been gone
	old   int                   // commits in a row before the query's time
	found []change              // on that way, newest first
	told  int                   // how many of found are in history
	made  History               // what is known so far
}

// treeAt is a directory on the way to the path, so many names below the root.
type treeAt struct {
	below int
	tree  git.Hash
}

// change is a commit in which the file is another than before.
type change struct{ commit, file, before git.Hash }

// reading is what a file says.
type reading struct {
	value   string
	missing bool
	err     error
}

func (r reading) same(other reading) bool {
	return r.value == other.value && r.missing == other.missing && (r.err == nil) == (other.err == nil) &&
		(r.err == nil || gitops.PublicOf(r.err) == gitops.PublicOf(other.err))
}

func newPast(from git.Remote, q HistoryQuery, names []string, a git.Advertisement, entire bool) *past {
	return &past{
		remote: from, query: q, names: names, tip: a.Tip, offered: a.Capabilities, entire: entire || !a.Can("filter"),
		commits: make(git.Commits), raw: make(map[git.Hash]git.Object), page: firstPage,
		files: make(map[git.Hash]git.Hash), trees: make(map[treeAt]git.Hash), said: map[git.Hash]reading{{}: {missing: true}},
		at: a.Tip, made: History{Tip: a.Tip.String()},
	}
}

// look reads page after page until enough is known.
func (p *past) look(ctx context.Context) (History, error) {
	for {
		if err := p.deepen(ctx); err != nil {
			return History{}, err
		}
		ended := p.follow()
		for {
			p.tell()
			if n := p.query.Limit; len(p.made.Versions) > n || len(p.made.Versions) == n && !p.made.Complete {
				p.made.Versions, p.made.Complete = p.made.Versions[:n], false
				return p.made, nil
			}
			if p.told == len(p.found) {
				break
			}
			if err := p.readFiles(ctx); err != nil {
				return History{}, err
			}
		}
		if p.made.Complete || ended || p.depth >= p.query.Commits || p.bytes > maxPastCommits {
			return p.finish(ctx)
		}
	}
}

// follow goes back as far as commits were fetched. It reports whether that is as
// far as it is to go.
func (p *past) follow() (ended bool) {
	for {
		c, file := p.commits[p.at], p.files[p.at]
		for _, parent := range c.Parents {
			if _, ok := p.commits[parent]; !ok {
				return false
			}
		}
		p.made.Commits++
		p.made.Until = c.Made.UTC()
		if len(c.Parents) == 0 {
			p.made.Complete = true
			if !file.IsZero() {
				p.found = append(p.found, change{commit: p.at, file: file})
			}
			return true
		}
		next := c.Parents[0]
		for _, parent := range c.Parents {
			if p.files[parent] == file {
				next = parent
				break
			}
		}
		if p.files[next] != file {
			p.found = append(p.found, change{p.at, file, p.files[next]})
		}
		if p.old++; !c.Made.Before(p.query.Since) {
			p.old = 0
		}
		if p.at = next; p.old > git.OldRun {
			return true
		}
	}
}

// tell makes versions of the changes whose files are read.
func (p *past) tell() {
	for ; p.told < len(p.found); p.told++ {
		c := p.found[p.told]
		after, ok := p.said[c.file]
		before, okToo := p.said[c.before]
		if !ok || !okToo {
			return
		}
		if !after.same(before) {
			p.made.Versions = append(p.made.Versions, after.version(versionOf(c.commit, p.raw[c.commit].Data)))
		}
	}
}

func (r reading) version(v Version) Version {
	v.Value, v.Missing, v.Err = r.value, r.missing, r.err
	return v
}

// finish adds the version whose commit was not found.
func (p *past) finish(ctx context.Context) (History, error) {
	if p.made.Complete {
		return p.made, nil
	}
	file := p.files[p.at]
	if _, ok := p.said[file]; !ok {
		if err := p.fetchFiles(ctx, []git.Hash{file}); err != nil {
			return History{}, err
		}
	}
	if r := p.said[file]; !r.missing {
		p.made.Versions = append(p.made.Versions, r.version(Version{}))
	}
	return p.made, nil
}
