package manifest

import (
	"container/list"
	"context"
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops/git"
)

// maxCachedFiles is how many bytes of files a partial snapshot keeps, beyond those
// that the round at hand needs.
const maxCachedFiles = 16 << 20

// fileCache holds files of a partial snapshot by name, and knows which were used
// last. They need not be of the tip: a file that was put back to what it was
// before is often here.
type fileCache struct {
	byName map[git.Hash]*list.Element
	used   *list.List // of cachedFile, the latest in front
	bytes  int
}

type cachedFile struct {
	name git.Hash
	git.Object
}

func newFileCache() *fileCache {
	return &fileCache{byName: make(map[git.Hash]*list.Element), used: list.New()}
}

func (c *fileCache) get(name git.Hash) (git.Object, bool) {
	e, ok := c.byName[name]
	if !ok {
		return git.Object{}, false
	}
	c.used.MoveToFront(e)
	return e.Value.(cachedFile).Object, true
}

func (c *fileCache) put(name git.Hash, o git.Object) {
	if _, ok := c.get(name); !ok {
		c.byName[name] = c.used.PushFront(cachedFile{name, o})
		c.bytes += len(o.Data)
	}
}

// trim drops what was not used for longest, and nothing of what is needed, which was
// used last.
func (c *fileCache) trim(needed map[git.Hash]bool) {
	for c.bytes > maxCachedFiles {
		last := c.used.Back()
		f := last.Value.(cachedFile)
		if needed[f.name] {
			return
		}
		c.used.Remove(last)
		delete(c.byName, f.name)
		c.bytes -= len(f.Data)
	}
}

// filesOf lists the files that the items' edits are for.
func (w *Writer) filesOf(items []*item) []string {
	if w.snapshot.files == nil {
		return nil
	}
	paths := make([]string, 0, len(items))
	for _, i := range items {
		if target, err := w.config.Target(i.update.Environment, i.update.App); err == nil {
			paths = append(paths, target.File)
		}
	}
	return paths
}

// bring fetches the files at the paths that a partial snapshot does not have, all
// in one request. What is no file there is left to who looks it up.
func (w *Writer) bring(ctx context.Context, paths []string) error {
	s := w.snapshot
	if s.files == nil {
		return nil
	}
	missing, here := s.missing(paths)
	s.files.trim(here)
	if len(missing) == 0 {
		return nil
	}
	fetched, err := w.remote.Fetch(ctx, git.FetchRequest{Wants: missing, Capabilities: w.offers.fetch}, s.Object)
	if err != nil {
		return w.withoutFiles(ctx, fmt.Errorf("fetching files: %w", err))
	}
	for _, name := range missing {
		o, ok := fetched[name]
		if !ok || o.Kind != git.KindBlob {
			return fmt.Errorf("%w: the file %s that was asked for did not come", git.ErrMissingObject, name)
		}
		s.files.put(name, o)
	}
	return nil
}

// missing lists the files at the paths that are not here. Those that are, it marks as
// used.
func (s *snapshot) missing(paths []string) (missing []git.Hash, here map[git.Hash]bool) {
	here = make(map[git.Hash]bool)
	seen := make(map[git.Hash]bool)
	for _, path := range paths {
		names, err := git.SplitPath(path)
		if err != nil {
			continue
		}
		e, _, err := git.LookUp(s, s.head.Tree, names)
		switch {
		case err == nil:
			here[e.Hash] = true
		case errors.Is(err, git.ErrMissingObject) && !e.Hash.IsZero() && !seen[e.Hash]:
			seen[e.Hash] = true
			missing = append(missing, e.Hash)
		}
	}
	return missing, here
}

// withoutFiles deals with a fetch of files that failed. When the server does not
// know them although the branch is where it was, it is one that gives nothing but
// commits, as git does over SSH unless uploadpack.allowAnySHA1InWant is set; then
// the whole tip is fetched, and from now on always.
func (w *Writer) withoutFiles(ctx context.Context, err error) error {
	if !git.UnknownToServer(err) {
		return err
	}
	tip, lookErr := w.look(ctx)
	if lookErr != nil || tip != w.snapshot.tip {
		return err
	}
	w.wantEntire(ctx, "the git server does not send single files")
	return w.start(ctx, tip)
}

// wantEntire gives up on partial snapshots.
func (w *Writer) wantEntire(ctx context.Context, why string) {
	w.offers.entire = true
	w.config.Logger.WarnContext(ctx, "the snapshot is not partial, as configured, but full", "err", why)
}
