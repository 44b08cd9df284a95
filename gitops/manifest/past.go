package manifest

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What reading history may take.
const (
	firstPage       = 64        // commits in the first fetch
	longestPage     = 4096      // commits in a further one
	pageBytes       = 8 << 20   // of objects in a fetch, as it is aimed at
	maxPageBytes    = 256 << 20 // of objects in a fetch, as it may be
	maxPastCommits  = 64 << 20  // bytes of commits that are held
	filesInOneFetch = 256
)

var errNoSingleFiles = errors.New("the server does not send single files")

// past is the history of one file while it is read: commits, and which file each
// of them has at the path. Trees and files are held only for as long as one page
// of commits takes.
type past struct {
	remote  remote
	query   HistoryQuery
	names   []string // of the path
	tip     hash
	offered map[string]string
	entire  bool // files come with their commits

	commits history
	raw     map[hash]object // the commits themselves
	bytes   int             // of them
	depth   int             // in commits from the tip, of what was fetched
	page    int             // commits that the next fetch brings
	ends    []hash          // commits whose parents were not fetched

	files map[hash]hash    // by commit; zero where the path is no file
	trees map[treeAt]hash  // what files was found by
	said  map[hash]reading // by file
	at    hash             // how far the way back has been gone
	old   int              // commits in a row before the query's time
	found []change         // on that way, newest first
	told  int              // how many of found are in history
	made  History          // what is known so far
}

// treeAt is a directory on the way to the path, so many names below the root.
type treeAt struct {
	below int
	tree  hash
}

// change is a commit in which the file is another than before.
type change struct{ commit, file, before hash }

// reading is what a file says.
type reading struct {
	value   string
	missing bool
	err     error
}

func (r reading) same(other reading) bool {
	return r.value == other.value && r.missing == other.missing && (r.err == nil) == (other.err == nil) &&
		(r.err == nil || gitops.SentenceOf(r.err) == gitops.SentenceOf(other.err))
}

func newPast(from remote, q HistoryQuery, names []string, a advertisement, entire bool) *past {
	return &past{
		remote: from, query: q, names: names, tip: a.tip, offered: a.capabilities, entire: entire || !a.can("filter"),
		commits: make(history), raw: make(map[hash]object), page: firstPage,
		files: make(map[hash]hash), trees: make(map[treeAt]hash), said: map[hash]reading{{}: {missing: true}},
		at: a.tip, made: History{Tip: a.tip.String()},
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

// deepen fetches the next page of commits with their trees, and finds out which
// file each has. The server is told where the pages so far end, and sends what was
// before. Should it leave out a tree of that, because it believes it to be here,
// all is fetched again from the tip.
func (p *past) deepen(ctx context.Context) error {
	p.depth = min(p.depth+p.page, p.query.Commits)
	want := wanted{wants: []hash{p.tip}, depth: p.depth, whole: true, most: maxPageBytes, offered: p.offered}
	if !p.entire {
		want.without = filesLeftOut
	}
	if len(p.commits) > 0 {
		want.have, want.shallow = p.tip, p.ends
	}
	err := p.take(ctx, want)
	if errors.Is(err, errMissingObject) && !want.have.IsZero() {
		want.have, want.shallow = hash{}, nil
		err = p.take(ctx, want)
	}
	if err != nil {
		return fmt.Errorf("reading the branch's history: %w", err)
	}
	return nil
}

// take fetches a page and takes in what it says.
func (p *past) take(ctx context.Context, want wanted) error {
	none := func(hash) (object, bool) { return object{}, false }
	fetched, err := p.remote.fetch(ctx, want, none)
	if err != nil {
		return err
	}
	page, err := historyOf(fetched)
	if err != nil {
		return err
	}
	bytes := 0
	for _, o := range fetched {
		bytes += len(o.data)
	}
	for name, c := range page {
		file, err := p.fileOf(c.tree, fetched)
		if err != nil {
			return err
		}
		p.files[name] = file
		if o, ok := fetched[file]; ok {
			p.read(file, o)
		}
	}
	before := len(p.commits)
	for name, c := range page {
		if _, known := p.commits[name]; !known {
			p.commits[name], p.raw[name] = c, fetched[name]
			p.bytes += len(fetched[name].data)
		}
	}
	if _, ok := p.commits[p.tip]; !ok {
		return fmt.Errorf("%w: the commit that was asked for did not come", errMissingObject)
	}
	p.page = nextPage(len(p.commits)-before, bytes)
	p.ends = p.ends[:0]
	for name, c := range p.commits {
		for _, parent := range c.parents {
			if _, ok := p.commits[parent]; !ok {
				p.ends = append(p.ends, name)
				break
			}
		}
	}
	return nil
}

// nextPage is how many commits to fetch after so many, which took so many bytes: a
// large directory is in each of them again.
func nextPage(commits, bytes int) int {
	return min(max(firstPage, commits*pageBytes/max(bytes, 1)), longestPage)
}

// fileOf finds the file at the path below a root tree; zero when there is none.
func (p *past) fileOf(root hash, fetched map[hash]object) (hash, error) {
	at := root
	var way []treeAt
	for below, name := range p.names {
		here := treeAt{below, at}
		if file, known := p.trees[here]; known {
			return p.remember(way, file), nil
		}
		way = append(way, here)
		tree, ok := fetched[at]
		if !ok {
			return hash{}, fmt.Errorf("%w: tree %s of the branch's history", errMissingObject, at)
		}
		e, found, err := findEntry(tree.data, name)
		if err != nil {
			return hash{}, err
		}
		last := below == len(p.names)-1
		if !found || last == (e.mode == modeDirectory) || e.mode == modeSymlink || e.mode == modeSubmodule {
			return p.remember(way, hash{}), nil
		}
		at = e.hash
	}
	return p.remember(way, at), nil
}

func (p *past) remember(way []treeAt, file hash) hash {
	for _, here := range way {
		p.trees[here] = file
	}
	return file
}

// follow goes back as far as commits were fetched. It reports whether that is as
// far as it is to go.
func (p *past) follow() (ended bool) {
	for {
		c, file := p.commits[p.at], p.files[p.at]
		for _, parent := range c.parents {
			if _, ok := p.commits[parent]; !ok {
				return false
			}
		}
		p.made.Commits++
		p.made.Until = c.made.UTC()
		if len(c.parents) == 0 {
			p.made.Complete = true
			if !file.IsZero() {
				p.found = append(p.found, change{commit: p.at, file: file})
			}
			return true
		}
		next := c.parents[0]
		for _, parent := range c.parents {
			if p.files[parent] == file {
				next = parent
				break
			}
		}
		if p.files[next] != file {
			p.found = append(p.found, change{p.at, file, p.files[next]})
		}
		if p.old++; !c.made.Before(p.query.Since) {
			p.old = 0
		}
		if p.at = next; p.old > oldRun {
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
			p.made.Versions = append(p.made.Versions, after.version(versionOf(c.commit, p.raw[c.commit].data)))
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
		if err := p.fetchFiles(ctx, []hash{file}); err != nil {
			return History{}, err
		}
	}
	if r := p.said[file]; !r.missing {
		p.made.Versions = append(p.made.Versions, r.version(Version{}))
	}
	return p.made, nil
}

// readFiles reads the files of the next changes.
func (p *past) readFiles(ctx context.Context) error {
	var wants []hash
	seen := make(map[hash]bool)
	for _, c := range p.found[p.told:] {
		for _, file := range []hash{c.file, c.before} {
			if _, ok := p.said[file]; !ok && !seen[file] {
				seen[file] = true
				wants = append(wants, file)
			}
		}
		if len(wants) >= filesInOneFetch {
			break
		}
	}
	return p.fetchFiles(ctx, wants)
}

func (p *past) fetchFiles(ctx context.Context, wants []hash) error {
	none := func(hash) (object, bool) { return object{}, false }
	fetched, err := p.remote.fetch(ctx, wanted{wants: wants, whole: true, most: maxPageBytes, offered: p.offered}, none)
	if unknownToServer(err) && !p.entire {
		return errors.Join(errNoSingleFiles, err)
	}
	if err != nil {
		return fmt.Errorf("fetching old files: %w", err)
	}
	for _, name := range wants {
		o, ok := fetched[name]
		if !ok {
			return fmt.Errorf("%w: the file %s that was asked for did not come", errMissingObject, name)
		}
		p.read(name, o)
	}
	return nil
}

func (p *past) read(name hash, o object) {
	if _, ok := p.said[name]; ok {
		return
	}
	var r reading
	if len(o.data) > maxFileBytes {
		r.err = gitops.Errorf(gitops.TooLarge, "the file was larger than %d MiB", maxFileBytes>>20)
	} else {
		r.value, r.err = p.query.Read(o.data)
	}
	p.said[name] = r
}
