package topic

import (
	"context"
	"errors"

	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// Bounds of a search for who put a tag there.
const (
	originCommits = 20_000
	originPage    = 16 // commits: most are among them
)

// Origin implements [proposals.Branches]. What concerns the search alone ends it without a
// find: it is too deep, takes too long, or is more than may be read.
func (b *Branches) Origin(ctx context.Context, environment, app string) (proposals.Origin, error) {
	tag, path, reader, err := b.first(ctx, environment, app)
	if err != nil || tag == "" {
		return proposals.Origin{}, err
	}
	within, cancel := context.WithTimeout(ctx, searchWithin)
	defer cancel()
	answered := false
	found, err := b.past.File(within, history.Query{
		Path: path, Read: b.edits.ReadPast(path, reader), Limit: 1, Commits: originCommits, Page: originPage,
		Visit: func(int, git.Hash, git.Commit, bool) { answered = true },
	})
	timeUp := answered && errors.Is(within.Err(), context.DeadlineExceeded) && ctx.Err() == nil
	switch {
	case err != nil && (timeUp || history.Unreadable(err)):
		return proposals.Origin{}, nil
	case err != nil:
		return proposals.Origin{}, read(err)
	case len(found.Versions) == 0 || found.Versions[0].Value != tag:
		if found.Tip != b.view.Commit() {
			return proposals.Origin{}, errMoved
		}
		return proposals.Origin{}, nil
	}
	v := found.Versions[0]
	at, ok := git.ParseHash(v.Commit)
	if !ok {
		return proposals.Origin{}, nil
	}
	o := proposals.Origin{Commit: at, Proved: v.Proof != "", Author: handedit.AuthorOf(v.Author), At: v.At}
	for _, u := range v.Updates {
		o.Updates = append(o.Updates, u.Update)
	}
	return o, nil
}

// ancestry is which commits the base branch reaches from a tip, as far as that was asked.
type ancestry struct {
	tip     git.Hash
	reached map[git.Hash]bool
	whole   bool // no more is asked
}

// maxReached is how many commits are remembered, about 60 bytes each.
const maxReached = 4 * mostCommits

// Contains implements [proposals.Branches]. It is false, and no error, for a commit that is
// not among the newest of the base branch: what landed is looked for soon afterwards, and a
// topic that began longer ago than that is made again.
func (b *Branches) Contains(ctx context.Context, commit git.Hash) (bool, error) {
	base, err := b.base()
	if err != nil {
		return false, err
	}
	if b.ancestry.tip == base.Tip && (b.ancestry.reached[commit] || b.ancestry.whole) {
		return b.ancestry.reached[commit], nil
	}
	if err := b.askFetch(ctx); err != nil {
		return false, git.PublicError(err)
	}
	most := b.config.Limits.Memory()
	pager := git.NewPager(b.remote, git.Pages{
		Tip: base.Tip, Base: base.Tip, BaseCommit: base.Head, Capabilities: b.fetchCaps,
		Filter: git.FilterTrees, Keep: git.OnlyCommits, Most: mostCommits, MaxBytes: most,
	})
	for {
		reached := pager.Commits.Ancestors(base.Tip)
		if reached[b.ancestry.tip] && len(b.ancestry.reached) < maxReached {
			for known := range b.ancestry.reached {
				reached[known] = true
			}
		}
		whole := !pager.More() || int64(pager.Bytes) > most
		if reached[commit] || whole {
			b.ancestry = ancestry{base.Tip, reached, whole}
			return reached[commit], nil
		}
		if err := b.nextPage(ctx, pager, base.Tip); err != nil {
			return false, read(err)
		}
	}
}

func (b *Branches) nextPage(ctx context.Context, pager *git.Pager, tip git.Hash) error {
	leave, err := b.enter(ctx, tip)
	if err != nil {
		return err
	}
	defer leave()
	_, err = pager.Next(ctx)
	return err
}
