package topic

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// Push implements [proposals.Branches].
func (b *Branches) Push(ctx context.Context, branch string, from git.Hash, built proposals.Built) error {
	m := b.built
	if m == nil || m.head.commit != built.Commit || m.head.commit.IsZero() {
		return gitops.Errorf(gitops.Internal, "the commit %s was not built last", built.Commit)
	}
	err := b.move(ctx, git.PushRequest{Branch: branch, Old: from, New: m.head.commit}, m.draft)
	if err == nil {
		b.known[m.of], b.built = m.head, nil
	}
	return err
}

// Delete implements [proposals.Branches].
func (b *Branches) Delete(ctx context.Context, branch string, at git.Hash) error {
	return b.move(ctx, git.PushRequest{Branch: branch, Old: at}, nil)
}

// maxPushes is how often a branch is pushed before whoever asked is told.
const maxPushes = 3

// move moves a branch as a request says, with the objects of the draft. A crash leaves the
// branch where it was or where it was to be moved to.
func (b *Branches) move(ctx context.Context, r git.PushRequest, draft *git.Draft) error {
	var packs git.PackWriter
	for tries := 1; ; tries++ {
		if b.pushCaps == nil {
			if _, err := b.askPush(ctx, r.Branch); err != nil {
				return git.PublicError(err)
			}
		}
		if r.Capabilities = b.pushCaps; draft != nil {
			pack, err := packs.Write(draft, !b.noThin)
			if err != nil {
				return git.PublicError(err)
			}
			r.Pack = pack
		}
		sent := b.remote.Push(ctx, r)
		if sent == nil {
			return nil
		}
		b.config.Logger.InfoContext(ctx, "push of a topic branch failed", "branch", r.Branch, "error", sent)
		again, err := b.judge(ctx, r, sent)
		if !again || tries == maxPushes {
			return err
		}
	}
}

// askPush asks where a branch is, as one who pushes.
func (b *Branches) askPush(ctx context.Context, branch string) (git.Hash, error) {
	refs, err := b.remote.Refs(ctx, git.ReceivePack, branch)
	if err != nil {
		return git.Hash{}, err
	}
	b.recordPush(refs)
	return refs.Tip, nil
}

// judge finds out by the branch how a push ended, whatever the answer said, and whether it
// is to be tried again. The error is nil when the branch is where it was to be moved to.
func (b *Branches) judge(ctx context.Context, r git.PushRequest, sent error) (again bool, err error) {
	if git.RejectedBeforeGit(sent) {
		b.pushCaps = nil // the repository may have moved
		return false, git.PublicError(sent)
	}
	var at git.Hash
	if behind := (*git.BehindError)(nil); errors.As(sent, &behind) {
		at = behind.Seen.Tip
	} else if at, err = b.askPush(ctx, r.Branch); err != nil {
		return false, git.PublicError(fmt.Errorf("%w (after a push: %v)", err, sent))
	}
	deletedByOthers := r.New.IsZero() && git.ResultKnown(sent)
	switch {
	case at == r.New && !deletedByOthers:
		return false, nil
	case at != r.Old:
		return false, &proposals.MovedError{Branch: r.Branch}
	}
	var no *git.Refusal
	var moved *git.MovedError
	err = git.PublicError(sent)
	switch {
	case errors.As(sent, &no) && no.Unpack && !b.noThin:
		b.config.Logger.WarnContext(ctx, "the git server could not unpack a thin pack, sending whole ones", "error", sent)
		b.noThin = true
		return true, err
	case errors.As(sent, &no) && no.Kind() == git.RefusedMoved:
		return false, gitops.Errorf(gitops.Unavailable, "the branch %s is locked at the git server, or in the way of another: %s", r.Branch, no).WithCause(no)
	case errors.As(sent, &moved):
		return true, err // asking has followed the redirect
	}
	return false, err
}
