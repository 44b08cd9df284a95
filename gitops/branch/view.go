package branch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// View is the branch as it was at one commit. It does not change, uses no network,
// and may be kept. Safe for concurrent use.
type View struct {
	of   *Snapshot
	asOf time.Time
}

// NewView makes a view of a snapshot, when the git server was asked where the branch is.
func NewView(of *Snapshot, asOf time.Time) *View { return &View{of, asOf} }

// Snapshot is the snapshot that the view is of.
func (v *View) Snapshot() *Snapshot { return v.of }

// AsOf is when the git server was asked: what came onto the branch later may not be in
// the view.
func (v *View) AsOf() time.Time { return v.asOf }

// Commit is the commit that the branch was at: as long as it stays the same, so do
// the files.
func (v *View) Commit() string { return v.of.Tip.String() }

// Root is the directory of all files. The content of a file is here when the view was made
// with it.
func (v *View) Root() *git.Directory { return v.of.Root }

// ReadFile returns a file's content, which must not be changed. The error is a
// [*gitops.Error]: NotFound or Invalid when there is no file at the path, TooLarge
// for one that is not edited either, and Unavailable for one that neither updates can
// change nor the view was made with.
func (v *View) ReadFile(path string) ([]byte, error) {
	f, err := v.of.File(path)
	if err != nil {
		return nil, err
	}
	content, here, refused := f.Content()
	switch {
	case !here:
		return nil, gitops.Errorf(gitops.Unavailable, "%s was not fetched", path)
	case refused != nil:
		return nil, InFile(path, refused, false)
	}
	return content, nil
}

// Object is git's name of a file's content, "" when there is no file at the path.
func (v *View) Object(path string) string {
	f, err := v.of.File(path)
	if err != nil {
		return ""
	}
	return f.Name.String()
}

// Changed returns the paths of the files that are not in both views with the same
// content, in any order. It costs as much as the directories that changed. When those
// are too many it returns false, and any file may have changed.
func (v *View) Changed(since *View) (paths []string, ok bool) {
	return v.of.Root.Changed(since.of.Root)
}

// Reader makes views over a connection of its own, so that no push waits for them. Safe for
// concurrent use.
type Reader struct {
	stopping context.Context
	turn     chan struct{} // has a token while a view is made

	// Of whoever has the token:
	source *Source
	last   *View           // that was made; nil before
	files  []string        // of [Config.Files], which it has
	wanted map[string]bool // the same
}

// NewReader makes a reader, which works until stopping ends.
func NewReader(stopping context.Context, source *Source) *Reader {
	return &Reader{stopping: stopping, turn: make(chan struct{}, 1), source: source}
}

// Close waits for the view that is made, and frees the connections.
func (r *Reader) Close() {
	r.turn <- struct{}{}
	r.source.Remote.Close()
	<-r.turn
}

var errClosed = gitops.Errorf(gitops.Unavailable, "the program is stopping")

// View returns the branch as it was since a time, with every file of [Config.Files] and
// those at the paths. When neither the writer nor the last view is as new as that, it asks
// the server once where the branch is, and fetches what is not here. Errors are as of
// [git.PublicError].
func (r *Reader) View(ctx context.Context, writer *atomic.Pointer[View], since time.Time, paths []string) (*View, error) {
	ctx, leave, err := r.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	for tries := 1; ; tries++ {
		v, err := r.viewOnce(ctx, writer, since, paths)
		if err == nil || !git.UnknownToServer(err) || tries == MaxTries {
			return v, git.PublicError(err)
		}
		since = time.Now() // what the writer saw is gone
	}
}

// ViewAt returns the branch as it is at a tip, where the caller saw it at a time, and is as
// View beside that: it asks only for what is not here. [git.UnknownToServer] holds for the
// error when the branch has moved on, and the server does not give the tip any more.
func (r *Reader) ViewAt(ctx context.Context, writer *atomic.Pointer[View], tip git.Hash, seen time.Time, paths []string) (*View, error) {
	ctx, leave, err := r.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if !r.source.Asked() {
		if _, err := r.source.FetchTip(ctx); err != nil {
			return nil, git.PublicError(err)
		}
	}
	now, err := r.catchUp(ctx, writer, tip)
	if err != nil {
		return nil, git.PublicError(err)
	}
	v, err := r.complete(ctx, now, seen, paths)
	return v, git.PublicError(err)
}

// enter waits for the reader's turn. The context ends with the reader, too.
func (r *Reader) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, git.PublicError(context.Cause(ctx))
	case <-r.stopping.Done():
		return nil, nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(r.stopping, cancel)
	return ctx, func() { unhook(); cancel(); <-r.turn }, nil
}

func (r *Reader) viewOnce(ctx context.Context, writer *atomic.Pointer[View], since time.Time, paths []string) (*View, error) {
	seen := writer.Load()
	if r.last != nil && r.last.asOf.After(seen.asOf) {
		seen = r.last
	}
	now, asOf := seen.of, seen.asOf
	if asOf.Before(since) || !r.source.Asked() { // without those nothing can be fetched
		var err error
		if now, asOf, err = r.readTip(ctx, writer); err != nil {
			return nil, err
		}
	}
	return r.complete(ctx, now, asOf, paths)
}

// complete makes the view of a snapshot with all of its files.
func (r *Reader) complete(ctx context.Context, now *Snapshot, asOf time.Time, paths []string) (*View, error) {
	files := r.source.Files()
	if r.last == nil || !sameSlice(files, r.files) {
		r.wanted = make(map[string]bool, len(files))
		for _, path := range files {
			r.wanted[path] = true
		}
		paths = slices.Concat(paths, files)
	} else if r.last.of != now {
		changed, ok := now.Root.Changed(r.last.of.Root)
		if !ok {
			changed = files
		}
		for _, path := range changed {
			if r.wanted[path] {
				paths = append(paths[:len(paths):len(paths)], path)
			}
		}
	}
	if err := r.source.FetchFiles(ctx, now, paths); err != nil {
		return nil, err
	}
	r.files, r.last = files, &View{now, asOf}
	return r.last, nil
}

// readTip asks the server where the branch is, and catches up when neither the writer nor
// the last view is there.
func (r *Reader) readTip(ctx context.Context, writer *atomic.Pointer[View]) (now *Snapshot, asOf time.Time, err error) {
	asOf = time.Now()
	tip, err := r.source.FetchTip(ctx)
	if err != nil {
		return nil, asOf, err
	}
	now, err = r.catchUp(ctx, writer, tip)
	return now, asOf, err
}

// catchUp makes the snapshot of a tip, when neither the writer nor the last view is there.
func (r *Reader) catchUp(ctx context.Context, writer *atomic.Pointer[View], tip git.Hash) (*Snapshot, error) {
	now := writer.Load().of
	if r.last != nil && now.Tip != tip {
		now = r.last.of
	}
	if now.Tip == tip {
		return now, nil
	}
	now, _, err := r.source.CatchUp(ctx, now, tip)
	return now, err
}

// sameSlice reports whether two slices are one, which is not changed: to compare
// what is in them would take longer than most views do.
func sameSlice(a, b []string) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// InFile names the file in an error that is about it as a whole, and among several in
// every one.
func InFile(path string, err error, several bool) error {
	var e *gitops.Error
	whole := errors.As(err, &e) && e.Field == "" && e.Code == gitops.TooLarge
	if e == nil || !whole && !several || strings.Contains(e.Public(), path) {
		return err
	}
	named := *e
	named.Field = strings.TrimSuffix(path+": "+e.Field, ": ")
	return &named
}
