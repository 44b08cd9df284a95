package branch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// What is kept of the branch's files is what updates can change, within the limits: a
// file that is over them fails its own updates. All others, however large, are never
// asked for where the server can leave them out, and take nothing where it cannot.

// FetchFiles brings the contents of files that are not here. A path at which there is
// no file is left to whoever looks it up.
func (s *Source) FetchFiles(ctx context.Context, of *Snapshot, paths []string) error {
	if len(of.missing(paths)) == 0 {
		return nil
	}
	leave, err := s.enter(ctx, of.Tip)
	if err != nil {
		return outage(err)
	}
	defer leave()
	return s.fetchFiles(ctx, of, paths)
}

func (s *Source) fetchFiles(ctx context.Context, of *Snapshot, paths []string) error {
	missing := of.missing(paths)
	want := git.FetchRequest{Wants: slices.SortedFunc(maps.Keys(missing), compareHashes), NoThin: true}
	for len(missing) > 0 {
		if err := s.fetchInto(ctx, of, &want, missing, paths); err != nil {
			return fmt.Errorf("fetching files: %w", err)
		}
		left := of.missing(paths)
		if len(left) == len(missing) {
			return s.fetchEach(ctx, of, want, left, paths)
		}
		missing = left // what had no room in the answer
	}
	return nil
}

// fetchInto makes one request for files, and keeps what comes.
func (s *Source) fetchInto(ctx context.Context, of *Snapshot, want *git.FetchRequest, missing map[git.Hash]bool, paths []string) error {
	sizes := make(map[git.Hash]int64)
	want.MaxBytes, want.MaxFileBytes, want.Capabilities = s.Limits.files(), int64(s.Limits.FileBytes), s.caps
	want.Files = func(file git.Hash) bool { return missing[file] }
	want.Oversize = func(file git.Hash, size int64) { sizes[file] = size }
	if want.Depth == 0 {
		want.Wants = slices.SortedFunc(maps.Keys(missing), compareHashes)
	}
	fetched, err := s.Remote.Fetch(ctx, *want, git.Nothing)
	if git.UnknownToServer(err) && want.Depth == 0 {
		// A server that gives nothing but commits, as git does over SSH unless
		// uploadpack.allowAnySHA1InWant is set; or the branch has moved, and then it
		// does not give this one either.
		single := err
		want.Wants, want.Depth, want.NoThin = []git.Hash{of.Tip}, 1, false
		want.Keep = func(k git.Kind) bool { return k == git.KindBlob }
		if fetched, err = s.Remote.Fetch(ctx, *want, git.Nothing); err == nil {
			s.wantWhole(ctx, "the git server does not send single files", single)
		}
	}
	if err != nil {
		return err
	}
	s.keep(of, fetched, sizes, paths)
	return nil
}

// readFilesWith brings the files that updates can change and that came in since what is
// held, from a server that sends files only with their commits: by the request that the
// trees came with once more. Only now it is known which they are.
func (s *Source) readFilesWith(ctx context.Context, of *Snapshot, page git.Pages, held *git.Directory) error {
	missing := of.missing(s.Files())
	if len(missing) == 0 {
		return nil
	}
	page.Capabilities, page.Held = s.caps, git.NewIndex(held).Object
	page.MaxBytes, page.MaxFileBytes = s.Limits.Bytes(), int64(s.Limits.FileBytes)
	page.Files = func(file git.Hash) bool { return missing[file] }
	fetched, err := git.NewPager(s.Remote, page).Next(ctx)
	if err != nil {
		return fmt.Errorf("fetching the branch's files: %w", err)
	}
	s.keep(of, fetched, nil, s.Files())
	return nil
}

// fetchEach brings the files that did not come together with others: a server sends one
// as what differs from another, which may be too large to be here. Alone it comes whole.
// Where the server sends none alone, their updates fail and no others.
func (s *Source) fetchEach(ctx context.Context, of *Snapshot, want git.FetchRequest, left map[git.Hash]bool, paths []string) error {
	const few = 16
	if len(left) > few && want.Depth == 0 {
		return fmt.Errorf("%w: %d files that were asked for did not come", git.ErrMissingObject, len(left))
	}
	for name := range left {
		alone := git.FetchRequest{NoThin: true}
		err := s.fetchInto(ctx, of, &alone, map[git.Hash]bool{name: true}, paths)
		if err != nil && !git.UnknownToServer(err) {
			return fmt.Errorf("fetching a file: %w", err)
		}
	}
	if left = of.missing(paths); len(left) > 0 && want.Depth == 0 {
		return fmt.Errorf("%w: %d files that were asked for did not come", git.ErrMissingObject, len(left))
	}
	for name := range left {
		s.refuse(of, name, paths, gitops.Errorf(gitops.TooLarge,
			"the git server sends the file only together with all others, and there it has no room, or comes as what differs from one of more than %d bytes: raise limits.snapshot, or let the server send single files (uploadpack.allowAnySHA1InWant)", s.Limits.FileBytes))
	}
	return nil
}

func compareHashes(a, b git.Hash) int { return bytes.Compare(a[:], b[:]) }

// File finds the file at a path.
func (s *Snapshot) File(path string) (*git.File, error) {
	names, err := git.SplitPath(path)
	if err != nil {
		return nil, err
	}
	f, err := s.Root.Find(names)
	return f, git.PathError(path, err)
}

// missing are the files at the paths whose content is not here.
func (s *Snapshot) missing(paths []string) map[git.Hash]bool {
	missing := make(map[git.Hash]bool)
	for _, path := range paths {
		if f, err := s.File(path); err == nil {
			if _, here, _ := f.Content(); !here {
				missing[f.Name] = true
			}
		}
	}
	return missing
}

// keep takes the contents of the files at the paths out of what was fetched, the
// smallest first, as long as there is room. sizes has those of files that are too large.
func (s *Source) keep(of *Snapshot, fetched map[git.Hash]git.Object, sizes map[git.Hash]int64, paths []string) {
	var files []*git.File
	for _, path := range paths {
		f, err := of.File(path)
		if err != nil {
			continue
		}
		if _, here, _ := f.Content(); here {
			continue
		}
		if o, ok := fetched[f.Name]; ok && o.Kind == git.KindBlob {
			files = append(files, f)
		}
	}
	slices.SortStableFunc(files, func(a, b *git.File) int { return len(fetched[a.Name].Data) - len(fetched[b.Name].Data) })
	l := s.Limits
	for _, f := range files {
		data := fetched[f.Name].Data
		size := max(sizes[f.Name], int64(len(data)))
		switch {
		case size > int64(l.FileBytes):
			f.Refuse(l.Oversize(size))
		case !s.hasRoom(of, size):
			f.Refuse(gitops.Errorf(gitops.TooLarge, "the file has %d bytes, and with it the files of all apps would have more than the %d that are held: make files smaller, or raise limits.snapshot", size, l.files()))
		default:
			f.SetContent(data)
			s.held += size
		}
	}
}

// hasRoom reports whether so many more bytes of files may be held. All are counted again
// when there seems to be no room: what was kept may be gone.
func (s *Source) hasRoom(of *Snapshot, more int64) bool {
	most := s.Limits.files()
	if s.held+more <= most {
		return true
	}
	s.held = 0
	counted := make(map[git.Hash]bool)
	for _, path := range s.Files() {
		if f, err := of.File(path); err == nil && !counted[f.Name] {
			content, _, _ := f.Content()
			counted[f.Name] = true
			s.held += int64(len(content))
		}
	}
	return s.held+more <= most
}

// refuse notes why the files of a name are not kept.
func (s *Source) refuse(of *Snapshot, name git.Hash, paths []string, why error) {
	for _, path := range paths {
		if f, err := of.File(path); err == nil && f.Name == name {
			f.Refuse(why)
		}
	}
}

// outage is an error of the guard about what the git server sends: nothing can be
// written until the branch moves on, and no update is at fault.
func outage(err error) error {
	var e *gitops.Error
	if !errors.As(err, &e) || e.Code != gitops.Rejected {
		return err
	}
	later := *e
	later.Code = gitops.Unavailable
	return &later
}
