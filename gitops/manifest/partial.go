package manifest

import (
	"container/list"
	"context"
	"errors"
	"fmt"
)

// maxCachedFiles is how many bytes of files a partial snapshot keeps, beyond those
// that the round at hand needs.
const maxCachedFiles = 16 << 20

// fileCache holds files of a partial snapshot by name, and knows which were used
// last. They need not be of the tip: a file that was put back to what it was
// before is often here.
type fileCache struct {
	byName map[hash]*list.Element
	used   *list.List // of cachedFile, the latest in front
	bytes  int
}

type cachedFile struct {
	name hash
	object
}

func newFileCache() *fileCache {
	return &fileCache{byName: make(map[hash]*list.Element), used: list.New()}
}

func (c *fileCache) get(name hash) (object, bool) {
	e, ok := c.byName[name]
	if !ok {
		return object{}, false
	}
	c.used.MoveToFront(e)
	return e.Value.(cachedFile).object, true
}

func (c *fileCache) put(name hash, o object) {
	if _, ok := c.get(name); !ok {
		c.byName[name] = c.used.PushFront(cachedFile{name, o})
		c.bytes += len(o.data)
	}
}

// trim drops what was not used for longest, and nothing of what is needed, which was
// used last.
func (c *fileCache) trim(needed map[hash]bool) {
	for c.bytes > maxCachedFiles {
		last := c.used.Back()
		f := last.Value.(cachedFile)
		if needed[f.name] {
			return
		}
		c.used.Remove(last)
		delete(c.byName, f.name)
		c.bytes -= len(f.data)
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
	fetched, err := w.remote.fetch(ctx, wanted{wants: missing, offered: w.offers.fetch}, s.object)
	if err != nil {
		return w.withoutFiles(ctx, fmt.Errorf("fetching files: %w", err))
	}
	for _, name := range missing {
		o, ok := fetched[name]
		if !ok || o.kind != kindBlob {
			return fmt.Errorf("%w: the file %s that was asked for did not come", errMissingObject, name)
		}
		s.files.put(name, o)
	}
	return nil
}

// missing lists the files at the paths that are not here. Those that are, it marks as
// used.
func (s *snapshot) missing(paths []string) (missing []hash, here map[hash]bool) {
	here = make(map[hash]bool)
	seen := make(map[hash]bool)
	for _, path := range paths {
		names, err := splitPath(path)
		if err != nil {
			continue
		}
		e, _, err := lookUp(s, s.head.tree, names)
		switch {
		case err == nil:
			here[e.hash] = true
		case errors.Is(err, errMissingObject) && !e.hash.IsZero() && !seen[e.hash]:
			seen[e.hash] = true
			missing = append(missing, e.hash)
		}
	}
	return missing, here
}

// withoutFiles deals with a fetch of files that failed. When the server does not
// know them although the branch is where it was, it is one that gives nothing but
// commits, as git does over SSH unless uploadpack.allowAnySHA1InWant is set; then
// the whole tip is fetched, and from now on always.
func (w *Writer) withoutFiles(ctx context.Context, err error) error {
	if !unknownToServer(err) {
		return err
	}
	tip, lookErr := w.look(ctx)
	if lookErr != nil || tip != w.snapshot.tip {
		return err
	}
	w.wantEntire(ctx, "the manifest repository's server does not send single files")
	return w.start(ctx, tip)
}

// wantEntire gives up on partial snapshots.
func (w *Writer) wantEntire(ctx context.Context, why string) {
	w.offers.entire = true
	w.config.Logger.WarnContext(ctx, "the snapshot is not partial, as configured, but full", "err", why)
}
