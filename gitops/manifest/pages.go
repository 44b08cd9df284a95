package manifest

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// What reading history may take.
const (
	firstPage       = 64                          // commits in the first fetch
	longestPage     = 4096                        // commits in a further one
	pageBytes       = 8 << 20                     // of objects in a fetch, as it is aimed at
	maxPageBytes    = 256 << 20                   // of objects in a fetch, as it may be
	maxPastCommits  = 64 << 20                    // bytes of commits that are held
	filesInOneFetch = maxPageBytes / maxFileBytes // each may be as large as that
)

var errNoParts = errors.New("the server does not send files and commits apart")

// deepen fetches the next page of commits with their trees, and finds out which
// file each has. The server is told where the pages so far end, and sends what was
// before. Should it leave out a tree of that, because it believes it to be here,
// all is fetched again from the tip.
func (p *past) deepen(ctx context.Context) error {
	p.depth = min(p.depth+p.page, p.query.Commits)
	want := git.FetchRequest{Wants: []git.Hash{p.tip}, Depth: p.depth, NoThin: true, MaxBytes: maxPageBytes, Capabilities: p.offered}
	if !p.entire {
		want.Filter = git.FilterBlobs
	}
	if len(p.commits) > 0 {
		want.Have, want.Shallow = p.tip, p.ends
	}
	err := p.take(ctx, want)
	if git.UnknownToServer(err) && !p.entire && want.Have.IsZero() {
		return errors.Join(errNoParts, err) // it may offer filters and not allow this one
	}
	if errors.Is(err, git.ErrMissingObject) && !want.Have.IsZero() {
		want.Have, want.Shallow = git.Hash{}, nil
		err = p.take(ctx, want)
	}
	if err != nil {
		return fmt.Errorf("reading the branch's history: %w", err)
	}
	return nil
}

// take fetches a page and takes in what it says.
func (p *past) take(ctx context.Context, want git.FetchRequest) error {
	none := func(git.Hash) (git.Object, bool) { return git.Object{}, false }
	fetched, err := p.remote.Fetch(ctx, want, none)
	if err != nil {
		return err
	}
	page, err := git.CommitsOf(fetched)
	if err != nil {
		return err
	}
	bytes := 0
	for _, o := range fetched {
		bytes += len(o.Data)
	}
	for name, c := range page {
		file, err := p.fileOf(c.Tree, fetched)
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
			p.bytes += len(fetched[name].Data)
		}
	}
	if _, ok := p.commits[p.tip]; !ok {
		return fmt.Errorf("%w: the commit that was asked for did not come", git.ErrMissingObject)
	}
	p.page = nextPage(len(p.commits)-before, bytes)
	p.ends = p.ends[:0]
	for name, c := range p.commits {
		for _, parent := range c.Parents {
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
func (p *past) fileOf(root git.Hash, fetched map[git.Hash]git.Object) (git.Hash, error) {
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
			return git.Hash{}, fmt.Errorf("%w: tree %s of the branch's history", git.ErrMissingObject, at)
		}
		e, found, err := git.FindEntry(tree.Data, name)
		if err != nil {
			return git.Hash{}, err
		}
		last := below == len(p.names)-1
		if !found || last == (e.Mode == git.ModeDirectory) || e.Mode == git.ModeSymlink || e.Mode == git.ModeSubmodule {
			return p.remember(way, git.Hash{}), nil
		}
		at = e.Hash
	}
	return p.remember(way, at), nil
}

func (p *past) remember(way []treeAt, file git.Hash) git.Hash {
	for _, here := range way {
		p.trees[here] = file
	}
	return file
}

// readFiles reads the files of the next changes.
func (p *past) readFiles(ctx context.Context) error {
	var wants []git.Hash
	seen := make(map[git.Hash]bool)
	for _, c := range p.found[p.told:] {
		for _, file := range []git.Hash{c.file, c.before} {
			if _, ok := p.said[file]; !ok && !seen[file] {
				seen[file] = true
				wants = append(wants, file)
			}
		}
		if len(wants) >= filesInOneFetch-1 { // a change has two
			break
		}
	}
	return p.fetchFiles(ctx, wants)
}

func (p *past) fetchFiles(ctx context.Context, wants []git.Hash) error {
	none := func(git.Hash) (git.Object, bool) { return git.Object{}, false }
	fetched, err := p.remote.Fetch(ctx, git.FetchRequest{Wants: wants, NoThin: true, MaxBytes: maxPageBytes, Capabilities: p.offered}, none)
	if git.UnknownToServer(err) && !p.entire {
		return errors.Join(errNoParts, err)
	}
	if err != nil {
		return fmt.Errorf("fetching old files: %w", err)
	}
	for _, name := range wants {
		o, ok := fetched[name]
		if !ok {
			return fmt.Errorf("%w: the file %s that was asked for did not come", git.ErrMissingObject, name)
		}
		p.read(name, o)
	}
	return nil
}

func (p *past) read(name git.Hash, o git.Object) {
	if _, ok := p.said[name]; ok {
		return
	}
	var r reading
	if len(o.Data) > maxFileBytes {
		r.err = gitops.Errorf(gitops.TooLarge, "the file was larger than %d MiB", maxFileBytes>>20)
	} else {
		r.value, r.err = p.query.Read(o.Data)
	}
	p.said[name] = r
}
