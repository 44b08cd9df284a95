package contain

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// TagBefore returns the tag that the file had before the update's commit: at its first parent.
// It is "" where the file was not there or has no tag that can be read, and where the commit is
// the first. A commit that the repository does not have is [gitops.NotFound]; other errors are
// as of Containment.
func (r *Reader) TagBefore(ctx context.Context, q Question) (string, error) {
	commit, ok := git.ParseHash(q.Commit)
	if !ok {
		return "", gitops.Errorf(gitops.Invalid, "%.64q is not the name of a commit", q.Commit)
	}
	ctx, leave, err := r.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	var tag string
	err = r.try(ctx, func() error {
		at, err := r.sightOf(ctx, commit)
		if err != nil || len(at.commit.Parents) == 0 {
			return err
		}
		if at, err = r.sightOf(ctx, at.commit.Parents[0]); err == nil {
			tag, err = r.tagAt(ctx, at, q.Path, q.Reader)
		}
		return err
	})
	return tag, err
}

// TagNow returns the tag that the file has at the branch's tip, and the tip's name: it asks the
// git server where the branch is, and of a branch that did not move no more. The tag is
// "" where the file is not there or has no tag that can be read. Errors are as of Containment.
func (r *Reader) TagNow(ctx context.Context, path string, reader edit.TagReader) (tag, tip string, err error) {
	ctx, leave, err := r.enter(ctx)
	if err != nil {
		return "", "", err
	}
	defer leave()
	err = r.try(ctx, func() error {
		if err := r.refresh(ctx, 0, path); err != nil {
			return err
		}
		tip = r.base.Tip.String()
		tag, err = r.tagAt(ctx, &sight{at: r.base.Tip, commit: r.base.Head, root: r.base.Root}, path, reader)
		return err
	})
	return tag, tip, err
}
