package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// head is what is known of the commit that a topic branch is at. It does not change as long
// as the branch is there.
type head struct {
	commit  git.Hash
	ours    bool
	updates []string
	author  string

	// Of one that is ours: its parent, and the names of the app's files there, in the order
	// of the paths; zero where there was no file.
	parent git.Hash
	paths  []string
	files  []git.Hash
}

// Topic implements [proposals.Branches]. What is not ours has no Conflict and is not Behind:
// it is a person's to bring up to date.
func (b *Branches) Topic(ctx context.Context, environment, name string, at git.Hash) (proposals.Topic, error) {
	base, err := b.base()
	if err != nil {
		return proposals.Topic{}, err
	}
	target, err := b.config.Target(environment, name)
	if err != nil {
		return proposals.Topic{}, err
	}
	of, paths := app{environment, name}, target.AppendPaths(nil)
	h, ok := b.known[of]
	if !ok || h.commit != at || h.ours && !slices.Equal(h.paths, paths) {
		if h, err = b.fetchHead(ctx, base, at, paths); err != nil {
			return proposals.Topic{}, git.PublicError(err)
		}
		b.known[of] = h
	}
	t := proposals.Topic{Ours: h.ours, Updates: h.updates, Author: h.author}
	if !h.ours || h.parent == base.Tip {
		return t, nil
	}
	t.Behind = true
	if t.Conflict = !slices.Equal(h.files, filesOf(base, paths)); t.Conflict {
		return t, nil
	}
	// A base branch that was forced back has lost the parent: to merge the topic would bring
	// back what was taken away.
	reached, err := b.Contains(ctx, h.parent)
	t.Conflict = !reached
	return t, err
}

// filesOf are the names of the files at the paths, zero where there is none.
func filesOf(of *branch.Snapshot, paths []string) []git.Hash {
	files := make([]git.Hash, len(paths))
	for i, path := range paths {
		if f, err := of.File(path); err == nil {
			files[i] = f.Name
		}
	}
	return files
}

// headOf is what a commit says. Its files are not known yet.
func (b *Branches) headOf(name git.Hash, c git.Commit) head {
	h := head{commit: name, author: handedit.AuthorOf(c.Author)}
	_, h.ours = b.config.Prover.Verify(c)
	for _, u := range gitops.ParseTrailers(c.Message) {
		h.updates = append(h.updates, u.Update)
	}
	if h.ours = h.ours && len(c.Parents) == 1; h.ours {
		h.parent = c.Parents[0]
	}
	return h
}

// fetchHead asks the server for a commit and its parent, without their files, as what
// differs from the base branch.
func (b *Branches) fetchHead(ctx context.Context, base *branch.Snapshot, at git.Hash, paths []string) (head, error) {
	if err := b.askFetch(ctx); err != nil {
		return head{}, err
	}
	leave, err := b.config.Guard.Enter(ctx, gitops.ParsedObject{Object: at.String(), Kind: gitops.ParsedPack, Path: b.config.Branch + " at " + at.String()}, 0, true)
	if err != nil {
		return head{}, err
	}
	defer leave()
	held := git.NewIndex(base.Root)
	pager := git.NewPager(b.remote, git.Pages{
		Tip: at, Base: base.Tip, BaseCommit: base.Head, Held: held.Object, Capabilities: b.fetchCaps,
		Filter: git.FilterBlobs, Keep: git.WithoutBlobs, First: 2, Most: 2, MaxBytes: b.config.Limits.Memory(),
	})
	fetched, err := pager.Next(ctx)
	if err != nil {
		return head{}, fmt.Errorf("fetching a topic branch: %w", err)
	}
	h := b.headOf(at, pager.Commits[at])
	if !h.ours {
		return h, nil
	}
	h.paths = paths
	if h.files, err = namesAt(pager.Commits, h.parent, paths, fetched, held); errors.Is(err, git.ErrMissingObject) {
		// Servers leave out what they take a client to have.
		if fetched, err = pager.Again(ctx); err == nil {
			h.files, err = namesAt(pager.Commits, h.parent, paths, fetched, held)
		}
	}
	return h, err
}

// namesAt finds the names of the files at the paths in a commit, zero where there is none.
func namesAt(commits git.Commits, at git.Hash, paths []string, fetched map[git.Hash]git.Object, held *git.Index) ([]git.Hash, error) {
	c, ok := commits[at]
	if !ok {
		return nil, fmt.Errorf("%w: the commit %s", git.ErrMissingObject, at)
	}
	tree := func(name git.Hash) ([]byte, error) {
		o, ok := fetched[name]
		if !ok {
			o, ok = held.Object(name)
		}
		if !ok || o.Kind != git.KindTree {
			return nil, fmt.Errorf("%w: the tree %s", git.ErrMissingObject, name)
		}
		return o.Data, nil
	}
	names := make([]git.Hash, len(paths))
	for i, path := range paths {
		below, err := git.SplitPath(path)
		if err != nil {
			return nil, err
		}
		if names[i], err = fileBelow(c.Tree, below, tree); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// fileBelow is the name of the file at a path below a tree; zero where there is none.
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
