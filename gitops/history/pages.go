package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// bounds are how the memory for reading history is divided. Of a page the objects are
// held, of all pages the commits, which take twice their text: once in a form that is
// quick to follow.
type bounds struct {
	page    int64 // of the objects of a page, in bytes
	commits int   // of the text of all commits, in bytes
	file    int64 // of a file that is read
	files   int   // in one fetch, each of which may be as large as that
}

func boundsOf(memory, file int64) bounds {
	page := memory * 6 / 10
	return bounds{page: page, commits: int(memory / 5), file: file, files: int(page / file)}
}

// tooLarge is what a file says that was larger than is read.
func (f *fileHistory) tooLarge() fileValue {
	return fileValue{err: gitops.Errorf(gitops.TooLarge, "the file had more than %d bytes: it is not read; limits.file.bytes can be raised", f.bounds.file)}
}

var errNoSingleFiles = errors.New("the git server does not send files apart from their commits")

// nextPage reads the next page of commits with their trees, and finds out which file
// each has. When the server leaves out a tree, because it takes it to be here, all is
// read again.
func (f *fileHistory) nextPage(ctx context.Context) error {
	fetched, err := f.pager.Next(ctx)
	if err == nil {
		err = f.findFiles(ctx, fetched)
	}
	if errors.Is(err, git.ErrMissingObject) {
		if fetched, err = f.pager.Again(ctx); err == nil {
			err = f.findFiles(ctx, fetched)
		}
	}
	if err != nil {
		return fmt.Errorf("reading the branch's history: %w", err)
	}
	return nil
}

// findFiles finds the file of each commit of a page, and reads those that came with
// it.
func (f *fileHistory) findFiles(ctx context.Context, fetched map[git.Hash]git.Object) error {
	for name, o := range fetched {
		if o.Kind != git.KindCommit {
			continue
		}
		file, err := f.fileOf(f.pager.Commits[name].Tree, fetched)
		if err != nil {
			return err
		}
		f.files[name] = file
		if o, ok := fetched[file]; ok {
			if err := f.readFile(ctx, file, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// fileOf finds the file at the path below a root tree; zero when there is no file.
func (f *fileHistory) fileOf(root git.Hash, fetched map[git.Hash]git.Object) (git.Hash, error) {
	at := root
	var way []treeAt
	for below, name := range f.names {
		here := treeAt{below, at}
		if file, known := f.trees[here]; known {
			return f.remember(way, file), nil
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
		last := below == len(f.names)-1
		if !found || last == (e.Mode == git.ModeDirectory) || e.Mode == git.ModeSymlink || e.Mode == git.ModeSubmodule {
			return f.remember(way, git.Hash{}), nil
		}
		at = e.Hash
	}
	return f.remember(way, at), nil
}

func (f *fileHistory) remember(way []treeAt, file git.Hash) git.Hash {
	for _, here := range way {
		f.trees[here] = file
	}
	return file
}

// readFiles reads the files of the next changes.
func (f *fileHistory) readFiles(ctx context.Context) error {
	var wants []git.Hash
	seen := make(map[git.Hash]bool)
	for _, c := range f.changes[f.emitted:] {
		for _, file := range []git.Hash{c.file, c.before} {
			if _, ok := f.values[file]; !ok && !seen[file] {
				seen[file] = true
				wants = append(wants, file)
			}
		}
		if len(wants) >= f.bounds.files-1 { // a change has two
			break
		}
	}
	return f.fetchFiles(ctx, wants)
}

// fetchFiles reads files that did not come with their commits. Where files come in no
// other way, they were left out for their size.
func (f *fileHistory) fetchFiles(ctx context.Context, wants []git.Hash) error {
	if f.whole {
		for _, name := range wants {
			f.values[name] = f.tooLarge()
		}
		return nil
	}
	fetched, err := f.remote.Fetch(ctx, git.FetchRequest{
		Wants: wants, NoThin: true, MaxBytes: f.bounds.page, MaxFileBytes: f.bounds.file, Capabilities: f.capabilities,
	}, git.Nothing)
	if git.UnknownToServer(err) {
		return errors.Join(errNoSingleFiles, err)
	}
	if err != nil {
		return fmt.Errorf("fetching old files: %w", err)
	}
	for _, name := range wants {
		o, ok := fetched[name]
		switch {
		case ok:
			err = f.readFile(ctx, name, o)
		case len(wants) > 1: // a delta of another, and too large; fetched alone it comes whole
			err = f.fetchFiles(ctx, []git.Hash{name})
		default:
			err = fmt.Errorf("%w: the file %s that was asked for did not come", git.ErrMissingObject, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fileHistory) readFile(ctx context.Context, name git.Hash, o git.Object) error {
	if _, ok := f.values[name]; ok {
		return nil
	}
	if int64(len(o.Data)) > f.bounds.file {
		f.values[name] = f.tooLarge()
		return nil
	}
	text, err := f.query.Read(ctx, name.String(), o.Data)
	if gitops.CodeOf(err) == gitops.Unavailable {
		return err
	}
	f.values[name] = fileValue{text: text, err: err}
	return nil
}
