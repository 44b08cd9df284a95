package config

import (
	"io/fs"
	"os"
)

// Watcher tells when a file changed. Look at it every so often, from one goroutine.
type Watcher struct {
	path     string
	reported fs.FileInfo // nil while there was none
	seen     fs.FileInfo // at the last look; nil while there is none
	settled  bool
}

// NewWatcher makes a watcher that knows the file as it is now: before it is read.
func NewWatcher(path string) *Watcher {
	w := &Watcher{path: path}
	w.reported, _ = os.Stat(path)
	w.seen = w.reported
	return w
}

// Look reports whether the file was replaced or written since Look last reported that, and
// has settled. A file that is not there for a while is waited for. What the path leads to
// by symbolic links counts, as where Kubernetes mounts a ConfigMap.
func (w *Watcher) Look() (changed bool) {
	now, err := os.Stat(w.path)
	if err != nil {
		w.seen, w.settled = nil, false
		return false
	}
	w.settled = same(now, w.seen)
	if w.seen = now; !w.settled || same(now, w.reported) {
		return false
	}
	w.reported = now
	return true
}

// Settled reports whether the file stayed the same between the last two looks: one that
// is being written must not be read in the middle.
func (w *Watcher) Settled() bool { return w.settled }

// same reports whether a file is the one that it was, and was not written since.
func same(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
