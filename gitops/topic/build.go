package topic

import (
	"cmp"
	"context"
	"errors"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// made is a commit that was built.
type made struct {
	of    app
	head  head
	draft *git.Draft // its objects
}

// Base implements [proposals.Branches].
func (b *Branches) Base(ctx context.Context, environment, app string) (proposals.Base, error) {
	tag, _, _, err := b.first(ctx, environment, app)
	return proposals.Base{Tag: tag}, err
}

// first reads the tag of an app's first file on the base branch, "" where none can be read,
// and says which file that is and what reads it.
func (b *Branches) first(ctx context.Context, environment, app string) (tag, path string, reader edit.TagReader, err error) {
	target, err := b.config.Target(environment, app)
	if err != nil {
		return "", "", nil, err
	}
	to := target.Files[0]
	reader, ok := to.Editor.(edit.TagReader)
	if !ok {
		return "", to.File, nil, nil
	}
	base, err := b.baseWith(ctx, []string{to.File})
	if err != nil {
		return "", to.File, reader, err
	}
	f, err := base.File(to.File)
	if err != nil {
		return "", to.File, reader, nil // there is no such file
	}
	content, _, refused := f.Content()
	if refused != nil {
		return "", to.File, reader, nil
	}
	tag, err = readable(b.edits.ReadTag(ctx, reader, gitops.ParsedObject{Object: f.Name.String(), Kind: gitops.ParsedFile, Path: to.File}, content))
	return tag, to.File, reader, err
}

// Build implements [proposals.Branches]. The commit has the message that one on the base
// branch would have. What is built takes the place of what was built before.
//
// A squash or a rebase of a topic has no proof, so its tag counts as put there by hand until
// the update that was merged is recorded, and expected says so.
func (b *Branches) Build(ctx context.Context, u gitops.Update, expected string) (proposals.Built, error) {
	b.built = nil
	if err := b.committer.Ready(ctx, identifyFor); err != nil {
		return proposals.Built{}, git.PublicError(err)
	}
	target, err := b.config.Target(u.Environment, u.App)
	if err != nil {
		failed, _ := b.edits.Fault(u, edit.OwnFault(err))
		return proposals.Built{Ends: &failed}, nil
	}
	base, err := b.baseWith(ctx, target.AppendPaths(nil))
	if err != nil {
		return proposals.Built{}, err
	}
	var tags []string
	if expected != "" {
		tags = []string{expected}
	}
	ends, edits, err := b.apply(ctx, base, u, tags)
	if other := (*edit.OtherTag)(nil); errors.As(err, &other) {
		hand, findErr := b.handEdit(ctx, base, u, other)
		if findErr != nil || hand != nil {
			return proposals.Built{HandEdit: hand}, findErr
		}
		ends, edits, err = b.apply(ctx, base, u, nil)
	}
	switch {
	case err != nil:
		return proposals.Built{}, git.PublicError(err)
	case ends.Action != gitops.ActionCommit:
		return proposals.Built{Ends: &ends}, nil
	}
	return b.commit(ctx, base, u, edits, target)
}

// apply makes the edits of an update, and says how it ends: as a commit once there is one.
// When what several edits made of a file is not as it should be, they are made again, each
// verified by itself.
func (b *Branches) apply(ctx context.Context, base *branch.Snapshot, u gitops.Update, expected []string) (gitops.Transition, *edit.Edits, error) {
	oneByOne := make(map[string]bool)
	for {
		edits := b.edits.On(base, gitops.ParsedFile, oneByOne)
		t := gitops.Transition{Update: u.ID}
		var err error
		if t.Action, t.Reason, err = edits.Apply(ctx, u, expected...); err != nil {
			edits.Close()
			if later := (*edit.NotNow)(nil); errors.As(err, &later) {
				return t, nil, later.Why
			}
			if failed, own := b.edits.Fault(u, err); own {
				return failed, nil, nil
			}
			return t, nil, err
		}
		if t.Action == gitops.ActionConfirm {
			t.Found = u.Found
		}
		unverified := edits.Verify()
		if len(unverified) == 0 {
			return t, edits, nil
		}
		for _, path := range unverified {
			oneByOne[path] = true
		}
	}
}

// handEdit finds out who put an unexpected tag there; nil when tallyman did.
func (b *Branches) handEdit(ctx context.Context, base *branch.Snapshot, u gitops.Update, other *edit.OtherTag) (*gitops.HandEdit, error) {
	found, err := b.finder.Find(ctx, handedit.Question{
		Environment: u.Environment, App: u.App, Path: other.Path, Read: b.edits.ReadPast(other.Path, other.Reader),
	})
	switch {
	case err != nil:
		return nil, read(err)
	case !found.Tip.IsZero() && found.Tip != base.Tip && found.Edit.Tag != other.Tag:
		return nil, errMoved
	case !found.ByHand:
		return nil, nil
	}
	hand := found.Edit
	hand.Update, hand.Tag, hand.Commit = u.ID, other.Tag, cmp.Or(hand.Commit, other.Object)
	b.config.Logger.InfoContext(ctx, "unexpected tag in a file", "environment", u.Environment, "app", u.App,
		"file", other.Path, "tag", hand.Tag, "byHand", true, "commit", hand.Commit)
	return &hand, nil
}

// commit makes the commit of an update's edits.
func (b *Branches) commit(ctx context.Context, base *branch.Snapshot, u gitops.Update, edits *edit.Edits, target edit.Target) (proposals.Built, error) {
	draft := git.NewDraft()
	next, err := b.committer.Commit(base, edits.Changes(), draft, []gitops.Update{u}, b.config.Now())
	if err != nil {
		return proposals.Built{}, git.PublicError(err)
	}
	edits.KnowWritten(next)
	h, paths := b.headOf(next.Tip, next.Head, target), target.AppendPaths(nil)
	if !h.said.Ours {
		return proposals.Built{}, gitops.Errorf(gitops.Internal, "the commit %s does not prove that it is ours", h.commit)
	}
	h.files = filesOf(base, paths)
	h.said.Files = changed(paths, h.files, filesOf(next, paths))
	if first, err := next.File(paths[0]); err == nil {
		content, _, _ := first.Content()
		if h.said.Tag, err = b.readTag(ctx, target, first.Name, content); err != nil {
			return proposals.Built{}, err
		}
	}
	b.built = &made{of: app{u.Environment, u.App}, head: h, draft: draft}
	return proposals.Built{Commit: h.commit, Subject: h.said.Subject, Trailers: h.said.Trailers, Files: h.said.Files}, nil
}
