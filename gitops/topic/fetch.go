package topic

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// fetchHead asks the server for a commit of a topic branch, and for the parent of one that is
// ours. Their trees come as what differs from the base branch, and of their files none but
// the target's first, where it has one.
func (b *Branches) fetchHead(ctx context.Context, base *branch.Snapshot, at git.Hash, target edit.Target) (head, error) {
	if err := b.askFetch(ctx); err != nil {
		return head{}, err
	}
	f, err := b.fetchTrees(ctx, base, at)
	if err != nil {
		return head{}, fmt.Errorf("fetching a topic branch: %w", err)
	}
	h := b.headOf(at, f.commits[at], target)
	paths := target.AppendPaths(nil)
	if len(paths) == 0 {
		return h, nil
	}
	after, err := f.filesAt(ctx, at, paths)
	if err == nil && h.said.Ours {
		if h.files, err = f.filesAt(ctx, h.parent, paths); err == nil {
			h.said.Files = changed(paths, h.files, after)
		}
	}
	if errors.Is(err, git.ErrMissingObject) { // more than is held: what is ours is made again
		return h, nil
	} else if err != nil {
		return h, err
	}
	content, err := b.fetchFile(ctx, base, f.held, at, after[0])
	if err != nil {
		return h, err
	}
	h.said.Tag, err = b.readTag(ctx, target, after[0], content)
	return h, err
}

// enter asks the guard before what the server sends of a commit is parsed.
func (b *Branches) enter(ctx context.Context, at git.Hash) (leave func(), err error) {
	return b.config.Guard.Enter(ctx, gitops.ParsedObject{Object: at.String(), Kind: gitops.ParsedPack, Path: b.config.Branch + " at " + at.String()}, 0, true)
}

// trees are those of a commit and its parent, as far as they are not the base branch's.
type trees struct {
	commits git.Commits
	fetched map[git.Hash]git.Object
	held    *git.Index
	again   func(ctx context.Context) (map[git.Hash]git.Object, error) // asks for all of them; nil once it did
}

func (b *Branches) fetchTrees(ctx context.Context, base *branch.Snapshot, at git.Hash) (*trees, error) {
	leave, err := b.enter(ctx, at)
	if err != nil {
		return nil, err
	}
	defer leave()
	held := git.NewIndex(base.Root)
	pager := git.NewPager(b.remote, git.Pages{
		Tip: at, Base: base.Tip, BaseCommit: base.Head, Held: held.Object, Capabilities: b.fetchCaps,
		Filter: git.FilterBlobs, Keep: git.WithoutBlobs, First: 2, Most: 2, MaxBytes: b.config.Limits.Memory(),
	})
	fetched, err := pager.Next(ctx)
	return &trees{pager.Commits, fetched, held, func(ctx context.Context) (map[git.Hash]git.Object, error) {
		leave, err := b.enter(ctx, at)
		if err != nil {
			return nil, err
		}
		defer leave()
		return pager.Again(ctx)
	}}, err
}

// filesAt finds the names of the files at the paths in a commit, zero where it does not exist.
// Servers leave out what they take a client to have: then it is asked again for all.
func (t *trees) filesAt(ctx context.Context, commit git.Hash, paths []string) ([]git.Hash, error) {
	names, err := t.find(commit, paths)
	if !errors.Is(err, git.ErrMissingObject) || t.again == nil {
		return names, err
	}
	if t.fetched, err = t.again(ctx); err != nil {
		return nil, err
	}
	t.again = nil
	return t.find(commit, paths)
}

func (t *trees) find(commit git.Hash, paths []string) ([]git.Hash, error) {
	c, ok := t.commits[commit]
	if !ok {
		return nil, fmt.Errorf("%w: the commit %s", git.ErrMissingObject, commit)
	}
	names := make([]git.Hash, len(paths))
	for i, path := range paths {
		below, err := git.SplitPath(path)
		if err != nil {
			return nil, err
		}
		if names[i], err = fileBelow(c.Tree, below, t.tree); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func (t *trees) tree(name git.Hash) ([]byte, error) {
	o, ok := t.fetched[name]
	if !ok {
		o, ok = t.held.Object(name)
	}
	if !ok || o.Kind != git.KindTree {
		return nil, fmt.Errorf("%w: the tree %s", git.ErrMissingObject, name)
	}
	return o.Data, nil
}

// fileBelow is the name of the file at a path below a tree; zero where it does not exist.
func fileBelow(at git.Hash, path []string, tree func(git.Hash) ([]byte, error)) (git.Hash, error) {
	for i, name := range path {
		data, err := tree(at)
		if err != nil {
			return git.Hash{}, err
		}
		e, found, err := git.FindEntry(data, name)
		if err != nil || !found {
			return git.Hash{}, err
		}
		switch last := i == len(path)-1; e.Mode {
		case git.ModeSymlink, git.ModeSubmodule:
			return git.Hash{}, nil
		case git.ModeDirectory:
			if last {
				return git.Hash{}, nil
			}
		default:
			if !last {
				return git.Hash{}, nil
			}
		}
		at = e.Hash
	}
	return at, nil
}

// fetchFile returns the content of a file in a commit of a topic branch; nil of one that is
// too large, or that the server does not give.
func (b *Branches) fetchFile(ctx context.Context, base *branch.Snapshot, held *git.Index, at, name git.Hash) ([]byte, error) {
	if name.IsZero() {
		return nil, nil
	}
	if o, here := held.Object(name); here {
		return o.Data, nil
	}
	leave, err := b.enter(ctx, at)
	if err != nil {
		return nil, err
	}
	defer leave()
	most := int64(b.config.Limits.FileBytes)
	r := git.FetchRequest{
		Wants: []git.Hash{name}, NoThin: true, MaxBytes: 2 * most, MaxFileBytes: most, Capabilities: b.fetchCaps,
		Files: func(file git.Hash) bool { return file == name },
	}
	fetched, err := b.remote.Fetch(ctx, r, git.Nothing)
	if git.UnknownToServer(err) { // a server that gives nothing but commits
		r.Wants, r.Depth, r.Have, r.Shallow = []git.Hash{at}, 1, base.Tip, []git.Hash{base.Tip}
		r.Keep = func(k git.Kind) bool { return k == git.KindBlob }
		fetched, err = b.remote.Fetch(ctx, r, git.Nothing)
	}
	if o, here := fetched[name]; here && int64(len(o.Data)) <= most {
		return o.Data, err
	}
	return nil, err
}
