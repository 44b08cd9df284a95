package topic

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// head is what is known of the commit that a topic branch is at. It does not change as long
// as the branch is there and the app's target is the same.
type head struct {
	commit git.Hash
	target edit.Target
	said   proposals.Topic // without what the base branch decides

	// Of one that is ours: its parent, and the names of the target's files there; zero where
	// there was no file.
	parent git.Hash
	files  []git.Hash
}

// Topic implements [proposals.Branches]. What is not ours has no Conflict and is not Behind:
// it is a person's to bring up to date.
func (b *Branches) Topic(ctx context.Context, environment, name string, at git.Hash) (proposals.Topic, error) {
	target, err := b.targetOf(environment, name)
	if err != nil {
		return proposals.Topic{}, err
	}
	paths := target.AppendPaths(nil)
	base, err := b.baseWith(ctx, paths)
	if err != nil {
		return proposals.Topic{}, err
	}
	of := app{environment, name}
	h, ok := b.known[of]
	if !ok || h.commit != at || !reflect.DeepEqual(h.target, target) {
		if h, err = b.fetchHead(ctx, base, at, target); err != nil {
			return proposals.Topic{}, read(err)
		}
		b.known[of] = h
	}
	t := h.said
	if !t.Ours || h.parent == base.Tip {
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

// targetOf is where the updates of an app go. One that is not configured any more has no
// files: nothing is built for it, and its topic is looked at all the same, to be closed.
func (b *Branches) targetOf(environment, name string) (edit.Target, error) {
	target, err := b.config.Target(environment, name)
	if gitops.CodeOf(err) == gitops.NotFound {
		return edit.Target{}, nil
	}
	return target, err
}

// filesOf are the names of the files at the paths, zero where it does not exist.
func filesOf(of *branch.Snapshot, paths []string) []git.Hash {
	files := make([]git.Hash, len(paths))
	for i, path := range paths {
		if f, err := of.File(path); err == nil {
			files[i] = f.Name
		}
	}
	return files
}

// headOf is what a commit says, without what its files do.
func (b *Branches) headOf(name git.Hash, c git.Commit, target edit.Target) head {
	h := head{commit: name, target: target, said: proposals.Topic{Author: handedit.AuthorOf(c.Author)}}
	for _, u := range gitops.ParseTrailers(c.Message) {
		h.said.Updates = append(h.said.Updates, u.Update)
	}
	if _, proved := b.config.Prover.Verify(c); proved && len(c.Parents) == 1 {
		h.said.Ours, h.parent = true, c.Parents[0]
		h.said.Subject, h.said.Trailers = c.Subject(), trailersOf(c.Message)
	}
	return h
}

// trailersOf are the trailers at the end of a message of ours, without the proof: that is
// of the commit alone.
func trailersOf(message []byte) string {
	_, body, _ := strings.Cut(string(message), "\n\n")
	if at := strings.LastIndex(body, gitops.TrailerProof+": "); at >= 0 {
		body = body[:at]
	}
	return body
}

// changed are the paths at which the names of files differ.
func changed(paths []string, before, after []git.Hash) (differ []string) {
	for i, path := range paths {
		if before[i] != after[i] {
			differ = append(differ, path)
		}
	}
	return differ
}

// readTag reads the tag of a target's first file out of what it once said; "" when there is
// none, or none that can be read.
func (b *Branches) readTag(ctx context.Context, target edit.Target, name git.Hash, content []byte) (string, error) {
	to := target.Files[0]
	reader, ok := to.Editor.(edit.TagReader)
	if !ok || content == nil {
		return "", nil
	}
	tag, err := b.edits.ReadPast(to.File, reader)(ctx, name.String(), content)
	return readable(tag, err)
}

// readable is a tag, or "" for an error of what it was read out of. Any other error stays.
func readable(tag string, err error) (string, error) {
	if own := (*gitops.Error)(nil); errors.As(err, &own) && own.Code != gitops.Unavailable {
		return "", nil
	}
	return tag, git.PublicError(err)
}
