package manifest

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
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
	want := wanted{wants: []hash{p.tip}, depth: p.depth, whole: true, most: maxPageBytes, offered: p.offered}
	if !p.entire {
		want.without = filesLeftOut
	}
	if len(p.commits) > 0 {
		want.have, want.shallow = p.tip, p.ends
	}
	err := p.take(ctx, want)
	if unknownToServer(err) && !p.entire && want.have.IsZero() {
		return errors.Join(errNoParts, err) // it may offer filters and not allow this one
	}
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
		if len(wants) >= filesInOneFetch-1 { // a change has two
			break
		}
	}
	return p.fetchFiles(ctx, wants)
}

func (p *past) fetchFiles(ctx context.Context, wants []hash) error {
	none := func(hash) (object, bool) { return object{}, false }
	fetched, err := p.remote.fetch(ctx, wanted{wants: wants, whole: true, most: maxPageBytes, offered: p.offered}, none)
	if unknownToServer(err) && !p.entire {
		return errors.Join(errNoParts, err)
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
