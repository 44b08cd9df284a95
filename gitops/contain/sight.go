package contain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// sight is a revision with all of its directories. It shares with the branch what is the same
// there, contents of files among it.
type sight struct {
	at     git.Hash
	commit git.Commit
	root   *git.Directory
}

const (
	baseAge    = 2 * time.Second // of the branch, when a revision is looked at for the first time
	absentFor  = 5 * time.Second // a revision is not asked for again
	mostSights = 2
	mostAbsent = 100
	nearby     = 16 // commits that come with a revision: mostly the update's is among them
)

// sightOf looks at a revision. The error is [errAbsent] where the repository does not have it.
func (r *Reader) sightOf(ctx context.Context, at git.Hash) (*sight, error) {
	for i, s := range r.sights {
		if s.at == at {
			r.sights = append(slices.Delete(r.sights, i, i+1), s)
			return s, nil
		}
	}
	if asked, absent := r.absent[at]; absent && r.config.Now().Sub(asked) < absentFor {
		return nil, errAbsent
	}
	if err := r.refresh(ctx, baseAge); err != nil {
		return nil, err
	}
	s, err := r.look(ctx, at)
	if errors.Is(err, errAbsent) {
		if len(r.absent) >= mostAbsent {
			clear(r.absent)
		}
		r.absent[at] = r.config.Now()
	}
	if err != nil {
		return nil, err
	}
	delete(r.absent, at)
	r.known.add(git.Commits{at: s.commit})
	if len(r.sights) == mostSights {
		r.sights = slices.Delete(r.sights, 0, 1)
	}
	r.sights = append(r.sights, s)
	return s, nil
}

// refresh asks where the branch is, unless that is known since no longer than maxAge, and what
// the server can do. The branch has the contents of the files at the paths then.
func (r *Reader) refresh(ctx context.Context, maxAge time.Duration, paths ...string) error {
	view, err := r.config.View(ctx, maxAge, paths...)
	if err != nil {
		return err
	}
	r.base, r.tipsOnly = view.Snapshot(), false
	r.known.add(git.Commits{r.base.Tip: r.base.Head})
	if r.caps != nil {
		return nil
	}
	a, err := r.config.Remote.Refs(ctx, git.UploadPack, r.config.Branch)
	if err == nil {
		err = a.CanFetch(r.config.Branch)
	}
	if err == nil {
		r.caps = a.Capabilities
	}
	return err
}

// look looks at a revision that is not remembered.
func (r *Reader) look(ctx context.Context, at git.Hash) (*sight, error) {
	if at == r.base.Tip {
		return &sight{at: at, commit: r.base.Head, root: r.base.Root}, nil
	}
	s, err := r.fetch(ctx, at, at, nearby)
	if !git.UnknownToServer(err) {
		return s, err
	}
	if r.givesReachable() {
		return nil, errAbsent
	}
	// Over SSH git gives nothing but tips, unless uploadpack.allowReachableSHA1InWant is set.
	found, err := r.onBranch(ctx, at, time.Time{})
	switch {
	case errors.Is(err, errTooDeep) || err == nil && !found:
		return nil, errAbsent
	case err != nil:
		return nil, err
	}
	r.tipsOnly = true
	return r.fetch(ctx, at, r.base.Tip, r.known.distance(r.base.Tip, at)+1)
}

// fetch brings the directories of a revision, as what differs from the branch, with so many
// commits of the history of a tip, among which the revision is.
func (r *Reader) fetch(ctx context.Context, at, tip git.Hash, depth int) (*sight, error) {
	leave, err := r.guard(ctx, tip)
	if err != nil {
		return nil, err
	}
	defer leave()
	memory := r.config.Limits.Memory()
	held := git.NewIndex(r.base.Root)
	pager := git.NewPager(r.config.Remote, git.Pages{
		Tip: tip, Base: r.base.Tip, BaseCommit: r.base.Head, Held: held.Object, Capabilities: r.caps,
		Filter: git.FilterBlobs, Keep: git.WithoutBlobs, First: depth, Most: depth, MaxBytes: memory / 2,
	})
	fetched, err := pager.Next(ctx)
	if err != nil {
		return nil, err
	}
	commit, came := pager.Commits[at]
	if !came {
		return nil, fmt.Errorf("%w: the commit %s", git.ErrMissingObject, at)
	}
	root, err := git.NewDirectory(commit.Tree, fetched, held, memory/4)
	if errors.Is(err, git.ErrMissingObject) { // servers leave out what they take a client to have
		if fetched, err = pager.Again(ctx); err == nil {
			root, err = git.NewDirectory(commit.Tree, fetched, held, memory/4)
		}
	}
	if err != nil {
		return nil, err
	}
	r.known.add(pager.Commits)
	return &sight{at: at, commit: r.known.commits[at], root: root}, nil
}

// tagAt reads the tag out of the file at a path as it is in a revision; "" when there is no such
// file, or none that a tag can be read out of.
func (r *Reader) tagAt(ctx context.Context, s *sight, path string, reader edit.TagReader) (string, error) {
	names, err := git.SplitPath(path)
	if err != nil {
		return "", err
	}
	f, err := s.root.Find(names)
	if err != nil {
		return "", nil // there is no file
	}
	content, here, refused := f.Content()
	if refused != nil {
		return "", refused
	}
	if !here {
		if content, err = r.fetchFile(ctx, s, f.Name, path); err != nil {
			return "", err
		}
	}
	of := &fileReader{TagReader: reader}
	tag, err := r.edits.ReadPast(path, of)(ctx, f.Name.String(), content)
	if of.err != nil && gitops.CodeOf(of.err) != gitops.TooLarge {
		return "", nil
	}
	return tag, err
}

// fileReader keeps what is wrong with a file apart from what else may keep it from being read.
type fileReader struct {
	edit.TagReader
	err error
}

// ReadTag implements [edit.TagReader].
func (r *fileReader) ReadTag(file []byte) (tag string, err error) {
	tag, r.err = r.TagReader.ReadTag(file)
	return tag, r.err
}

// fetchFile brings the content of a file of a revision: alone, or else with its commit, or else
// with all that the branch has back to it.
func (r *Reader) fetchFile(ctx context.Context, s *sight, name git.Hash, path string) ([]byte, error) {
	most := int64(r.config.Limits.FileBytes)
	request := git.FetchRequest{
		Wants: []git.Hash{name}, NoThin: true, MaxBytes: 2 * most, MaxFileBytes: most, Capabilities: r.caps,
		Files: func(file git.Hash) bool { return file == name },
	}
	content, err := r.fetchOnly(ctx, s, request)
	if git.UnknownToServer(err) {
		request.Wants, request.Depth, request.Keep = []git.Hash{s.at}, 1, func(k git.Kind) bool { return k == git.KindBlob }
		content, err = r.fetchOnly(ctx, s, request)
	}
	if git.UnknownToServer(err) {
		if err := r.refresh(ctx, 0); err != nil {
			return nil, err
		}
		r.tipsOnly = true
		if found, err := r.reaches(ctx, r.base.Tip, s.at, s.commit.Made); err != nil || !found {
			return nil, cmp.Or(err, error(errMoved))
		}
		request.Wants, request.Depth = []git.Hash{r.base.Tip}, r.known.distance(r.base.Tip, s.at)+1
		content, err = r.fetchOnly(ctx, s, request)
	}
	switch {
	case err != nil:
		return nil, err
	case content == nil:
		return nil, gitops.Errorf(gitops.TooLarge, "%s at commit %s: the git server does not send the file, or sends it as what differs from one of more than %d bytes", path, s.at, most)
	case int64(len(content)) > most:
		return nil, gitops.Errorf(gitops.TooLarge, "%s at commit %s has more than %d bytes: it is not read; limits.file.bytes can be raised", path, s.at, most)
	}
	return content, nil
}

// fetchOnly makes a request for one file, and returns its content; nil where it did not come.
func (r *Reader) fetchOnly(ctx context.Context, s *sight, request git.FetchRequest) (content []byte, err error) {
	leave, err := r.guard(ctx, s.at)
	if err != nil {
		return nil, err
	}
	defer leave()
	fetched, err := r.config.Remote.Fetch(ctx, request, git.Nothing)
	for name, o := range fetched {
		if o.Kind == git.KindBlob && request.Files(name) {
			content = slices.Concat([]byte{}, o.Data) // not nil of an empty file
		}
	}
	return content, err
}
