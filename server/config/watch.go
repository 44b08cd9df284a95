package config

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// Watcher tells when a file changed.
type Watcher struct {
	path     string
	reported fs.FileInfo // nil while there is none
}

// NewWatcher makes a watcher that knows the file as it is now: before it is read.
func NewWatcher(path string) *Watcher {
	w := &Watcher{path: path}
	w.reported, _ = os.Stat(path)
	return w
}

// Run calls changed when the file was replaced or written, until ctx ends. It looks every
// so often, and waits until the file has stayed the same from one look to the next: one
// that is being written is not read in the middle. A file that is not there for a while is
// waited for. What the path leads to by symbolic links counts, as where Kubernetes mounts a
// ConfigMap. Run it once.
func (w *Watcher) Run(ctx context.Context, every time.Duration, changed func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	seen := w.reported
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now, err := os.Stat(w.path)
		if err != nil {
			continue
		}
		settled := same(now, seen)
		if seen = now; settled && !same(now, w.reported) {
			w.reported = now
			changed()
		}
	}
}

// same reports whether a file is the one that it was, and was not written since.
func same(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
